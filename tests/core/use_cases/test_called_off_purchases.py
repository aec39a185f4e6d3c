"""A purchase that was called off is asked about until its checkout cannot be paid any more, and then no more."""

from datetime import timedelta

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    NoCancelling,
    a_bought_one,
    an_orphan_of,
    an_otherwise_paid_one,
    key_of,
    reference_of,
    stored,
    tell,
    told,
)

from billing_core.domain.purchases import ARCHIVED_AFTER, PurchaseStatus
from billing_core.errors import PlatformAuthError
from billing_core.testing import FixedClock, InMemoryBilling, an_origin
from billing_core.use_cases.check_purchases import AFTER_REFUSAL, AFTER_TROUBLE, REFUSED_TOO_LONG
from billing_core.views import PurchaseView

MINUTE = timedelta(minutes=1)
BY = an_origin(actor="ada")


@pytest.fixture
def endless(clock: FixedClock) -> InMemoryBilling:
    """Billing on a platform that cannot end a checkout."""
    return InMemoryBilling(clock=clock, platforms=[NoCancelling()])


async def _called_off(billing: InMemoryBilling) -> PurchaseView:
    purchase = await a_bought_one(billing)
    await billing.operate.cancel(key_of(purchase), BY)
    return purchase


async def _days_pass(billing: InMemoryBilling, days: int) -> None:
    for _ in range(4 * days):
        billing.clock.advance(timedelta(hours=6))
        await billing.reconcile_purchases()
        await billing.expire_purchases()


