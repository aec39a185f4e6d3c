"""When each job last ran to its end."""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import job_runs

_LAST: Final = Statement(select(job_runs.c.finished_at).where(job_runs.c.job == bindparam("job")))
_new = insert(job_runs).values({each.name: bindparam(each.name, type_=each.type) for each in job_runs.c})
_NOTE: Final = Statement(
    _new.on_conflict_do_update(index_elements=["job"], set_={"finished_at": _new.excluded.finished_at})
)


class PostgresJobRuns:
    """The jobs' last runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_run(self, job: str) -> datetime | None:
        """When the job last finished; None before its first run."""
        row = await self._database.row(_LAST, job=job)
        return None if row is None else row["finished_at"]

    async def note_run(self, job: str, at: datetime) -> None:
        """This will note that the job finished."""
        await self._database.run(_NOTE, job=job, finished_at=at)
