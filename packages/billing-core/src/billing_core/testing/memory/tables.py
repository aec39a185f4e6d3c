"""Tables in memory: what is committed, and what one transaction would change."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from billing_core.domain.events import Change
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.errors import StorageConflict
from billing_core.ports.privacy import PrivacyRecord
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.storage import ParkedMessage, TrialClaim

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """An event and when the broker had it. `position` is its place in the outbox, taken when it was recorded: whoever
    commits first may have a later one than whoever commits next."""

    event: OutboxEvent
    position: int
    published_at: datetime | None = None


def _everybody(_key: object, _row: object) -> bool:
    return True


class Staged(Generic[K, V]):
    """One transaction's view of a table: the committed rows as they are now, under its own changes. `is_mine` tells by
    key and row which of them there are for it."""

    def __init__(self, committed: dict[K, V], is_mine: Callable[[K, V], bool] = _everybody) -> None:
        self._committed, self._is_mine = committed, is_mine
        self._put: dict[K, V] = {}
        self._removed: set[K] = set()

    def get(self, key: K) -> V | None:
        """The row as this transaction sees it."""
        if key in self._put:
            return self._put[key]
        row = None if key in self._removed else self._committed.get(key)
        return row if row is not None and self._is_mine(key, row) else None

    def put(self, key: K, row: V) -> None:
        """This will store the row when the transaction commits. Raises StorageConflict where it is, or was, another
        merchant's."""
        before = self._committed.get(key)
        if not self._is_mine(key, row) or not (before is None or self._is_mine(key, before)):
            raise StorageConflict("the row is another merchant's")
        self._removed.discard(key)
        self._put[key] = row

    def remove(self, key: K) -> None:
        """This will remove the row when the transaction commits."""
        self._put.pop(key, None)
        self._removed.add(key)

    def rows(self) -> Iterator[V]:
        """Every row as this transaction sees it, the committed ones first."""
        for key, row in list(self._committed.items()):
            if key not in self._removed and self._is_mine(key, row):
                yield self._put.get(key, row)
        for key, row in list(self._put.items()):
            if key not in self._committed:
                yield row

    def apply(self) -> None:
        """This will make the changes last."""
        for key in self._removed:
            self._committed.pop(key, None)
        self._committed.update(self._put)


@dataclass(slots=True, kw_only=True)
class Tables:
    """Everything that is committed, by the keys that are unique."""

    merchants: dict[str, Merchant] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    trials: dict[UUID, Trial] = field(default_factory=dict)
    trial_claims: dict[tuple[str, str], TrialClaim] = field(default_factory=dict)
    purchases: dict[UUID, Purchase] = field(default_factory=dict)
    archive: dict[UUID, Purchase] = field(default_factory=dict)
    payment_claims: dict[tuple[str, str], UUID] = field(default_factory=dict)
    grants: dict[UUID, CreditGrant] = field(default_factory=dict)
    changes: dict[tuple[UUID, int], Change] = field(default_factory=dict)
    outbox: dict[tuple[str, int], OutboxRow] = field(default_factory=dict)
    inbox: dict[tuple[str, str], datetime] = field(default_factory=dict)
    keys: dict[RequestKey, KeyRecord] = field(default_factory=dict)
    parked: dict[UUID, ParkedMessage] = field(default_factory=dict)
    privacy: dict[UUID, PrivacyRecord] = field(default_factory=dict)
    runs: dict[str, datetime] = field(default_factory=dict)


class _OfMerchant(Protocol):
    @property
    def merchant_id(self) -> str: ...


class StagedTables:
    """One transaction's view of every table; `merchant_id` is whose, None: everybody's. The claims are unique across
    merchants, and meet others' whoever sees them."""

    def __init__(self, tables: Tables, merchant_id: str | None = None) -> None:
        def mine(_key: object, row: _OfMerchant) -> bool:
            return merchant_id in (None, row.merchant_id)

        self.merchants = Staged(tables.merchants, mine)
        self.sequences = Staged(tables.sequences, lambda key, _: merchant_id in (None, key))
        self.trials = Staged(tables.trials, mine)
        self.trial_claims = Staged(tables.trial_claims)
        self.purchases = Staged(tables.purchases, mine)
        self.archive = Staged(tables.archive, mine)
        self.payment_claims = Staged(tables.payment_claims)
        self.grants = Staged(tables.grants, mine)
        self.changes = Staged(tables.changes, mine)
        self.outbox = Staged(tables.outbox, lambda key, _: merchant_id in (None, key[0]))
        self.inbox = Staged(tables.inbox)
        self.keys = Staged(tables.keys, lambda key, _: merchant_id in (None, key.merchant_id))
        self.parked = Staged(tables.parked)
        self.privacy = Staged(tables.privacy)

    def apply(self) -> None:
        """This will make every table's changes last, together: nothing is awaited in between."""
        staged: Mapping[str, Staged[Hashable, object]] = vars(self)
        for table in staged.values():
            table.apply()