class TestCalledOff:
    async def test_a_payment_whose_notice_was_lost_is_found(self, endless: InMemoryBilling) -> None:
        """The page stays open at the platform until it expires there; payment counts, as late."""
        purchase = await _called_off(endless)
        endless.platform.pay(reference_of(purchase))

        await _days_pass(endless, 1)

        assert (stored(endless, purchase).status, stored(endless, purchase).late) == (PurchaseStatus.COMPLETED, True)
        assert stored(endless, purchase).check_at is None
        assert told(endless) == ["purchase.cancelled", "credits.purchased"]

    async def test_so_is_one_after_a_dismissal(self, endless: InMemoryBilling) -> None:
        """Dismissed because of another payment, and then the merchant pays the page that could not be ended."""
        purchase, _ = await an_otherwise_paid_one(endless)
        await endless.operate.resolve(key_of(purchase), "dismiss", BY)
        endless.platform.pay(reference_of(purchase))

        await _days_pass(endless, 1)

        assert stored(endless, purchase).is_paid

    async def test_the_end_of_another_checkout_of_it_does_not_end_the_asking(self, endless: InMemoryBilling) -> None:
        """The page the merchant was handed is open all the same, and its notice may be lost."""
        purchase = await _called_off(endless)
        orphan = an_orphan_of(endless, purchase)
        endless.platform.expire(orphan)
        await tell(endless, purchase, orphan)
        endless.platform.pay(reference_of(purchase))

        await _days_pass(endless, 1)

        assert stored(endless, purchase).is_paid

    async def test_money_under_way_when_its_grace_is_over_is_waited_for(self, endless: InMemoryBilling) -> None:
        """The merchant confirmed in time; the money takes days."""
        purchase = await _called_off(endless)
        endless.platform.process(reference_of(purchase))
        await _days_pass(endless, 4)
        endless.platform.pay(reference_of(purchase))

        await _days_pass(endless, 1)

        assert (stored(endless, purchase).status, stored(endless, purchase).late) == (PurchaseStatus.COMPLETED, True)

    async def test_one_that_nobody_pays_is_asked_about_until_its_grace_is_over(self, endless: InMemoryBilling) -> None:
        """Ever more seldom, at the very end once more, and then never again."""
        purchase = await _called_off(endless)
        over_at = purchase.expires_at + endless.platform.expiry_grace

        await _days_pass(endless, 2)
        still = stored(endless, purchase).check_at
        endless.clock.set(over_at)
        last = await endless.reconcile_purchases()
        endless.clock.advance(timedelta(days=1))
        never = await endless.reconcile_purchases()

        assert still == over_at
        assert (last.figures["asked"], never.figures["asked"]) == (1, 0)
        assert (stored(endless, purchase).check_at, told(endless)) == (None, ["purchase.cancelled"])

    async def test_one_the_platform_says_is_over_is_not_asked_about_again(self, billing: InMemoryBilling) -> None:
        """Its page was ended before it was called off."""
        purchase = await _called_off(billing)
        asked = len(billing.platform.calls_of("look_up"))

        await _days_pass(billing, 3)

        assert stored(billing, purchase).check_at is None
        assert len(billing.platform.calls_of("look_up")) == asked

    async def test_its_end_at_the_platform_ends_the_asking_and_changes_nothing(self, endless: InMemoryBilling) -> None:
        """It stays called off, whatever the platform calls it."""
        purchase = await _called_off(endless)
        endless.platform.expire(reference_of(purchase))

        await endless.notify(reference_of(purchase))

        assert stored(endless, purchase).check_at is None
        assert (stored(endless, purchase).status, told(endless)) == (PurchaseStatus.CANCELLED, ["purchase.cancelled"])

    async def test_trouble_puts_the_next_question_off(self, endless: InMemoryBilling) -> None:
        """Not knowing is not unpaid, also past the deadline."""
        purchase = await _called_off(endless)
        endless.clock.set(purchase.expires_at + endless.platform.expiry_grace)
        endless.platform.fail("look_up", AWAY)

        await endless.reconcile_purchases()

        assert stored(endless, purchase).check_at == endless.clock.now() + AFTER_TROUBLE

    async def test_a_platform_that_refuses_us_for_days_ends_the_asking_and_rings_nobody(
        self, endless: InMemoryBilling
    ) -> None:
        """Somebody called it off already; a person could do no more."""
        purchase = await _called_off(endless)
        too_long_at = purchase.expires_at + REFUSED_TOO_LONG
        endless.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"), times=2)

        await endless.reconcile_purchases(too_long_at - MINUTE)
        put_off = stored(endless, purchase).check_at
        await endless.reconcile_purchases(too_long_at - MINUTE + AFTER_REFUSAL)

        assert put_off == too_long_at - MINUTE + AFTER_REFUSAL
        assert stored(endless, purchase).check_at is None
        assert told(endless) == ["purchase.cancelled"]

    async def test_so_does_trouble_that_never_passes_and_no_question_is_archived(
        self, endless: InMemoryBilling
    ) -> None:
        """A platform that is away for good is not asked for ever; what is put away waits for nothing."""
        purchase = await _called_off(endless)
        too_long_at = purchase.expires_at + REFUSED_TOO_LONG
        endless.platform.fail("look_up", AWAY, times=2)

        await endless.reconcile_purchases(too_long_at - MINUTE)
        put_off = stored(endless, purchase).check_at
        await endless.reconcile_purchases(too_long_at - MINUTE + AFTER_TROUBLE)
        endless.clock.set(too_long_at + ARCHIVED_AFTER)
        await endless.archive_purchases()

        assert put_off == too_long_at - MINUTE + AFTER_TROUBLE
        assert endless.storage.tables.archive[purchase.id].check_at is None
        assert told(endless) == ["purchase.cancelled"]

    async def test_it_is_archived_like_any_other_and_a_late_payment_brings_it_back(
        self, endless: InMemoryBilling
    ) -> None:
        """Long after the last question."""
        purchase = await _called_off(endless)
        await _days_pass(endless, 3)
        endless.clock.advance(ARCHIVED_AFTER)
        archived = (await endless.archive_purchases()).done

        await endless.pay(purchase)

        assert archived == 1
        assert (stored(endless, purchase).status, stored(endless, purchase).late) == (PurchaseStatus.COMPLETED, True)
