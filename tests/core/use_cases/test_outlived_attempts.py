"""An attempt that outlived the lock of its key finds a successor at work: one answer for ever, and one page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.core.use_cases.purchase_requests import AWAY, LARGE, event_types, statuses

from billing_core.domain.idempotency import LOCKED_FOR
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import IdempotencyKeyInUse, PlatformError, PlatformRejected
from billing_core.testing import InMemoryBilling
from billing_core.testing.scripted_platform import HeldAnswer
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.caller import Caller

SOON_S = 20
REFUSED = PlatformRejected("sandbox", "currency not enabled")
FAILURES = pytest.mark.parametrize("failure", [AWAY, REFUSED], ids=["away", "refused"])


@asynccontextmanager
async def _waiting(
    billing: InMemoryBilling, caller: Caller
) -> AsyncIterator[tuple[asyncio.Task[Answered], HeldAnswer]]:
    """An attempt under the key whose platform keeps the answer back, as slow as it takes for the lock to be over."""
    held = billing.platform.hold("create_checkout")
    attempt = asyncio.create_task(billing.create_purchase(caller, "key-1", LARGE))
    await asyncio.wait_for(held.asked.wait(), SOON_S)
    billing.clock.advance(LOCKED_FOR)
    try:
        yield attempt, held
    finally:
        billing.platform.release(held)
        await asyncio.gather(attempt, return_exceptions=True)


class TestOutlivedAttempt:
    async def test_gives_the_answer_its_successor_gave(self, billing: InMemoryBilling) -> None:
        """Word for word, and as a replay; there is one purchase and one page."""
        caller = await billing.register()
        async with _waiting(billing, caller) as (attempt, held):
            successor = await billing.create_purchase(caller, "key-1", LARGE)

            billing.platform.release(held)
            outlived = await attempt

        assert (successor.replayed, outlived.replayed) == (False, True)
        assert outlived.answer == successor.answer
        assert (statuses(billing), len(billing.platform.payments)) == ([PurchaseStatus.PENDING], 1)
        assert event_types(billing) == ["evt.billing.purchase.created"]

    async def test_that_is_faster_after_all_answers_for_its_successor_too(self, billing: InMemoryBilling) -> None:
        """Whoever is first has the answer; the other one repeats it."""
        caller = await billing.register()
        async with _waiting(billing, caller) as (attempt, held), _waiting(billing, caller) as (successor, _):
            billing.platform.release(held)
            first = await attempt

        assert (first.replayed, successor.result().replayed) == (False, True)
        assert successor.result().answer == first.answer

    @FAILURES
    async def test_that_fails_leaves_the_key_locked_to_its_successor(
        self, billing: InMemoryBilling, failure: PlatformError
    ) -> None:
        """A third attempt is told to come back: it must not run beside the second one."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", failure, after_effect=True)
        async with _waiting(billing, caller) as (attempt, held):
            second = billing.platform.hold("create_checkout")
            successor = asyncio.create_task(billing.create_purchase(caller, "key-1", LARGE))
            await asyncio.wait_for(second.asked.wait(), SOON_S)

            billing.platform.release(held)
            with pytest.raises(type(failure)):
                await attempt

            with pytest.raises(IdempotencyKeyInUse):
                await billing.create_purchase(caller, "key-1", LARGE)
            billing.platform.release(second)
            answered = await successor

        assert (await billing.create_purchase(caller, "key-1", LARGE)).answer == answered.answer
        assert len(billing.storage.tables.purchases) == 1

    @FAILURES
    async def test_that_fails_leaves_the_answer_its_successor_gave(
        self, billing: InMemoryBilling, failure: PlatformError
    ) -> None:
        """What was told is told again, though the fast path has forgotten it, and the purchase can still be paid."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", failure, after_effect=True)
        async with _waiting(billing, caller) as (attempt, held):
            successor = await billing.create_purchase(caller, "key-1", LARGE)

            billing.platform.release(held)
            with pytest.raises(type(failure)):
                await attempt

        billing.replays.lose_everything()
        assert (await billing.create_purchase(caller, "key-1", LARGE)).answer == successor.answer
        assert statuses(billing) == [PurchaseStatus.PENDING]

    async def test_whose_key_has_gone_on_to_another_purchase_does_not_answer_for_it(
        self, billing: InMemoryBilling
    ) -> None:
        """The second attempt was refused for good and the third began anew: the first one's page belongs to a purchase
        that failed, and the third one's answer is its own."""
        caller = await billing.register()
        async with _waiting(billing, caller) as (attempt, held):
            billing.platform.fail("create_checkout", REFUSED)
            with pytest.raises(PlatformRejected):
                await billing.create_purchase(caller, "key-1", LARGE)
            async with _waiting(billing, caller) as (third, _):
                billing.platform.release(held)
                with pytest.raises(IdempotencyKeyInUse) as in_use:
                    await attempt

        assert in_use.value.retry_after_s >= 1
        assert statuses(billing) == [PurchaseStatus.FAILED, PurchaseStatus.PENDING]
        assert (await billing.create_purchase(caller, "key-1", LARGE)).answer == third.result().answer

    async def test_that_is_refused_does_not_leave_its_failed_purchase_to_a_successor(
        self, billing: InMemoryBilling
    ) -> None:
        """The key was its successor's by then, which died: whoever comes next under it begins anew."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", REFUSED, after_effect=True)
        async with _waiting(billing, caller) as (attempt, held), _waiting(billing, caller) as (successor, _):
            billing.platform.release(held)
            with pytest.raises(PlatformRejected):
                await attempt
            successor.cancel()

        anew = await billing.create_purchase(caller, "key-1", LARGE)

        assert anew.answer.outcome == "created"
        assert statuses(billing) == [PurchaseStatus.FAILED, PurchaseStatus.PENDING]
