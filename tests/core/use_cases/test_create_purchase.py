"""A purchase and one page to pay it, through double clicks, lost answers, crashes and refusals."""

import asyncio
from datetime import timedelta

import pytest

from billing_core.domain.idempotency import LOCKED_FOR, RequestKey
from billing_core.domain.packs import Catalog
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidPack,
    InvalidRequest,
    MerchantNotFound,
    PlatformMismatch,
    PlatformRejected,
    PlatformUnavailable,
    PurchaseNotFound,
    TooManyOpenPurchases,
)
from billing_core.ports.platforms import Checkout, PlatformAccount
from billing_core.testing import InMemoryBilling, InMemoryStorage, ScriptedPlatform, a_caller, a_merchant
from billing_core.use_cases.create_purchase import ROUTE, PurchaseRequest
from billing_core.use_cases.inbound import Done

URL = "https://shop.example/billing"
LARGE = PurchaseRequest(pack="large", return_url=URL)
AWAY = PlatformUnavailable("sandbox", "no answer")
FREE_WITHIN_S = 5  # in memory a row that nobody holds is given at once

CATALOG = {
    "version": "2",
    "max_open_purchases": 2,
    "packs": [
        {"code": code, "credits": 10, "bonus_credits": 1, "prices": {"USD": "1.00", "EUR": "0.90"}}
        for code in ("large", "small", "mini")
    ],
}


def _types(billing: InMemoryBilling) -> list[str]:
    return [row.event.type for row in billing.storage.tables.outbox.values()]


def _statuses(billing: InMemoryBilling) -> list[PurchaseStatus]:
    return [purchase.status for purchase in billing.storage.tables.purchases.values()]


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


class _WaitingPlatform(ScriptedPlatform):
    """Answers no earlier than it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will say that it was asked, and wait."""
        self.asked.set()
        await self.may_answer.wait()
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
        assert _types(billing) == ["evt.billing.purchase.created"]
        assert billing.storage.tables.payment_claims == {("sandbox", purchase.platform_reference): purchase.id}

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
        billing = InMemoryBilling(catalog=Catalog.from_document(CATALOG))
        caller = await billing.register(a_merchant(currency="EUR"))

        await billing.create_purchase(caller, "key-1", PurchaseRequest(pack="large", return_url=URL))
        await billing.create_purchase(caller, "key-2", PurchaseRequest(pack="small", return_url=URL, currency="USD"))

        prices = [str(purchase.offer.price) for purchase in billing.storage.tables.purchases.values()]
        assert prices == ["EUR 0.90", "USD 1.00"]


