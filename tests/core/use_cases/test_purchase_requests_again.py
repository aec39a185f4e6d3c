"""The same request again: double clicks, lost answers and crashes make one purchase and one page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.core.use_cases.purchase_requests import AWAY, LARGE, URL, WaitingPlatform, event_types, statuses

from billing_core.domain.idempotency import LOCKED_FOR, RequestKey
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    PlatformUnavailable,
    PurchaseNotFound,
    StorageUnavailable,
)
from billing_core.ports.storage import UnitOfWork
from billing_core.testing import InMemoryBilling
from billing_core.testing.memory.requests import InMemoryPurchaseRequests
from billing_core.testing.memory.tables import Tables
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.create_purchase import ROUTE, CreatePurchase, PurchaseRequest


@asynccontextmanager
async def _away(merchant_id: str | None = None) -> AsyncIterator[UnitOfWork]:
    raise StorageUnavailable
    yield


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
        platform = WaitingPlatform()
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
        assert statuses(billing) == [PurchaseStatus.PENDING]

    async def test_a_platform_that_does_not_answer_leaves_the_key_free_and_the_purchase_resumable(
        self, billing: InMemoryBilling
    ) -> None:
        """A 5xx is no answer: the retry gets the checkout that may exist already, and one purchase (market.md 33)."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", AWAY, after_effect=True)

        with pytest.raises(PlatformUnavailable):
            await billing.create_purchase(caller, "key-1", LARGE)
        answered = await billing.create_purchase(caller, "key-1", LARGE)

        (purchase,) = billing.storage.tables.purchases.values()
        assert (answered.answer.outcome, answered.replayed) == ("created", False)
        assert list(billing.platform.payments) == [purchase.platform_reference]
        assert purchase.return_url == LARGE.return_url
        assert statuses(billing) == [PurchaseStatus.PENDING]
        assert event_types(billing) == ["evt.billing.purchase.created"]

    async def test_an_answer_that_is_remembered_needs_no_database(self, billing: InMemoryBilling) -> None:
        """The fast path is asked first; a thousand double clicks lock no merchant."""
        caller = await billing.register()
        first = await billing.create_purchase(caller, "key-1", LARGE)
        create = CreatePurchase(
            requests=InMemoryPurchaseRequests(Tables(), _away),
            units=_away,
            replays=billing.replays,
            platforms=billing.platforms,
            price_book=billing.price_book,
            return_urls=ReturnUrlPolicy(),
            clock=billing.clock,
            new_id=billing.new_id,
        )

        assert await create(caller, "key-1", LARGE) == Answered(answer=first.answer, replayed=True)

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
