"""What operators watch in the database. One process of all asks, and no scrape does: see the worker's `measuring`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, cast, column, extract, func, select, table
from sqlalchemy.sql.elements import ColumnElement

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import is_waiting, job_runs, outbox, parked_messages, purchases
from billing_core.errors import StorageUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How things stand by the database's clock. `parked` is by consumer, `jobs` has the seconds since each job's last
    finished run began; what never parked and never ran is missing."""

    unpublished: int
    oldest_unpublished_s: float
    needs_review: int
    revision: int
    parked: Mapping[str, int]
    jobs: Mapping[str, float]


def _age_s(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return extract("epoch", func.clock_timestamp() - moment)


_alembic = table("alembic_version", column("version_num"))
_waiting = outbox.c.published_at.is_(None)
_STANDING: Final = Statement(
    select(
        select(func.count()).select_from(outbox).where(_waiting).scalar_subquery().label("unpublished"),
        select(_age_s(func.min(outbox.c.recorded_at))).where(_waiting).scalar_subquery().label("oldest_s"),
        select(func.count())
        .select_from(purchases)
        .where(purchases.c.review_reason.is_not(None))
        .scalar_subquery()
        .label("needs_review"),
        select(func.max(cast(_alembic.c.version_num, Integer))).scalar_subquery().label("revision"),
    )
)
_PARKED: Final = Statement(
    select(parked_messages.c.source, func.count().label("waiting")).where(is_waiting).group_by(parked_messages.c.source)
)
_JOBS: Final = Statement(select(job_runs.c.job, _age_s(job_runs.c.finished_at).label("age_s")))


class PostgresFigures:
    """Reads them in three statements."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Figures:
        """How things stand now. Raises StorageUnavailable, also where the schema is missing."""
        standing = await self._database.row(_STANDING)
        if standing is None:
            raise StorageUnavailable
        parked = await self._database.rows(_PARKED)
        jobs = await self._database.rows(_JOBS)
        return Figures(
            unpublished=standing["unpublished"],
            oldest_unpublished_s=float(standing["oldest_s"] or 0.0),
            needs_review=standing["needs_review"],
            revision=standing["revision"] or 0,
            parked={row["source"]: row["waiting"] for row in parked},
            jobs={row["job"]: float(row["age_s"]) for row in jobs},
        )
