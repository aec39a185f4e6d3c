"""Where Billing's truth is kept. Adapters never decide; every "once" is a unique constraint behind these promises.

Locks are taken in one order everywhere, so nothing deadlocks: the claim of a trial (by whoever moves it), a grant's
id, an operator, purchases, trials, merchants, each sorted, then an idempotency key.
Any method may raise StorageUnavailable (nothing was decided) or StorageConflict (the transaction was undone).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from billing_core.domain.events import Change
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.domain.trials import Trial
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.publishing import ONE_LANE, Lane, OutboxEvent

if TYPE_CHECKING:  # it speaks of what is stored here
    from billing_core.ports.privacy import Redactions


class Merchants(Protocol):
    """The merchants that were announced."""

    async def lock(self, merchant_id: str) -> Merchant | None:
        """The merchant, held until the transaction ends: what one merchant asks is done one after the other."""
        ...

    async def get_many(self, merchant_ids: Sequence[str]) -> Mapping[str, Merchant]:
        """Those of the merchants that exist, by id; not held."""
        ...

    async def add(
        self, merchants: Sequence[Merchant], *, pseudonyms: Mapping[str, str] | None = None
    ) -> Mapping[str, Merchant]:
        """This will store those not known yet and return the ones that were known before, by id, held.

        `pseudonyms` are those of the merchants' accounts, by merchant id: where a merchant is stored whose account's
        trial is claimed under the pseudonym, it is claimed under the account's name again.
        """
        ...

    async def save(self, merchants: Sequence[Merchant]) -> None:
        """This will store what changed of known merchants: domain, currency, and the name of the account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialClaim:
    """Which trial a platform account had as its one, and whose it was."""

    merchant_id: str
    trial_id: UUID


class Trials(Protocol):
    """Trials, and the claim of each platform account on its one."""

    async def latest(self, merchant_id: str) -> Trial | None:
        """The merchant's newest trial, refused ones included."""
        ...

    async def claim(self, trial: Trial, *, pseudonym: str | None = None) -> bool:
        """This will claim the trial of the trial's platform account, for ever. False where it was claimed before, under
        the account's name or its `pseudonym`; of any number of claims at once exactly one is True. A claim that is
        merely held keeps nobody waiting. Raises StorageConflict where it is put under the pseudonym meanwhile."""
        ...

    async def lock_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """The claim of the platform account, held; None where there is none. Hold it before everything else."""
        ...

    async def move_claim(self, trial: Trial) -> None:
        """This will move the claim of the trial's platform account, which is held, to the trial: at every moment
        there is one. Raises StorageConflict where there is none."""
        ...

    async def lock_running(self, merchant_ids: Sequence[str]) -> Mapping[str, Trial]:
        """The active trial of each merchant that has one, by merchant id, held."""
        ...

    async def lock_due(self, now: datetime, limit: int) -> Sequence[Trial]:
        """Up to `limit` active trials whose end has come, soonest first, held; those others hold are left out."""
        ...

    async def lock_to_remind(self, ending_before: datetime, limit: int) -> Sequence[Trial]:
        """Up to `limit` active trials that end before the moment and were not reminded, held."""
        ...

    async def add(self, trials: Sequence[Trial]) -> None:
        """This will store new trials. Raises StorageConflict where a merchant would have two active ones."""
        ...

    async def save(self, trials: Sequence[Trial]) -> None:
        """This will store changed trials. Raises StorageConflict where one was changed since it was loaded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a platform reference is."""

    merchant_id: str
    purchase_id: UUID
    account: PlatformAccount


