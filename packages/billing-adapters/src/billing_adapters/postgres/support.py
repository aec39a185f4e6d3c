"""What operators ask across merchants; no door of merchants leads here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Table, bindparam, func, or_, select, union_all

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.purchases import columns_of
from billing_adapters.postgres.records import HISTORY
from billing_adapters.postgres.rows import (
    GRANT_COLUMNS,
    TRIAL_COLUMNS,
    grant_of,
    history_entry_of,
    purchase_of,
    trial_of,
)
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import (
    archived_purchases,
    credit_grants,
    is_open,
    is_waiting,
    outbox,
    parked_messages,
    purchases,
    trials,
)
from billing_core.domain.grants import CreditGrant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial
from billing_core.ports.records import HistoryEntry

_LIMIT = bindparam("limit", type_=BigInteger())


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Events that wait to be published: how many, and since when the oldest one does (None: none waits)."""

    events: int
    oldest_at: datetime | None


def _find(table: Table) -> Any:
    return columns_of(table).where(table.c.purchase_id == bindparam("purchase_id"))


def _list(table: Table) -> Any:
    merchant_id = bindparam("merchant_id", type_=table.c.merchant_id.type)
    status = bindparam("status", type_=table.c.status.type)
    needs_review = bindparam("needs_review", type_=Boolean())
    return (
        columns_of(table)
        .where(or_(merchant_id.is_(None), table.c.merchant_id == merchant_id))
        .where(or_(status.is_(None), table.c.status == status))
        .where(or_(needs_review.is_(None), table.c.review_reason.is_not(None) == needs_review))
        .order_by(table.c.purchase_id.desc())
        .limit(_LIMIT)
    )


def _open() -> Any:
    merchant_id = bindparam("merchant_id", type_=purchases.c.merchant_id.type)
    created_before = bindparam("created_before", type_=purchases.c.created_at.type)
    after = bindparam("after", type_=purchases.c.purchase_id.type)
    return (
        columns_of(purchases)
        .where(is_open(purchases))
        .where(or_(merchant_id.is_(None), purchases.c.merchant_id == merchant_id))
        .where(or_(created_before.is_(None), purchases.c.created_at <= created_before))
        .where(or_(after.is_(None), purchases.c.purchase_id > after))
        .order_by(purchases.c.purchase_id)
        .limit(_LIMIT)
    )


_FIND: Final = Statement(union_all(_find(purchases), _find(archived_purchases)))
_LIST: Final = Statement(_list(purchases))
_OPEN: Final = Statement(_open())
_BACKLOG: Final = Statement(
    select(func.count().label("events"), func.min(outbox.c.recorded_at).label("oldest_at")).where(
        outbox.c.published_at.is_(None)
    )
)
_PARKED: Final = Statement(select(func.count().label("waiting")).select_from(parked_messages).where(is_waiting))
_TRIALS: Final = Statement(
    select(*TRIAL_COLUMNS)
    .where(trials.c.merchant_id == bindparam("merchant_id"))
    .order_by(trials.c.started_at.desc(), trials.c.trial_id.desc())
)
_GRANTS: Final = Statement(
    select(*GRANT_COLUMNS)
    .where(credit_grants.c.merchant_id == bindparam("merchant_id"))
    .order_by(credit_grants.c.granted_at.desc(), credit_grants.c.grant_id)
)
_SUBJECT = bindparam("subject_id", type_=purchases.c.purchase_id.type)
_OWNER: Final = Statement(
    union_all(
        select(purchases.c.merchant_id).where(purchases.c.purchase_id == _SUBJECT),
        select(archived_purchases.c.merchant_id).where(archived_purchases.c.purchase_id == _SUBJECT),
        select(trials.c.merchant_id).where(trials.c.trial_id == _SUBJECT),
        select(credit_grants.c.merchant_id).where(credit_grants.c.grant_id == _SUBJECT),
    )
)


class PostgresSupport:
    """Answers operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_purchase(self, purchase_id: UUID) -> Purchase | None:
        """The purchase, whosever it is, archived or not."""
        row = await self._database.row(_FIND, purchase_id=purchase_id)
        return None if row is None else purchase_of(row)

    async def list_purchases(
        self,
        merchant_id: str | None = None,
        status: PurchaseStatus | None = None,
        needs_review: bool | None = None,
        limit: int = 50,
    ) -> Sequence[Purchase]:
        """Up to `limit` purchases that are not archived, newest first; None leaves a question open."""
        rows = await self._database.rows(
            _LIST,
            merchant_id=merchant_id,
            status=None if status is None else status.value,
            needs_review=needs_review,
            limit=limit,
        )
        return [purchase_of(row) for row in rows]

    async def open_purchases(
        self,
        merchant_id: str | None = None,
        created_before: datetime | None = None,
        after: UUID | None = None,
        limit: int = 50,
    ) -> Sequence[Purchase]:
        """Up to `limit` open purchases created by the moment, by id, those after `after`; None leaves a question
        open."""
        rows = await self._database.rows(
            _OPEN, merchant_id=merchant_id, created_before=created_before, after=after, limit=limit
        )
        return [purchase_of(row) for row in rows]

    async def unpublished_count_and_oldest(self) -> Backlog:
        """How many events wait to be published, and since when the oldest one does."""
        row = await self._database.row(_BACKLOG)
        return Backlog(events=row["events"], oldest_at=row["oldest_at"]) if row else Backlog(events=0, oldest_at=None)

    async def parked_count(self) -> int:
        """How many messages are parked and wait."""
        row = await self._database.row(_PARKED)
        return int(row["waiting"]) if row else 0

    async def trials_of(self, merchant_id: str) -> Sequence[Trial]:
        """All of a merchant's trials, newest first, refused ones included."""
        return [trial_of(row) for row in await self._database.rows(_TRIALS, merchant_id=merchant_id)]

    async def grants_of(self, merchant_id: str) -> Sequence[CreditGrant]:
        """All goodwill credits the merchant was given, newest first."""
        return [grant_of(row) for row in await self._database.rows(_GRANTS, merchant_id=merchant_id)]

    async def find_history(self, subject_id: UUID) -> Sequence[HistoryEntry]:
        """Every change of a trial, purchase or grant, whosever it is, oldest first; empty where there is none such."""
        owner = await self._database.row(_OWNER, subject_id=subject_id)
        if owner is None:
            return []
        rows = await self._database.rows(HISTORY, merchant_id=owner["merchant_id"], subject_id=subject_id)
        return [history_entry_of(row) for row in rows]
