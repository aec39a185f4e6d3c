"""The read side: what is committed, without locks, in single statements."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    FromClause,
    Select,
    Table,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.purchases import the_one
from billing_adapters.postgres.row_security import caller
from billing_adapters.postgres.rows import (
    HISTORY_COLUMNS,
    MERCHANT_COLUMNS,
    TRIAL_COLUMNS,
    history_entry_of,
    merchant_of,
    purchase_of,
    shown_columns,
    trial_of,
)
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import archived_purchases, history, merchants, purchases, trial_claims
from billing_adapters.postgres.trials import latest_of
from billing_adapters.postgres.wire import Record
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial
from billing_core.ports.records import HistoryEntry, Overview, PurchaseFilter, PurchasesFound, PurchaseTotals
from billing_core.views import PurchaseSummary

_GET: Final = Statement(the_one(caller()))
_LATEST: Final = Statement(latest_of(caller()))
MERCHANT: Final = Statement(select(*MERCHANT_COLUMNS).where(merchants.c.merchant_id == caller()))
_claimed = exists().where(
    trial_claims.c.platform == merchants.c.platform,
    trial_claims.c.platform_account_id == merchants.c.platform_account_id,
)
_CLAIMED: Final = Statement(select(_claimed.label("claimed")).where(merchants.c.merchant_id == caller()))
HISTORY: Final = Statement(
    select(*HISTORY_COLUMNS)
    .where(history.c.merchant_id == caller(), history.c.subject_id == bindparam("subject_id"))
    .order_by(history.c.number)
)


def _page(table: Table) -> Statement:
    """A row for each purchase, or one without; in every row the platform of the merchant, where it is known."""
    status, after = bindparam("status", type_=table.c.status.type), bindparam("after", type_=table.c.purchase_id.type)
    # Not `after is null or …`: a plan for any value could not begin at it, and would read every page before.
    # Nor `coalesce`: behind row-level security only what PostgreSQL knows to tell nothing may choose where to begin.
    before = case((after.is_(None), literal_column(f"'{UUID(int=2**128 - 1)}'", table.c.purchase_id.type)), else_=after)
    asked = select(caller().label("merchant_id")).subquery("asked")
    page = (
        select(*shown_columns(table))
        .where(table.c.merchant_id == asked.c.merchant_id)
        .where(or_(status.is_(None), table.c.status == status))
        .where(table.c.purchase_id < before)
        .order_by(table.c.purchase_id.desc())
        .limit(bindparam("limit", type_=BigInteger()))
        .lateral("page")
    )
    return Statement(
        select(*page.c, merchants.c.platform.label("merchant_platform"))
        .select_from(asked.outerjoin(merchants, merchants.c.merchant_id == asked.c.merchant_id).outerjoin(page, true()))
        .order_by(page.c.purchase_id.desc())
    )


_PAGES: Final = {False: _page(purchases), True: _page(archived_purchases)}


def _one_of_both(write: Callable[[Table], Select[Any]]) -> CompoundSelect[Any]:
    return union_all(write(purchases), write(archived_purchases))


def _figures() -> FromClause:
    """How many purchases in each status, as two arrays, and the sums over all of them."""

    def counted(table: Table) -> Select[Any]:
        paid = table.c.completed_at.is_not(None)
        return (
            select(
                table.c.status,
                func.count().label("many"),
                func.coalesce(
                    func.sum(table.c.credits + table.c.bonus_credits).filter(paid), literal_column("0")
                ).label("purchased"),
                func.sum(table.c.credits_reversed).label("reversed"),
            )
            .where(table.c.merchant_id == merchants.c.merchant_id)
            .group_by(table.c.status)
            .correlate(merchants)
        )

    each = _one_of_both(counted).subquery("each")
    return select(
        func.array_agg(each.c.status).label("statuses"),
        func.array_agg(each.c.many).label("counts"),
        func.coalesce(func.sum(each.c.purchased), literal_column("0")).cast(BigInteger).label("credits_purchased"),
        func.coalesce(func.sum(each.c.reversed), literal_column("0")).cast(BigInteger).label("credits_reversed"),
    ).lateral("figures")


def _last() -> FromClause:
    """The newest purchase, live or archived."""

    def newest(table: Table) -> Select[Any]:
        one = (
            select(*shown_columns(table))
            .where(table.c.merchant_id == merchants.c.merchant_id)
            .order_by(table.c.purchase_id.desc())
            .limit(literal_column("1"))
            .correlate(merchants)
            .subquery()
        )
        return select(one)

    both = _one_of_both(newest).subquery("both")
    return select(both).order_by(both.c.purchase_id.desc()).limit(literal_column("1")).lateral("last")


def _overview() -> Statement:
    latest = latest_of(merchants.c.merchant_id).lateral("trial")
    figures, last = _figures(), _last()
    return Statement(
        select(
            *last.c,  # first, so that they are told apart by their place
            *[column.label(f"merchant_{column.name}") for column in MERCHANT_COLUMNS],
            *[column.label(f"trial_{column.name}") for column in latest.c],
            _claimed.label("trial_claimed"),
            figures.c.statuses,
            figures.c.counts,
            figures.c.credits_purchased,
            figures.c.credits_reversed.label("all_reversed"),
        )
        .select_from(merchants.outerjoin(latest, true()).outerjoin(figures, true()).outerjoin(last, true()))
        .where(merchants.c.merchant_id == caller())
    )


_OVERVIEW: Final = _overview()
_MERCHANT: Final = {f"merchant_{column.name}": column.name for column in MERCHANT_COLUMNS}
_TRIAL: Final = {f"trial_{column.name}": column.name for column in TRIAL_COLUMNS}
_SHOWN_MANY: Final = len(PurchaseSummary._fields)


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
        row = await self._row(_LATEST, merchant_id=merchant_id)
        return None if row is None else trial_of(row)

    async def trial_claimed(self, merchant_id: str) -> bool:
        """Whether the merchant's platform account has had its trial; False where the merchant is not known."""
        row = await self._row(_CLAIMED, merchant_id=merchant_id)
        return row is not None and bool(row["claimed"])

    async def overview(self, merchant_id: str) -> Overview | None:
        """Everything at one moment, archived purchases included; None where the merchant is not known."""
        row = await self._row(_OVERVIEW, merchant_id=merchant_id)
        if row is None:
            return None
        has_trial, has_purchases = row["trial_trial_id"] is not None, row["purchase_id"] is not None
        return Overview(
            merchant=merchant_of({name: row[label] for label, name in _MERCHANT.items()}),
            trial=trial_of({name: row[label] for label, name in _TRIAL.items()}) if has_trial else None,
            trial_claimed=row["trial_claimed"],
            totals=PurchaseTotals(
                counts=_counts(row["statuses"] or (), row["counts"] or ()),
                credits_purchased=row["credits_purchased"],
                credits_reversed=row["all_reversed"],
                last=_summary(row) if has_purchases else None,
            ),
        )

    async def purchase(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """The merchant's purchase, archived or not."""
        row = await self._row(_GET, merchant_id=merchant_id, purchase_id=purchase_id)
        return None if row is None else purchase_of(row)

    async def purchases(self, wanted: PurchaseFilter) -> PurchasesFound:
        """Up to `limit` purchases, newest first; the live ones or the archived ones."""
        rows = await self._rows(
            _PAGES[wanted.archived],
            merchant_id=wanted.merchant_id,
            status=None if wanted.status is None else wanted.status.value,
            after=wanted.after,
            limit=wanted.limit,
        )
        found = [_summary(row) for row in rows if row["purchase_id"] is not None]
        return PurchasesFound(platform=rows[0]["merchant_platform"], purchases=found)

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


def _summary(row: Record) -> PurchaseSummary:
    """The summary that the first columns of a row are."""
    return PurchaseSummary(*islice(row.values(), _SHOWN_MANY))


def _counts(statuses: Sequence[str], counts: Sequence[int]) -> Mapping[PurchaseStatus, int]:
    """How many there are of each status: a live and an archived purchase of one are counted apart."""
    total: Counter[PurchaseStatus] = Counter()
    for status, many in zip(statuses, counts, strict=True):
        total[PurchaseStatus(status)] += many
    return total