class Purchases(Protocol):
    """Purchases, and the claim of each platform reference on its one. Archived ones come back when locked."""

    async def get(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """The merchant's purchase, archived or not; not held."""
        ...

    async def open_of(self, merchant_id: str) -> Sequence[Purchase]:
        """The merchant's open purchases, newest first; not held (hold the merchant)."""
        ...

    async def lock(self, purchase_ids: Sequence[tuple[str, UUID]]) -> Mapping[UUID, Purchase]:
        """Those of the (merchant id, purchase id) that exist, held; archived ones are brought back first."""
        ...

    async def owners(self, references: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Owner]:
        """Whose each claimed (platform, reference) is, by platform reference or short reference; not held."""
        ...

    async def claim(self, purchases: Sequence[Purchase]) -> None:
        """This will claim each purchase's platform reference for it, for ever; again for the same one is no change.
        Raises ReferenceAlreadyClaimed where it is another purchase's."""
        ...

    async def add(self, purchases: Sequence[Purchase]) -> None:
        """This will store new purchases, and claim each one's short reference for it, for ever."""
        ...

    async def save(self, purchases: Sequence[Purchase]) -> None:
        """This will store changed purchases that are held."""
        ...

    async def due_for_check(self, now: datetime, limit: int) -> Sequence[Purchase]:
        """Up to `limit` purchases whose check time has come, longest due first; not held."""
        ...

    async def past_deadline(self, now: datetime, limit: int, after: UUID | None = None) -> Sequence[Purchase]:
        """Up to `limit` open purchases with `expires_at <= now`, by id, those after `after`; not held."""
        ...

    async def archive(self, ended_before: datetime, limit: int) -> int:
        """This will move up to `limit` purchases that ended before the moment and need no review out of the hot
        table, and say how many."""
        ...


class Journal(Protocol):
    """The history of every change, and the outbox of what is announced."""

    async def record(self, changes: Sequence[Change]) -> None:
        """This will append each change to its subject's history and, where it announces a fact, put the encoded
        event into the outbox under the merchant's next sequence number, in the order given.

        Raises StorageConflict where a subject already has a change of that number.
        """
        ...


class Grants(Protocol):
    """Goodwill credits operators gave."""

    async def add(self, grant: CreditGrant) -> CreditGrant | None:
        """This will store the grant. Where its id was given before, it stores nothing and returns the grant that has
        it; of any number of grants of one id at once exactly one is stored, and the others wait for it."""
        ...

    async def lock_granted(self, actor: str, since: datetime) -> int:
        """The credits the actor granted later than the moment, those of this transaction included. Whoever asks about
        the same actor waits until it ends, so of two grants at once one counts the other."""
        ...


class Inbox(Protocol):
    """Which messages were handled."""

    async def seen(self, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        """Those of the messages that were handled before."""
        ...

    async def record(self, source: str, message_ids: Sequence[str], at: datetime) -> frozenset[str]:
        """This will note the messages as handled and return those that were not before. Of two transactions with
        the same message the second waits for the first."""
        ...


class KeyRecords(Protocol):
    """Idempotency keys and their answers."""

    async def lock(self, key: RequestKey) -> KeyRecord | None:
        """What is remembered of the key, held until the transaction ends. Where nothing is, nothing is held: hold the
        merchant first."""
        ...

    async def save(self, record: KeyRecord) -> None:
        """This will store the record, new or changed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """That somebody gave a parked message up: when, who and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedMessage:
    """A message that could not be handled, whole. It waits until it is sent again or given up."""

    parked_id: UUID
    source: str
    message_id: str
    subject: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str
    parked_at: datetime
    replayed_at: datetime | None = None
    dropped: Dropped | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody must still see to it."""
        return self.replayed_at is None and self.dropped is None


class ParkedMessages(Protocol):
    """Messages that could not be handled."""

    async def add(self, messages: Sequence[ParkedMessage]) -> None:
        """This will park messages; one with the same source and message id that still waits is not parked twice."""
        ...

    async def get(self, parked_id: UUID) -> ParkedMessage | None:
        """The parked message."""
        ...

    async def list(self, limit: int, *, waiting_only: bool = True) -> Sequence[ParkedMessage]:
        """Up to `limit` parked messages, newest first; without those that wait no more, unless asked for."""
        ...

    async def mark_replayed(self, parked_id: UUID, at: datetime | None) -> None:
        """This will note when the message was sent again; None: it was not."""
        ...

    async def drop(self, parked_id: UUID, dropped: Dropped) -> bool:
        """This will note that the message is given up, and keep it whole. False, and nothing noted, where it does not
        wait; of any number of calls at once exactly one is True."""
        ...


class UnitOfWork(Protocol):
    """One transaction. What was not committed when it closes never happened.

    What is written may wait for the next question or the commit: whatever speaks against it is raised then.
    """

    @property
    def merchants(self) -> Merchants: ...
    @property
    def trials(self) -> Trials: ...
    @property
    def purchases(self) -> Purchases: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def keys(self) -> KeyRecords: ...
    @property
    def parked(self) -> ParkedMessages: ...
    @property
    def redactions(self) -> "Redactions": ...

    async def now(self) -> datetime:
        """The moment by the storage's own clock, which all processes share."""
        ...

    async def flush(self) -> None:
        """This will have everything done so far checked, without making it last."""
        ...

    async def commit(self) -> None:
        """This will make everything done so far last, at once and together."""
        ...


class OpenUnitOfWork(Protocol):
    """Opens transactions."""

    def __call__(self, merchant_id: str | None = None) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new transaction, for `async with`. With a merchant id it is that merchant's alone: the rows of others are
        as if they were not there, and writing one raises StorageConflict. A merchant's own request is never given
        more; without one, who works for everybody sees everybody."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a merchant's request meets: the merchant, the number of its latest event, what is remembered of the
    request's key, and the open purchases, newest first."""

    merchant: Merchant
    sequence: int
    record: KeyRecord | None
    open_purchases: Sequence[Purchase]


class PurchaseRequests(Protocol):
    """The short way of a request for a purchase: one question, and one statement for all that comes of it. Nothing is
    held in between; who was overtaken meanwhile is told so by StorageConflict, with nothing stored, and takes the long
    way, a unit of work (optimistic concurrency control)."""

    async def look(self, key: RequestKey) -> Standing | None:
        """What the request under the key meets; None where the merchant is not known."""
        ...

    async def open(self, standing: Standing, opened: PurchaseDecision, record: KeyRecord) -> None:
        """This will store a new purchase, its changes and its key. Raises StorageConflict where the merchant has had
        an event since, or was redacted, or the key is in use."""
        ...

    async def hand_out(self, before: Purchase, taken: PurchaseDecision, held: KeyRecord, answered: KeyRecord) -> None:
        """This will store the purchase with the checkout it took, and the answer under its key. Raises StorageConflict
        where the purchase or what is remembered of the key is not what it was, or the reference is another's."""
        ...


class Outbox(Protocol):
    """Recorded events on their way out; each call is a transaction of its own."""

    async def unpublished(self, limit: int, lane: Lane = ONE_LANE) -> Sequence[OutboxEvent]:
        """Up to `limit` events of the lane's merchants that are not marked published, each merchant's in sequence, with
        none before them left out. It looks at the first `limit * lane.of` that wait in all lanes and no further, so an
        empty lane costs nothing while others are full, and what it does not see yet it sees when those have gone."""
        ...

    async def mark_published(self, event_ids: Sequence[UUID], at: datetime) -> None:
        """This will note that the events are with the broker."""
        ...


class Housekeeping(Protocol):
    """Forgetting what may be forgotten; each call is bounded and a transaction of its own."""

    async def purge_keys(self, created_before: datetime, limit: int) -> Sequence[RequestKey]:
        """This will forget idempotency keys older than the moment, and say which."""
        ...

    async def purge_events(self, published_before: datetime, limit: int) -> int:
        """This will forget outbox rows published before the moment, and say how many."""
        ...

    async def purge_inbox(self, received_before: datetime, limit: int) -> int:
        """This will forget handled message ids older than the moment, and say how many."""
        ...


class Leadership(Protocol):
    """Chooses one process among many for a task."""

    def lead(self, task: str) -> AbstractAsyncContextManager[bool]:
        """True for the one that may do the task until the block ends; False, at once, for the others. A leader that
        dies is followed without waiting for a time-out."""
        ...


class JobRuns(Protocol):
    """When each job last ran to its end."""

    async def last_run(self, job: str) -> datetime | None:
        """When the job last finished; None before its first run."""
        ...

    async def note_run(self, job: str, at: datetime) -> None:
        """This will note that the job finished."""
        ...
