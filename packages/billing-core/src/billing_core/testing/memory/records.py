"""The read side in memory: what is committed, without locks."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from uuid import UUID

from billing_core.domain.events import Change
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.ports.records import HistoryEntry, Overview, PurchaseFilter, PurchasesFound, PurchaseTotals
from billing_core.testing.memory.tables import Tables
from billing_core.testing.memory.trials import latest_trial
from billing_core.views import PurchaseSummary


class InMemoryRecords:
    """Answers questions about what is committed."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """See `BillingRecords.merchant`."""
        return self._tables.merchants.get(merchant_id)

    async def trial(self, merchant_id: str) -> Trial | None:
        """See `BillingRecords.trial`."""
        return latest_trial([trial for trial in self._tables.trials.values() if trial.merchant_id == merchant_id])

    async def trial_claimed(self, merchant_id: str) -> bool:
        """See `BillingRecords.trial_claimed`."""
        merchant = self._tables.merchants.get(merchant_id)
        return merchant is not None and (merchant.platform, merchant.platform_account_id) in self._tables.trial_claims

    async def overview(self, merchant_id: str) -> Overview | None:
        """See `BillingRecords.overview`."""
        merchant = self._tables.merchants.get(merchant_id)
        if merchant is None:
            return None
        return Overview(
            merchant=merchant,
            trial=await self.trial(merchant_id),
            trial_claimed=await self.trial_claimed(merchant_id),
            totals=_totals(self._all_of(merchant_id)),
        )

    async def purchase(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """See `BillingRecords.purchase`."""
        return next((each for each in self._all_of(merchant_id) if each.purchase_id == purchase_id), None)

    async def purchases(self, wanted: PurchaseFilter) -> PurchasesFound:
        """See `BillingRecords.purchases`."""
        merchant = self._tables.merchants.get(wanted.merchant_id)
        table = self._tables.archive if wanted.archived else self._tables.purchases
        newest_first = sorted(table.values(), key=lambda each: each.purchase_id, reverse=True)
        found = [PurchaseSummary.of(each) for each in newest_first if _matches(each, wanted)]
        return PurchasesFound(platform=merchant.platform if merchant else None, purchases=found[: wanted.limit])

    async def history(self, merchant_id: str, subject_id: UUID) -> Sequence[HistoryEntry]:
        """See `BillingRecords.history`."""
        mine = [each for each in self._tables.changes.values() if each.merchant_id == merchant_id]
        changes = [each for each in mine if each.subject_id == subject_id]
        return [entry_of(each) for each in sorted(changes, key=lambda each: each.number)]

    def _all_of(self, merchant_id: str) -> list[Purchase]:
        everything = chain(self._tables.purchases.values(), self._tables.archive.values())
        return [each for each in everything if each.merchant_id == merchant_id]


def _totals(purchases: Sequence[Purchase]) -> PurchaseTotals:
    last = max(purchases, key=lambda each: each.purchase_id, default=None)
    return PurchaseTotals(
        counts=Counter(each.status for each in purchases),
        credits_purchased=sum(each.offer.total_credits for each in purchases if each.is_paid),
        credits_reversed=sum(each.credits_reversed for each in purchases),
        last=PurchaseSummary.of(last) if last else None,
    )


def _matches(purchase: Purchase, wanted: PurchaseFilter) -> bool:
    return (
        purchase.merchant_id == wanted.merchant_id
        and wanted.status in (None, purchase.status)
        and (wanted.after is None or purchase.purchase_id < wanted.after)
    )


def entry_of(change: Change) -> HistoryEntry:
    """A change as the history tells it."""
    return HistoryEntry(
        number=change.number,
        at=change.at,
        what=change.what,
        status_before=change.status_before,
        status_after=change.status_after,
        actor=change.by.actor,
        reason=change.reason,
        correlation_id=change.by.correlation_id,
    )
