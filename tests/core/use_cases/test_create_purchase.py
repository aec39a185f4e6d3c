"""A purchase and one page to pay it, through double clicks, lost answers, crashes and refusals."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.use_cases.purchase_requests import AWAY, CATALOG, LARGE, URL, WaitingPlatform, event_types, statuses

from billing_core.domain.packs import PriceBook
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import (
    InvalidPack,
    InvalidRequest,
    MerchantNotFound,
    PlatformMismatch,
    PlatformRejected,
    PlatformUnavailable,
    TooManyOpenPurchases,
)
from billing_core.ports.platforms import Checkout, PlatformAccount
from billing_core.testing import InMemoryBilling, InMemoryStorage, ScriptedPlatform, a_caller, a_merchant
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Done

FREE_WITHIN_S = 5  # in memory a row that nobody holds is given at once


NEXT_YEAR, TICK = datetime(2027, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def _repriced(*, large: str | None) -> PriceBook:
    """The large pack costs 69.99 until the year ends, then `large`; with None it is retired for a small one."""
    old: dict[str, Any] = {"code": "large", "credits": 1000, "prices": {"USD": "69.99"}}
    retired, small = {**old, "retired": True}, {**old, "code": "small"}
    new = [{**old, "prices": {"USD": large}}] if large else [retired, small]
    versions = [{"version": "1", "packs": [old]}, {"version": "2", "packs": new, "effective_from": NEXT_YEAR}]
    return PriceBook.from_document({"versions": versions})


class _SlowPlatform(ScriptedPlatform):
    """Makes its checkout only after the purchase has been given up elsewhere."""

    def __init__(self, elsewhere: InMemoryBilling) -> None:
        super().__init__()
        self._elsewhere = elsewhere

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will let three days pass and the expiry job run before it answers."""
        self._elsewhere.clock.advance(timedelta(days=3))
        await self._elsewhere.expire_purchases()
        return await super().create_checkout(purchase, account)


class _WatchfulPlatform(ScriptedPlatform):
    """Looks, while it is called, at what is committed, and whether the merchant can be held by others."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = InMemoryStorage()
        self.committed: list[Purchase] = []

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will hold the merchant and note the purchase before it answers."""
        async with asyncio.timeout(FREE_WITHIN_S), self.storage.units() as uow:
            await uow.merchants.lock(purchase.merchant_id)
            self.committed.append(self.storage.tables.purchases[purchase.purchase_id])
        return await super().create_checkout(purchase, account)


class TestCreatePurchase:
    async def test_opens_a_purchase_and_its_checkout(self, billing: InMemoryBilling) -> None:
        """The merchant gets a page, the world hears of the purchase, and the reference is claimed."""
        caller = await billing.register()

        answered = await billing.create_purchase(caller, "key-1", LARGE)

        purchase = await billing.buy(caller, key="key-1")
        assert (answered.answer.outcome, answered.replayed) == ("created", False)
        assert (purchase.status, purchase.credits, purchase.price.amount) == ("pending", 1000, "69.99")
        assert purchase.checkout_url is not None
        assert event_types(billing) == ["evt.billing.purchase.created"]
        references = {reference for _, reference in billing.storage.tables.payment_claims}
        assert references == {
            purchase.platform_reference,
            billing.storage.tables.purchases[purchase.id].short_reference,
        }

    async def test_the_platform_is_called_between_two_transactions(self) -> None:
        """The purchase is committed before the call, and nobody waits for the platform to answer."""
        platform = _WatchfulPlatform()
        billing = InMemoryBilling(platforms=[platform], storage=platform.storage)

        await billing.buy(await billing.register())

        assert [purchase.status for purchase in platform.committed] == [PurchaseStatus.CREATED]

    async def test_the_deadline_and_the_test_flag_are_the_platforms(self) -> None:
        """A purchase lives as long as its platform's checkout (market.md, rule 3)."""
        platform = ScriptedPlatform(test_mode=True, checkout_lifetime=timedelta(hours=24))
        billing = InMemoryBilling(platforms=[platform])

        purchase = await billing.buy(await billing.register())

        assert purchase.expires_at - purchase.created_at == timedelta(hours=24)
        assert purchase.test is True

    async def test_a_merchant_pays_in_its_own_currency_or_the_wanted_one(self) -> None:
        """What is asked for wins, then the merchant's own."""
        billing = InMemoryBilling(catalog=PriceBook.from_document(CATALOG))
        caller = await billing.register(a_merchant(currency="EUR"))

        await billing.create_purchase(caller, "key-1", PurchaseRequest(pack="large", return_url=URL))
        await billing.create_purchase(caller, "key-2", PurchaseRequest(pack="small", return_url=URL, currency="USD"))

        prices = [str(purchase.offer.price) for purchase in billing.storage.tables.purchases.values()]
        assert prices == ["EUR 0.90", "USD 1.00"]


