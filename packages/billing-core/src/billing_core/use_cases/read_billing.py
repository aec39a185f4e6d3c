"""What a merchant can see of its billing."""

import base64
import re
from uuid import UUID

from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Catalog, PriceBook
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import FieldError, InvalidRequest, MerchantNotFound, PurchaseNotFound
from billing_core.ports.clock import Clock
from billing_core.ports.records import BillingRecords, HistoryEntry, PurchaseFilter
from billing_core.use_cases.caller import Caller
from billing_core.views import (
    BillingView,
    HistoryEntryView,
    HistoryView,
    MerchantView,
    PacksView,
    PackView,
    PurchasePage,
    PurchasesSummary,
    PurchaseView,
    TrialView,
)

# 16 bytes in base64url: the last character has two bits of them, and no others.
CURSOR_PATTERN = "^[A-Za-z0-9_-]{21}[AQgw]$"
_CURSOR = re.compile(CURSOR_PATTERN.strip("^$"))
_REMEMBERED_PACKS = 256


class ReadBilling:
    """Answers every question a merchant may ask, about itself alone."""

    def __init__(self, *, records: BillingRecords, price_book: PriceBook, clock: Clock) -> None:
        self._records, self._price_book, self._clock = records, price_book, clock
        # What is sold for which currency changes with the catalogue's version alone, and everybody asks for it.
        self._packs: dict[tuple[str, str | None], tuple[PackView, ...]] = {}

    async def overview(self, caller: Caller) -> BillingView:
        """Everything at once. Raises MerchantNotFound, PlatformMismatch."""
        found = await self._records.overview(caller.merchant_id)
        if found is None:
            raise MerchantNotFound
        merchant, totals, now = caller.known(found.merchant), found.totals, self._clock.now()
        catalog = self._price_book.at(now)
        trial = TrialView.of(found.trial, now) if found.trial else None
        return BillingView(
            merchant=MerchantView.of(merchant),
            trial=trial or _before_the_first(merchant, catalog, claimed=found.trial_claimed),
            purchases=PurchasesSummary(
                counts={status.value: totals.counts.get(status, 0) for status in PurchaseStatus},
                credits_purchased=totals.credits_purchased,
                credits_reversed=totals.credits_reversed,
                last=PurchaseView.of(totals.last, now) if totals.last else None,
            ),
            packs=self._packs_of(catalog, merchant.currency),
        )

    async def trial(self, caller: Caller) -> TrialView:
        """The trial; `available` before the first. Raises MerchantNotFound, PlatformMismatch."""
        return await self._trial(caller.known(await self._records.merchant(caller.merchant_id)))

    async def packs(self, caller: Caller) -> PacksView:
        """What this merchant can buy. Raises PlatformMismatch."""
        merchant = await self._merchant_if_known(caller)
        return PacksView(data=self._packs_of(self._catalog(), merchant.currency if merchant else None))

    async def purchase(self, caller: Caller, purchase_id: UUID) -> PurchaseView:
        """One purchase, archived or not. Raises PurchaseNotFound for unknown ids and other merchants' alike."""
        await self._merchant_if_known(caller)
        purchase = await self._records.purchase(caller.merchant_id, purchase_id)
        if purchase is None:
            raise PurchaseNotFound
        return PurchaseView.of(purchase, self._clock.now())

    async def purchases(
        self, caller: Caller, *, status: PurchaseStatus | None, archived: bool, cursor: str | None, limit: int
    ) -> PurchasePage:
        """A page of 1-100 purchases, newest first. Raises InvalidRequest for a cursor that was not given out."""
        wanted = PurchaseFilter(
            merchant_id=caller.merchant_id,
            status=status,
            archived=archived,
            after=None if cursor is None else _read_cursor(cursor),
            limit=limit + 1,
        )
        found = await self._records.purchases(wanted)
        if found.platform is not None:
            caller.check_platform(found.platform)
        now, more = self._clock.now(), len(found.purchases) > limit
        return PurchasePage(
            data=tuple([PurchaseView.of(purchase, now) for purchase in found.purchases[:limit]]),
            next_cursor=_cursor(found.purchases[limit - 1].purchase_id) if more else None,
        )

    async def purchase_history(self, caller: Caller, purchase_id: UUID) -> HistoryView:
        """Every change of a purchase, oldest first. Raises PurchaseNotFound."""
        await self.purchase(caller, purchase_id)
        entries = await self._records.history(caller.merchant_id, purchase_id)
        return HistoryView(data=tuple(_entry(entry) for entry in entries))

    def _packs_of(self, catalog: Catalog, home_currency: str | None) -> tuple[PackView, ...]:
        key = (catalog.version, home_currency)
        if key not in self._packs:
            if len(self._packs) >= _REMEMBERED_PACKS:
                self._packs.clear()
            self._packs[key] = PackView.all_of(catalog, home_currency=home_currency)
        return self._packs[key]

    def _catalog(self) -> Catalog:
        return self._price_book.at(self._clock.now())

    async def _merchant_if_known(self, caller: Caller) -> Merchant | None:
        merchant = await self._records.merchant(caller.merchant_id)
        return None if merchant is None else caller.known(merchant)

    async def _trial(self, merchant: Merchant) -> TrialView:
        if trial := await self._records.trial(merchant.merchant_id):
            return TrialView.of(trial, self._clock.now())
        claimed = await self._records.trial_claimed(merchant.merchant_id)
        return _before_the_first(merchant, self._catalog(), claimed=claimed)


def _before_the_first(merchant: Merchant, catalog: Catalog, *, claimed: bool) -> TrialView:
    return TrialView.before_the_first(merchant.merchant_id, catalog.trial, claimed=claimed)


def _cursor(purchase_id: UUID) -> str:
    return base64.urlsafe_b64encode(purchase_id.bytes).decode().rstrip("=")


def _read_cursor(cursor: str) -> UUID:
    """Purchase ids are UUIDv7 and sort by time, so the last id of a page is where the next one starts."""
    if not _CURSOR.fullmatch(cursor):
        detail = "is no cursor of ours; send next_cursor of the page before as it was"
        raise InvalidRequest(FieldError(pointer="/cursor", detail=detail))
    return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))


def _entry(entry: HistoryEntry) -> HistoryEntryView:
    return HistoryEntryView(
        number=entry.number,
        at=entry.at,
        what=entry.what,
        status_before=entry.status_before,
        status_after=entry.status_after,
        actor=entry.actor,
        reason=entry.reason,
        correlation_id=entry.correlation_id,
    )
