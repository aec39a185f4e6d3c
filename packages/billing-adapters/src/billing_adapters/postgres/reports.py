"""Questions about everything there is: figures in two statements, and every purchase page by page.

The figures read both tables of purchases, each once from end to end: that is what is asked for.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from billing_adapters.postgres.columns import quoted
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.purchases import columns_of
from billing_adapters.postgres.rows import purchase_of
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import archived_purchases, is_open, purchases, trials
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.sales import EVERYTHING, SALES_KEYS, Period, SalesKey, SalesLine, SalesQuestion, TrialLine
from billing_core.domain.trials import TrialStatus
from billing_core.ports.reports import StoredPurchase

_COUNTED = (
    "pack", "platform", "currency", "created_at", "status", "completed_at", "amount_minor", "paid_minor",
    "refunded_minor", "dispute", "credits", "bonus_credits", "credits_reversed",
)  # fmt: skip
_FIGURES: Final = [field.name for field in fields(SalesLine) if field.name not in ("key", "currency")]
_NEVER: Final = UUID(int=0)  # no purchase has it, and all come after it


def _in_period(moment: ColumnElement[Any]) -> ColumnElement[bool]:
    since, until = bindparam("since", type_=moment.type), bindparam("until", type_=moment.type)
    return (moment >= since) & (moment < until)


def _day(moment: ColumnElement[Any]) -> ColumnElement[str]:
    return func.to_char(func.timezone(literal_column("'UTC'"), moment), literal_column("'YYYY-MM-DD'"))


def _everything() -> ColumnElement[str]:
    return literal_column(f"'{EVERYTHING}'", Text())


def _created(table: Table) -> Select[Any]:
    return (
        select(*[table.c[name] for name in _COUNTED])
        .where(_in_period(table.c.created_at))
        .where(or_(bindparam("test", type_=Boolean()), table.c.test.is_(literal_column("false"))))
    )


def _sales(by: SalesKey | None) -> Statement:
    created = union_all(_created(purchases), _created(archived_purchases)).subquery("created")
    key: ColumnElement[str] = created.c[by] if by in ("pack", "platform", "currency") else _everything()
    if by == "day":
        key = _day(created.c.created_at)
    paid = created.c.completed_at.is_not(None)
    price = func.coalesce(created.c.paid_minor, created.c.amount_minor)
    return Statement(
        select(
            key.label("key"),
            created.c.currency,
            func.count().label("created"),
            func.count().filter(is_open(created)).label("open"),
            func.count().filter(paid).label("paid"),
            _sum(price, paid).label("paid_minor"),
            _sum(created.c.refunded_minor, paid).label("refunded_minor"),
            _sum(price - created.c.refunded_minor, paid & _is_withheld(created)).label("disputed_minor"),
            _sum(created.c.credits + created.c.bonus_credits, paid).label("credits_sold"),
            _sum(created.c.credits_reversed, paid).label("credits_reversed"),
        ).group_by(literal_column("1"), created.c.currency)
    )


def _is_withheld(created: FromClause) -> ColumnElement[bool]:
    withheld: ColumnElement[Any] = literal_column(f"({quoted((DisputeStatus.LOST, DisputeStatus.OPEN))})")
    return created.c.dispute.op("in")(withheld)


def _sum(of: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(of).filter(where), literal_column("0"))


def _trials(by: SalesKey | None) -> Statement:
    key: ColumnElement[str] = trials.c.platform if by == "platform" else _everything()
    if by == "day":
        key = _day(trials.c.started_at)
    return Statement(
        select(
            key.label("key"),
            func.count().label("started"),
            func.count().filter(trials.c.converted_at.is_not(None)).label("converted"),
        )
        .where(_in_period(trials.c.started_at))
        .where(trials.c.status != literal_column(f"'{TrialStatus.REFUSED.value}'"))
        .group_by(literal_column("1"))
    )


def _page(table: Table, *, archived: bool) -> Select[Any]:
    # Limited by itself, so that each table is read from where the page before ended, and no further than the page.
    given = bindparam("after", type_=table.c.purchase_id.type)
    after = case((given.is_(None), literal_column(f"'{_NEVER}'", table.c.purchase_id.type)), else_=given)
    page = (
        columns_of(table)
        .add_columns(literal_column(str(archived).lower(), Boolean()).label("archived"))
        .where(_in_period(table.c.created_at))
        .where(table.c.purchase_id > after)
        .order_by(table.c.purchase_id)
        .limit(bindparam("limit", type_=BigInteger()))
    )
    return select(page.subquery())


def _pages() -> Statement:
    both = union_all(_page(purchases, archived=False), _page(archived_purchases, archived=True)).subquery("both")
    return Statement(select(both).order_by(both.c.purchase_id).limit(bindparam("limit", type_=BigInteger())))


def _count() -> Statement:
    counts = [
        select(func.count().label("many")).select_from(table).where(_in_period(table.c.created_at))
        for table in (purchases, archived_purchases)
    ]
    return Statement(select(func.sum(union_all(*counts).subquery("counted").c.many).label("many")))


_SALES: Final = {by: _sales(by) for by in (None, *SALES_KEYS)}
_TRIALS: Final = {by: _trials(by) for by in (None, "platform", "day")}
_COUNT: Final = _count()
_PAGE: Final = _pages()


class PostgresReports:
    """Answers operators. A statement sees one moment, so a purchase that is being archived is in it once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sales(self, question: SalesQuestion) -> Sequence[SalesLine]:
        """The purchases created in the period, a line for each key and currency that has any."""
        rows = await self._database.rows(_SALES[question.by], test=question.test, **_bounds(question.period))
        return [
            SalesLine(key=row["key"], currency=row["currency"], **{name: int(row[name]) for name in _FIGURES})
            for row in rows
        ]

    async def trials(self, question: SalesQuestion) -> Sequence[TrialLine]:
        """The trials started in the period, a line for each platform or day that has any."""
        statement = _TRIALS.get(question.by) or _TRIALS[None]
        rows = await self._database.rows(statement, **_bounds(question.period))
        return [TrialLine(**row) for row in rows]

    async def count_purchases(self, period: Period) -> int:
        """How many purchases were created in the period."""
        row = await self._database.row(_COUNT, **_bounds(period))
        return int(row["many"]) if row else 0

    async def purchases(self, period: Period, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """Up to `limit` purchases created in the period, by id, those after `after`."""
        rows = await self._database.rows(_PAGE, after=after, limit=limit, **_bounds(period))
        return [StoredPurchase(purchase=purchase_of(row), archived=row["archived"]) for row in rows]


def _bounds(period: Period) -> dict[str, object]:
    return {"since": period.since, "until": period.until}