class TestOpenPurchases:
    async def test_a_new_key_for_the_same_pack_gets_the_open_purchase_and_its_page(
        self, billing: InMemoryBilling
    ) -> None:
        """Double click, second tab, restart: the open purchase is returned (market.md 34)."""
        caller = await billing.register()
        first = await billing.buy(caller)

        answered = await billing.create_purchase(caller, "another-key", LARGE)
        second = await billing.buy(caller, key="another-key")

        assert answered.answer.outcome == "reused"
        assert second == first
        assert len(billing.platform.calls_of("create_checkout")) == 1

    async def test_two_keys_at_the_same_moment_hand_out_one_page(self) -> None:
        """Both attempts call the platform for the one purchase; one URL leaves (market.md 34)."""
        platform = WaitingPlatform()
        billing = InMemoryBilling(platforms=[platform])
        caller = await billing.register()
        first = asyncio.create_task(billing.buy(caller, key="key-1"))
        await platform.asked.wait()

        second = asyncio.create_task(billing.buy(caller, key="key-2"))
        platform.may_answer.set()
        views = [await first, await second]

        assert views[0] == views[1]
        assert event_types(billing) == ["evt.billing.purchase.created"]

    async def test_a_purchase_past_its_deadline_is_not_handed_out_again(self, billing: InMemoryBilling) -> None:
        """It cannot be paid in time, so the merchant gets a fresh one."""
        caller = await billing.register()
        first = await billing.buy(caller)
        billing.clock.set(first.expires_at)

        assert (await billing.buy(caller)).id != first.id

    async def test_a_changed_price_is_another_offer_and_the_open_purchase_keeps_its_own(self) -> None:
        """The snapshot is honoured, and a new purchase is made at the new price (market.md 15)."""
        before = InMemoryBilling()
        caller = await before.register()
        old = await before.buy(caller)
        after = InMemoryBilling(
            catalog=PriceBook.from_document(CATALOG),
            storage=before.storage,
            platforms=[before.platform],
            clock=before.clock,
        )
        after.clock.advance(timedelta(minutes=1))

        new = await after.buy(caller)
        outcome = await after.pay(old)

        assert outcome == Done()
        assert (new.price.amount, new.credits) == ("1.00", 10)
        paid = await after.read.purchase(caller, old.id)
        assert (paid.status, paid.price.amount, paid.credits) == ("completed", "69.99", 1000)

    async def test_no_more_purchases_are_open_than_allowed(self) -> None:
        """The next one is refused, and stored nowhere; one that expired makes room."""
        billing = InMemoryBilling(catalog=PriceBook.from_document(CATALOG))
        caller = await billing.register()
        await billing.buy(caller, "large")
        await billing.buy(caller, "small")

        with pytest.raises(TooManyOpenPurchases, match="2"):
            await billing.buy(caller, "mini", key="key-3")
        stored = len(billing.storage.tables.purchases), len(billing.storage.tables.keys)
        billing.clock.advance(timedelta(hours=48))
        await billing.buy(caller, "mini", key="key-3")

        assert stored == (2, 2)


