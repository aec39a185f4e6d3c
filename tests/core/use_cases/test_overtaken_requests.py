"""The short way of a request for a purchase holds nothing: what comes between is noticed, and the long way taken."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.core.use_cases.purchase_requests import LARGE, event_types, statuses

from billing_core.domain.idempotency import KeyRecord
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus
from billing_core.ports.storage import Standing
from billing_core.testing import InMemoryBilling
from billing_core.testing.memory.requests import InMemoryPurchaseRequests
from billing_core.use_cases.create_purchase import PurchaseRequest

Deed = Callable[[], Awaitable[object]]
SMALL = PurchaseRequest(pack="small", return_url=LARGE.return_url)


class Overtaken(InMemoryPurchaseRequests):
    """The short way on which somebody else is faster, once: `before_open` and `before_hand_out` are what they do."""

    before_open: Deed | None = None
    before_hand_out: Deed | None = None

    async def open(self, standing: Standing, opened: PurchaseDecision, record: KeyRecord) -> None:
        deed, self.before_open = self.before_open, None
        if deed is not None:
            await deed()
        await super().open(standing, opened, record)

    async def hand_out(self, before: Purchase, taken: PurchaseDecision, held: KeyRecord, answered: KeyRecord) -> None:
        deed, self.before_hand_out = self.before_hand_out, None
        if deed is not None:
            await deed()
        await super().hand_out(before, taken, held, answered)


@pytest.fixture
def overtaken(billing: InMemoryBilling) -> Overtaken:
    """The short way of `billing`."""
    way = Overtaken(billing.storage.tables, billing.storage.units)
    billing.create_purchase._requests = way
    return way


class TestOpening:
    async def test_another_pack_bought_meanwhile_is_counted_first(
        self, billing: InMemoryBilling, overtaken: Overtaken
    ) -> None:
        """Both are opened, and the merchant's events are numbered in the order of what was stored."""
        caller = await billing.register()
        overtaken.before_open = lambda: billing.create_purchase(caller, "key-2", SMALL)

        answered = await billing.create_purchase(caller, "key-1", LARGE)

        assert (answered.answer.outcome, answered.replayed) == ("created", False)
        assert statuses(billing) == [PurchaseStatus.PENDING] * 2
        assert [event.sequence for event in await billing.events()] == [1, 2]

    async def test_the_same_pack_bought_meanwhile_is_not_bought_twice(
        self, billing: InMemoryBilling, overtaken: Overtaken
    ) -> None:
        """Two clicks under two keys: one purchase, one page."""
        caller = await billing.register()
        overtaken.before_open = lambda: billing.create_purchase(caller, "key-2", LARGE)

        answered = await billing.create_purchase(caller, "key-1", LARGE)

        assert answered.answer.outcome == "reused"
        assert event_types(billing) == ["evt.billing.purchase.created"]
        assert len(billing.platform.payments) == 1


class TestHandingOut:
    async def test_a_check_put_off_meanwhile_stays_put_off(
        self, billing: InMemoryBilling, overtaken: Overtaken
    ) -> None:
        """What the reconciler noted of the purchase is not undone, and the merchant has the page all the same."""
        caller = await billing.register()
        later = billing.clock.now() + timedelta(hours=3)

        async def put_off() -> None:
            (purchase,) = billing.storage.tables.purchases.values()
            async with billing.storage.units() as uow:
                await uow.purchases.lock([(purchase.merchant_id, purchase.purchase_id)])
                await uow.purchases.save([replace(purchase, check_at=later)])
                await uow.commit()

        overtaken.before_hand_out = put_off
        answered = await billing.create_purchase(caller, "key-1", LARGE)

        (purchase,) = billing.storage.tables.purchases.values()
        assert (purchase.status, purchase.check_at) == (PurchaseStatus.PENDING, later)
        assert (answered.answer.outcome, answered.replayed) == ("created", False)

    async def test_a_key_forgotten_meanwhile_is_remembered_again(
        self, billing: InMemoryBilling, overtaken: Overtaken
    ) -> None:
        """The purge was faster than the platform."""
        caller = await billing.register()

        async def purge() -> None:
            billing.storage.tables.keys.clear()

        overtaken.before_hand_out = purge
        answered = await billing.create_purchase(caller, "key-1", LARGE)
        billing.replays.lose_everything()

        assert await billing.create_purchase(caller, "key-1", LARGE) == replace(answered, replayed=True)
        assert statuses(billing) == [PurchaseStatus.PENDING]
