"""The read side: what is committed, without locks, in single statements."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Select, Table, bindparam, exists, func, literal_column, or_, select, union_all

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.purchases import GET, columns_of
from billing_adapters.postgres.rows import (
    HISTORY_COLUMNS,
    MERCHANT_COLUMNS,
    history_entry_of,
    merchant_of,
    purchase_of,
    trial_of,
)
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import archived_purchases, history, merchants, purchases, trial_claims
from billing_adapters.postgres.trials import LATEST
from billing_adapters.postgres.wire import Record
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial
from billing_core.ports.storage import HistoryEntry, PurchaseFilter, PurchaseTotals

MERCHANT: Final = Statement(select(*MERCHANT_COLUMNS).where(merchants.c.merchant_id == bindparam("merchant_id")))
_CLAIMED: Final = Statement(
    select(
        exists()
        .where(
            trial_claims.c.platform == bindparam("platform"),
            trial_claims.c.platform_account_id == bindparam("platform_account_id"),
        )
        .label("claimed")
    )
)
HISTORY: Final = Statement(
    select(*HISTORY_COLUMNS)
    .where(history.c.merchant_id == bindparam("merchant_id"), history.c.subject_id == bindparam("subject_id"))
    .order_by(history.c.number)
)


def _page(table: Table) -> Statement:
    status, after = bindparam("status", type_=table.c.status.type), bindparam("after", type_=table.c.purchase_id.type)
    # Not `after is null or …`: a plan for any value could not begin at it, and would read every page before.
    before = func.coalesce(after, literal_column(f"'{UUID(int=2**128 - 1)}'", table.c.purchase_id.type))
    return Statement(
        columns_of(table)
        .where(table.c.merchant_id == bindparam("merchant_id"))
        .where(or_(status.is_(None), table.c.status == status))
        .where(table.c.purchase_id < before)
        .order_by(table.c.purchase_id.desc())
        .limit(bindparam("limit", type_=BigInteger()))
    )


_PAGES: Final = {False: _page(purchases), True: _page(archived_purchases)}


def _figures(table: Table) -> Select[Any]:
    paid = table.c.completed_at.is_not(None)
    return (
        select(
            table.c.status,
            func.count().label("many"),
            func.sum(table.c.credits + table.c.bonus_credits).filter(paid).label("purchased"),
            func.sum(table.c.credits_reversed).label("reversed"),
        )
        .where(table.c.merchant_id == bindparam("merchant_id"))
        .group_by(table.c.status)
    )


def _newest(table: Table) -> Select[Any]:
    return (
        columns_of(table)
        .where(table.c.merchant_id == bindparam("merchant_id"))
        .order_by(table.c.purchase_id.desc())
        .limit(literal_column("1"))
    )


_FIGURES: Final = Statement(union_all(_figures(purchases), _figures(archived_purchases)))
_live, _archived = _newest(purchases).subquery(), _newest(archived_purchases).subquery()
_both = union_all(select(_live), select(_archived)).subquery()
_LAST: Final = Statement(select(_both).order_by(_both.c.purchase_id.desc()).limit(literal_column("1")))


class PostgresRecords:
    """Answers questions about one merchant. Somebody waits for the answer, so a server that hangs is given up soon."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """The merchant."""
        row = await self._row(MERCHANT, merchant_id=merchant_id)
        return None if row is None else merchant_of(row)

    async def trial(self, merchant_id: str) -> Trial | None:
        """The merchant's newest trial."""
        row = await self._row(LATEST, merchant_id=merchant_id)
        return None if row is None else trial_of(row)

    async def trial_claimed(self, platform: str, platform_account_id: str) -> bool:
        """Whether the platform account has had its trial."""
        row = await self._row(_CLAIMED, platform=platform, platform_account_id=platform_account_id)
        return row is not None and bool(row["claimed"])

    async def purchase(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """The merchant's purchase, archived or not."""
        row = await self._row(GET, merchant_id=merchant_id, purchase_id=purchase_id)
        return None if row is None else purchase_of(row)

    async def purchases(self, wanted: PurchaseFilter) -> Sequence[Purchase]:
        """Up to `limit` purchases, newest first; the live ones or the archived ones."""
        rows = await self._rows(
            _PAGES[wanted.archived],
            merchant_id=wanted.merchant_id,
            status=None if wanted.status is None else wanted.status.value,
            after=wanted.after,
            limit=wanted.limit,
        )
        return [purchase_of(row) for row in rows]

    async def totals(self, merchant_id: str) -> PurchaseTotals:
        """The merchant's purchases in figures, archived ones included."""
        figures = await self._rows(_FIGURES, merchant_id=merchant_id)
        last = await self._row(_LAST, merchant_id=merchant_id)
        counts: dict[PurchaseStatus, int] = {}
        for row in figures:
            status = PurchaseStatus(row["status"])
            counts[status] = counts.get(status, 0) + row["many"]
        return PurchaseTotals(
            counts=counts,
            credits_purchased=sum(int(row["purchased"] or 0) for row in figures),
            credits_reversed=sum(int(row["reversed"]) for row in figures),
            last=None if last is None else purchase_of(last),
        )

    async def history(self, merchant_id: str, subject_id: UUID) -> Sequence[HistoryEntry]:
        """The changes of one of the merchant's trials or purchases, oldest first; empty where it has none."""
        rows = await self._rows(HISTORY, merchant_id=merchant_id, subject_id=subject_id)
        return [history_entry_of(row) for row in rows]

    async def _row(self, statement: Statement, **values: object) -> Record | None:
        async with self._database.wire(self._database.patience.read_s) as wire:
            return await wire.row(statement, **values)

    async def _rows(self, statement: Statement, **values: object) -> list[Record]:
        async with self._database.wire(self._database.patience.read_s) as wire:
            return await wire.rows(statement, **values)