class TestPriceBook:
    async def test_a_new_version_sells_from_its_moment_and_open_purchases_keep_their_snapshot(self) -> None:
        """One microsecond before it the old price is asked; what was offered is what is paid (market.md 15)."""
        billing = InMemoryBilling(catalog=_repriced(large="89.99"))
        caller = await billing.register()
        billing.clock.set(NEXT_YEAR - TICK)
        old = await billing.buy(caller)
        billing.clock.advance(TICK)

        new = await billing.buy(caller)
        outcome = await billing.pay(old)

        assert (old.price.amount, new.price.amount) == ("69.99", "89.99")
        assert [offer.price.amount for offer in (await billing.read.packs(caller)).data] == ["89.99"]
        stored = billing.storage.tables.purchases[old.id]
        assert (outcome, stored.is_paid, stored.offer.catalog_version) == (Done(), True, "1")

    async def test_a_create_that_was_not_answered_is_resumed_at_the_price_it_was_begun_with(self) -> None:
        """The platform may have the checkout already: the retry sends what the first attempt sent."""
        billing = InMemoryBilling(catalog=_repriced(large="89.99"))
        caller = await billing.register()
        billing.clock.set(NEXT_YEAR - TICK)
        billing.platform.fail("create_checkout", AWAY, after_effect=True)
        with pytest.raises(PlatformUnavailable):
            await billing.buy(caller, key="key-1")
        billing.clock.advance(TICK)

        resumed = await billing.buy(caller, key="key-1")

        assert resumed.price.amount == "69.99"
        assert len(billing.storage.tables.purchases) == len(billing.platform.payments) == 1

    async def test_a_version_that_changes_nothing_for_the_pack_reuses_the_open_purchase(self) -> None:
        """Another version name alone is no other offer."""
        billing = InMemoryBilling(catalog=_repriced(large="69.99"))
        caller = await billing.register()
        billing.clock.set(NEXT_YEAR - TICK)
        first = await billing.buy(caller)
        billing.clock.advance(TICK)

        assert await billing.buy(caller) == first

    async def test_a_retired_pack_is_no_longer_sold_and_its_open_purchase_can_still_be_paid(self) -> None:
        """Retiring a pack breaks no promise that was made."""
        billing = InMemoryBilling(catalog=_repriced(large=None))
        caller = await billing.register()
        billing.clock.set(NEXT_YEAR - TICK)
        purchase = await billing.buy(caller)
        billing.clock.advance(TICK)

        with pytest.raises(InvalidPack, match="Choose one of: small"):
            await billing.buy(caller)
        outcome = await billing.pay(purchase)

        assert (outcome, billing.storage.tables.purchases[purchase.id].is_paid) == (Done(), True)


class TestRefusals:
    async def test_a_refused_checkout_fails_the_purchase_and_the_same_key_may_try_again(
        self, billing: InMemoryBilling
    ) -> None:
        """No checkout exists, the failure is told, and the retry is a new purchase."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", PlatformRejected("sandbox", "currency not enabled"))

        with pytest.raises(PlatformRejected):
            await billing.create_purchase(caller, "key-1", LARGE)
        answered = await billing.create_purchase(caller, "key-1", LARGE)

        assert answered.answer.outcome == "created"
        assert statuses(billing) == [PurchaseStatus.FAILED, PurchaseStatus.PENDING]
        assert event_types(billing).count("evt.billing.purchase.failed") == 1
        (told,) = [change for change in billing.storage.tables.changes.values() if change.what == "failed"]
        assert (told.reason, told.at) == ("PLATFORM_ERROR", billing.clock.now())

    async def test_a_checkout_that_comes_after_its_purchase_ended_is_not_handed_out(
        self, billing: InMemoryBilling
    ) -> None:
        """The answer shows the purchase as it is, without a page."""
        caller = await billing.register()
        impatient = InMemoryBilling(platforms=[_SlowPlatform(billing)], storage=billing.storage, clock=billing.clock)

        purchase = await impatient.buy(caller)

        assert (purchase.status, purchase.checkout_url) == ("failed", None)

    @pytest.mark.parametrize(
        ("request_", "error"),
        [
            (PurchaseRequest(pack="huge", return_url=URL), InvalidPack),
            (PurchaseRequest(pack="", return_url=URL), InvalidPack),
            (PurchaseRequest(pack="large", return_url="http://shop.example"), InvalidRequest),
            (PurchaseRequest(pack="large", return_url=URL, currency="XXX"), InvalidRequest),
        ],
    )
    async def test_a_wrong_request_stores_nothing(
        self, billing: InMemoryBilling, request_: PurchaseRequest, error: type[Exception]
    ) -> None:
        """Neither key, purchase, event nor call to the platform."""
        caller = await billing.register()

        with pytest.raises(error):
            await billing.create_purchase(caller, "key-1", request_)

        tables = billing.storage.tables
        assert (tables.keys, tables.purchases, tables.outbox, billing.platform.calls) == ({}, {}, {}, [])

    async def test_an_unknown_merchant_and_a_foreign_platform_are_refused(self, billing: InMemoryBilling) -> None:
        """Billing acts for announced merchants on their own platform."""
        caller = await billing.register()

        with pytest.raises(MerchantNotFound):
            await billing.create_purchase(a_caller(), "key-1", LARGE)
        with pytest.raises(PlatformMismatch):
            await billing.create_purchase(
                a_caller(billing.storage.tables.merchants[caller.merchant_id], platform="stripe"), "key-1", LARGE
            )
