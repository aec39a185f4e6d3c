"""What is held about a merchant, to be handed out whole, and to be redacted.

Any method may raise StorageUnavailable (nothing was decided) or StorageConflict (the transaction was undone).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.records import HistoryEntry
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import ParkedMessage, TrialClaim


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEntry:
    """An entry of the history, and the trial, purchase or grant it is about."""

    subject: str
    subject_id: UUID
    entry: HistoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """An event that is still in the outbox, and when it was published."""

    event: OutboxEvent
    published_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRecord:
    """That somebody's data was asked for, or redacted: what, by whom, why, and what came of it.

    `account` is a pseudonym and never a name; `merchant_id` is None where it is about no merchant; `key_id` is the key
    a redaction was made with.
    """

    record_id: UUID
    at: datetime
    what: str
    platform: str
    account: str | None
    merchant_id: str | None
    actor: str
    reason: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """A platform account that gets another name."""

    platform: str
    before: str
    after: str


class MerchantData(Protocol):
    """Everything that is held about one merchant, without locks. What may be much comes page by page, in the order of
    its key, after the key of the last one; a page that is not full is the last."""

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """The merchant's record."""
        ...

    async def trial_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """Which trial the platform account had as its one."""
        ...

    async def trials(self, merchant_id: str) -> Sequence[Trial]:
        """All of its trials, oldest first, refused ones included."""
        ...

    async def purchases(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """Its purchases, live and archived; one that is archived or brought back in between comes once."""
        ...

    async def history(self, merchant_id: str, after: tuple[UUID, int] | None, limit: int) -> Sequence[RecordedEntry]:
        """Its history, by subject and number."""
        ...

    async def grants(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[CreditGrant]:
        """Goodwill credits it was given."""
        ...

    async def events(self, merchant_id: str, after: int, limit: int) -> Sequence[KeptEvent]:
        """Its events that are still kept, those after the sequence number."""
        ...

    async def keys(self, merchant_id: str, after: RequestKey | None, limit: int) -> Sequence[KeyRecord]:
        """Its idempotency keys and their answers, by route and key."""
        ...

    async def parked(self, words: Sequence[str], after: UUID | None, limit: int) -> Sequence[ParkedMessage]:
        """Parked messages in whose body, headers or texts at least one of the words stands somehow, in small letters
        or capitals."""
        ...

    async def privacy_records(self, merchant_id: str) -> Sequence[PrivacyRecord]:
        """What was recorded about its data, oldest first."""
        ...

    async def redaction_keys(self) -> frozenset[str]:
        """The ids of the keys that anything was ever redacted with."""
        ...


class Redactions(Protocol):
    """What is replaced when merchants are redacted, inside one transaction. Nothing here changes an amount, a credit, a
    status, a version or a claim's owner, whatever it is given: it stores the names and words alone."""

    async def lock_accounts(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Merchant]:
        """The merchants of the (platform, platform account id), by id, held; and before them the claims of the
        accounts' trials."""
        ...

    async def rename_accounts(self, renamings: Sequence[Renaming]) -> None:
        """This will put claims of trials under the other name of their account: at every moment there is one. Where
        there is one under that name already, it is the one that stays."""
        ...

    async def save_trials(self, trials: Sequence[Trial]) -> None:
        """This will store the trials' accounts."""
        ...

    async def save_purchases(self, purchases: Sequence[Purchase]) -> None:
        """This will store the purchases' accounts and addresses, live or archived, which stay where they are."""
        ...

    async def save_entries(self, merchant_id: str, entries: Sequence[RecordedEntry]) -> None:
        """This will store the actors, reasons and correlation ids of the merchant's entries."""
        ...

    async def save_grants(self, grants: Sequence[CreditGrant]) -> None:
        """This will store the grants' reasons."""
        ...

    async def save_events(self, events: Sequence[OutboxEvent]) -> None:
        """This will store the events' bodies."""
        ...

    async def save_parked(self, messages: Sequence[ParkedMessage]) -> None:
        """This will store the messages whole; those that wait no more, as such."""
        ...

    async def forget_keys(self, merchant_id: str, limit: int) -> Sequence[RequestKey]:
        """This will forget up to `limit` of the merchant's idempotency keys, and say which."""
        ...

    async def record(self, records: Sequence[PrivacyRecord]) -> None:
        """This will append to the record of what was asked and redacted."""
        ...
