"""What is known about one merchant, to be shown. It is what is committed, read without locks; any method may raise
StorageUnavailable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial
from billing_core.views import PurchaseSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseFilter:
    """Which purchases to list, newest first, starting after the purchase id `after`."""

    merchant_id: str
    status: PurchaseStatus | None = None
    archived: bool = False
    after: UUID | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasesFound:
    """Purchases of a merchant's, and the platform it is on; None where the merchant is not known."""

    platform: str | None
    purchases: Sequence[PurchaseSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseTotals:
    """All of a merchant's purchases in figures, archived ones included."""

    counts: Mapping[PurchaseStatus, int]
    credits_purchased: int
    credits_reversed: int
    last: PurchaseSummary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A merchant, its newest trial, whether its platform account has had its one, and its purchases in figures."""

    merchant: Merchant
    trial: Trial | None
    trial_claimed: bool
    totals: PurchaseTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A change as it was recorded."""

    number: int
    at: datetime
    what: str
    status_before: str | None
    status_after: str
    actor: str
    reason: str | None
    correlation_id: str


class BillingRecords(Protocol):
    """The read side: what is committed, without locks. Every question names its merchant."""

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """The merchant."""
        ...

    async def trial(self, merchant_id: str) -> Trial | None:
        """The merchant's newest trial."""
        ...

    async def trial_claimed(self, merchant_id: str) -> bool:
        """Whether the merchant's platform account has had its trial, under whichever merchant id; False for a merchant
        nobody announced."""
        ...

    async def overview(self, merchant_id: str) -> Overview | None:
        """Everything at one moment; None where the merchant is not known."""
        ...

    async def purchase(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """The merchant's purchase, archived or not."""
        ...

    async def purchases(self, wanted: PurchaseFilter) -> PurchasesFound:
        """Up to `limit` purchases, newest first; the live ones or the archived ones."""
        ...

    async def history(self, merchant_id: str, subject_id: UUID) -> Sequence[HistoryEntry]:
        """The changes of one of the merchant's trials, purchases or grants, oldest first; empty where it has none."""
        ...
