"""The sandbox's books: what was decided at each of its checkouts. The first decision stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import sandbox_payments
from billing_adapters.postgres.wire import Record
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import StorageUnavailable

# What a checkout costs that was called off before anybody said what it costs (ISO 4217: XXX is no currency).
NO_PRICE = Money(amount_minor=0, currency="XXX")
ENDS = frozenset({PaymentStatus.PAID, PaymentStatus.DECLINED, PaymentStatus.EXPIRED, PaymentStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEntry:
    """What was decided at one checkout."""

    reference: str
    status: PaymentStatus
    platform_account_id: str
    price: Money

    def __post_init__(self) -> None:
        if self.status not in ENDS:
            raise ValueError(f"{self.status} is no decision; a checkout ends as one of: {', '.join(sorted(ENDS))}")


class SandboxBooks(Protocol):
    """Keeps what was decided. Each method may raise StorageUnavailable."""

    async def get(self, reference: str) -> SandboxEntry | None:
        """What was decided at the checkout, or None."""
        ...

    async def get_many(self, references: Sequence[str]) -> Mapping[str, SandboxEntry]:
        """What was decided at the checkouts where something was, by reference."""
        ...

    async def enter(self, entry: SandboxEntry) -> SandboxEntry:
        """This will enter the decision unless there is one, and give the one that stands; of any number at once
        exactly one stands."""
        ...


class InMemorySandboxBooks:
    """Books in one process's memory."""

    def __init__(self) -> None:
        self._entries: dict[str, SandboxEntry] = {}

    async def get(self, reference: str) -> SandboxEntry | None:
        """What was decided at the checkout, or None."""
        return self._entries.get(reference)

    async def get_many(self, references: Sequence[str]) -> Mapping[str, SandboxEntry]:
        """What was decided at the checkouts where something was, by reference."""
        return {each: self._entries[each] for each in references if each in self._entries}

    async def enter(self, entry: SandboxEntry) -> SandboxEntry:
        """This will enter the decision unless there is one, and give the one that stands."""
        return self._entries.setdefault(entry.reference, entry)


class PostgresSandboxBooks:
    """Books in the table `sandbox_payments`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, reference: str) -> SandboxEntry | None:
        """What was decided at the checkout, or None. Raises StorageUnavailable."""
        row = await self._database.row(_SELECT, reference=reference)
        return _entry(row) if row else None

    async def get_many(self, references: Sequence[str]) -> Mapping[str, SandboxEntry]:
        """What was decided at the checkouts where something was, by reference. Raises StorageUnavailable."""
        if not references:
            return {}
        rows = await self._database.rows(_SELECT_MANY, references=list(references))
        return {row["reference"]: _entry(row) for row in rows}

    async def enter(self, entry: SandboxEntry) -> SandboxEntry:
        """This will enter the decision unless there is one, and give the one that stands. Raises StorageUnavailable."""
        standing = await self._database.row(
            _ENTER,
            reference=entry.reference,
            status=entry.status.value,
            amount_minor=entry.price.amount_minor,
            currency=entry.price.currency,
            platform_account_id=entry.platform_account_id,
        )
        if standing is None:
            raise StorageUnavailable("the sandbox's entry was not kept")
        return _entry(standing)


_COLUMNS = (
    sandbox_payments.c.reference,
    sandbox_payments.c.status,
    sandbox_payments.c.amount_minor,
    sandbox_payments.c.currency,
    sandbox_payments.c.platform_account_id,
)
_SELECT = Statement(select(*_COLUMNS).where(sandbox_payments.c.reference == bindparam("reference")))
_SELECT_MANY = Statement(
    select(*_COLUMNS).where(
        sandbox_payments.c.reference == any_(bindparam("references", type_=ARRAY(sandbox_payments.c.reference.type)))
    )
)
# Of two at once the second waits for the first, changes nothing, and is given the row that stands.
_ENTER = Statement(
    insert(sandbox_payments)
    .values({**{column: bindparam(column.name) for column in _COLUMNS}, sandbox_payments.c.occurred_at: func.now()})
    .on_conflict_do_update(
        index_elements=[sandbox_payments.c.reference], set_={"reference": sandbox_payments.c.reference}
    )
    .returning(*_COLUMNS)
)


def _entry(row: Record) -> SandboxEntry:
    return SandboxEntry(
        reference=row["reference"],
        status=PaymentStatus(row["status"]),
        platform_account_id=row["platform_account_id"],
        price=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
    )