class TestIdempotency:
    @pytest.mark.parametrize("cache_forgets", [True, False])
    async def test_same_key_and_body_replay_the_first_answer_even_after_payment(
        self, billing: InMemoryBilling, cache_forgets: bool
    ) -> None:
        """A replay repeats what was said, not what is (contract 2, market.md 33)."""
        caller = await billing.register()
        first = await billing.create_purchase(caller, "key-1", LARGE)
        await billing.pay(await billing.buy(caller, key="key-1"))
        if cache_forgets:
            billing.replays.lose_everything()

        again = await billing.create_purchase(caller, "key-1", LARGE)

        assert (again.answer, again.replayed) == (first.answer, True)
        assert len(billing.platform.calls_of("create_checkout")) == 1

    @pytest.mark.parametrize("cache_forgets", [True, False])
    @pytest.mark.parametrize(
        "other",
        [
            PurchaseRequest(pack="small", return_url=URL),
            PurchaseRequest(pack="large", return_url=URL + "/"),
            PurchaseRequest(pack="large", return_url=URL, currency="USD"),
        ],
    )
    async def test_same_key_and_another_body_are_refused(
        self, billing: InMemoryBilling, other: PurchaseRequest, cache_forgets: bool
    ) -> None:
        """A key stands for one request (market.md 33)."""
        caller = await billing.register()
        await billing.create_purchase(caller, "key-1", LARGE)
        if cache_forgets:
            billing.replays.lose_everything()

        with pytest.raises(IdempotencyKeyReused):
            await billing.create_purchase(caller, "key-1", other)

    async def test_a_request_in_flight_is_not_run_a_second_time(self) -> None:
        """While the first attempt waits for the platform the repeat is told so; afterwards it is replayed."""
        platform = _WaitingPlatform()
        billing = InMemoryBilling(platforms=[platform])
        caller = await billing.register()
        first = asyncio.create_task(billing.create_purchase(caller, "key-1", LARGE))
        await platform.asked.wait()

        with pytest.raises(IdempotencyKeyInUse):
            await billing.create_purchase(caller, "key-1", LARGE)
        platform.may_answer.set()
        answered = await first

        assert (await billing.create_purchase(caller, "key-1", LARGE)).answer == answered.answer
        assert len(platform.calls_of("create_checkout")) == 1

    async def test_a_key_whose_first_attempt_crashed_is_free_after_the_lock_and_goes_on_with_its_purchase(
        self, billing: InMemoryBilling
    ) -> None:
        """A crash mid-request does not wedge the key for a day, nor make a second purchase (market.md 33)."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", AWAY, after_effect=True)
        with pytest.raises(PlatformUnavailable):
            await billing.create_purchase(caller, "key-1", LARGE)
        key = RequestKey(merchant_id=caller.merchant_id, route=ROUTE, key="key-1")
        record = billing.storage.tables.keys[key]
        billing.storage.tables.keys[key] = record.locked(billing.clock.now())  # as a process that died leaves it

        with pytest.raises(IdempotencyKeyInUse):
            await billing.create_purchase(caller, "key-1", LARGE)
        billing.clock.advance(LOCKED_FOR)
        answered = await billing.create_purchase(caller, "key-1", LARGE)

        assert answered.replayed is False
        assert _statuses(billing) == [PurchaseStatus.PENDING]

    async def test_a_platform_that_does_not_answer_leaves_the_key_free_and_the_purchase_resumable(
        self, billing: InMemoryBilling
    ) -> None:
        """A 5xx is no answer: the retry gets the checkout that may exist already, and one purchase (market.md 33)."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", AWAY, after_effect=True)

        with pytest.raises(PlatformUnavailable):
            await billing.create_purchase(caller, "key-1", LARGE)
        purchase = await billing.buy(caller, key="key-1")

        assert list(billing.platform.payments) == [purchase.platform_reference]
        assert _statuses(billing) == [PurchaseStatus.PENDING]
        assert _types(billing) == ["evt.billing.purchase.created"]

    async def test_a_purchase_that_ended_in_the_meantime_is_the_answer_to_its_retry(
        self, billing: InMemoryBilling
    ) -> None:
        """The expiry job was faster than the client: the retry tells so and opens nothing."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", AWAY)
        with pytest.raises(PlatformUnavailable):
            await billing.create_purchase(caller, "key-1", LARGE)
        billing.clock.advance(timedelta(days=3))
        await billing.expire_purchases()

        purchase = await billing.buy(caller, key="key-1")

        assert (purchase.status, purchase.checkout_url) == ("failed", None)
        assert billing.platform.payments == {}

    async def test_a_key_that_names_a_purchase_nobody_has_is_refused(self, billing: InMemoryBilling) -> None:
        """Storage that lost a purchase is told of, not papered over with a second one."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", AWAY)
        with pytest.raises(PlatformUnavailable):
            await billing.create_purchase(caller, "key-1", LARGE)
        billing.storage.tables.purchases.clear()

        with pytest.raises(PurchaseNotFound):
            await billing.create_purchase(caller, "key-1", LARGE)

    async def test_a_key_purged_after_a_day_meets_the_open_purchase(self, billing: InMemoryBilling) -> None:
        """The client that repeats later still gets no second purchase (market.md 26)."""
        caller = await billing.register()
        first = await billing.buy(caller, key="key-1")
        billing.clock.advance(timedelta(hours=25))
        billing.replays.lose_everything()
        await billing.purge_idempotency()

        again = await billing.create_purchase(caller, "key-1", LARGE)

        assert again.answer.outcome == "reused"
        assert list(billing.storage.tables.purchases) == [first.id]


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
        platform = _WaitingPlatform()
        billing = InMemoryBilling(platforms=[platform])
        caller = await billing.register()
        first = asyncio.create_task(billing.buy(caller, key="key-1"))
        await platform.asked.wait()

        second = asyncio.create_task(billing.buy(caller, key="key-2"))
        platform.may_answer.set()
        views = [await first, await second]

        assert views[0] == views[1]
        assert _types(billing) == ["evt.billing.purchase.created"]

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
            catalog=Catalog.from_document(CATALOG),
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
        billing = InMemoryBilling(catalog=Catalog.from_document(CATALOG))
        caller = await billing.register()
        await billing.buy(caller, "large")
        await billing.buy(caller, "small")

        with pytest.raises(TooManyOpenPurchases, match="2"):
            await billing.buy(caller, "mini", key="key-3")
        stored = len(billing.storage.tables.purchases), len(billing.storage.tables.keys)
        billing.clock.advance(timedelta(hours=48))
        await billing.buy(caller, "mini", key="key-3")

        assert stored == (2, 2)


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
        assert _statuses(billing) == [PurchaseStatus.FAILED, PurchaseStatus.PENDING]
        assert _types(billing).count("evt.billing.purchase.failed") == 1

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
