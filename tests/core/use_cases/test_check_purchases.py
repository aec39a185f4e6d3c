"""Open purchases are looked after: what webhooks lost is settled, and nothing is expired unasked."""

from datetime import timedelta

import pytest

from billing_core.domain.money import Money
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformAuthError, PlatformFault, PlatformUnavailable
from billing_core.testing import InMemoryBilling, ScriptedPlatform
from billing_core.use_cases.check_purchases import AFTER_TROUBLE, REFUSED_TOO_LONG, ExpirePurchases, ReconcilePurchases
from billing_core.use_cases.inbound import Done
from billing_core.views import PurchaseView

AWAY = PlatformUnavailable("sandbox", "no answer")


def _status(billing: InMemoryBilling, purchase: PurchaseView) -> PurchaseStatus:
    return billing.storage.tables.purchases[purchase.id].status


def _reference(purchase: PurchaseView) -> str:
    assert purchase.platform_reference is not None
    return purchase.platform_reference


async def _bought(billing: InMemoryBilling, number: int = 1) -> list[PurchaseView]:
    return [await billing.buy(await billing.register()) for _ in range(number)]


async def _never_answered(billing: InMemoryBilling, *, made: bool) -> None:
    """A purchase whose create call got no answer, with a checkout at the platform or without."""
    caller = await billing.register()
    billing.platform.fail("create_checkout", AWAY, after_effect=made)
    with pytest.raises(PlatformUnavailable):
        await billing.buy(caller)


class TestReconcilePurchases:
    async def test_completes_a_payment_whose_notice_was_lost_and_the_notice_then_changes_nothing(
        self, billing: InMemoryBilling
    ) -> None:
        """The same path as a notice's, so the same payment counts once (market.md 40)."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        purchase = await billing.buy(caller)
        billing.platform.pay(_reference(purchase))
        billing.clock.advance(timedelta(minutes=1))

        report = await billing.reconcile_purchases()
        await billing.notify(_reference(purchase))

        assert (report.done, report.figures["completed"], report.figures["asked"]) == (1, 1, 1)
        kinds = [event.type.removeprefix("evt.billing.") for event in await billing.events()]
        assert kinds == ["trial.started", "purchase.created", "credits.purchased", "trial.converted"]
        (completed,) = [each for each in billing.storage.tables.changes.values() if each.what == "completed"]
        assert completed.by.actor == "job:reconcile-purchases"

    async def test_every_fault_of_an_adapter_is_told(self, billing: InMemoryBilling) -> None:
        """Each by itself, and all of them in a figure that can be watched."""
        await _bought(billing, 2)
        billing.clock.advance(timedelta(minutes=1))
        fault = PlatformFault("sandbox", "KeyError")
        billing.platform.fail("look_up", fault, times=2)

        report = await billing.reconcile_purchases()

        assert (report.figures["faults"], report.faults) == (2, (fault, fault))

    async def test_asks_less_often_as_a_purchase_ages(self, billing: InMemoryBilling) -> None:
        """A purchase nobody pays costs a handful of questions, not thousands."""
        await _bought(billing)

        for _ in range(24 * 60):
            billing.clock.advance(timedelta(minutes=1))
            await billing.reconcile_purchases()

        assert 8 <= len(billing.platform.calls_of("look_up")) <= 16

    async def test_finds_the_checkout_of_a_create_that_was_never_answered(self, billing: InMemoryBilling) -> None:
        """By the purchase, since the reference never reached us."""
        await _never_answered(billing, made=True)
        (reference,) = billing.platform.payments
        billing.platform.pay(reference)
        billing.clock.advance(timedelta(minutes=1))

        report = await billing.reconcile_purchases()

        (purchase,) = billing.storage.tables.purchases.values()
        assert (report.figures["completed"], purchase.platform_reference) == (1, reference)
        assert await billing.notify(reference) == Done()
        assert [event.type for event in await billing.events()].count("evt.billing.credits.purchased") == 1

    async def test_ends_what_the_platform_ended(self, billing: InMemoryBilling) -> None:
        """A declined purchase is declined, lost notice or not."""
        (purchase,) = await _bought(billing)
        billing.platform.decline(_reference(purchase))
        billing.clock.advance(timedelta(minutes=1))

        report = await billing.reconcile_purchases()

        assert (report.figures["ended"], _status(billing, purchase)) == (1, PurchaseStatus.DECLINED)

    async def test_counts_what_needs_review_and_what_could_not_be_asked(self, billing: InMemoryBilling) -> None:
        """Figures tell operators what no event does."""
        wrong, unreachable = await _bought(billing, 2)
        billing.platform.pay(_reference(wrong), price=Money(amount_minor=1, currency="USD"))
        billing.clock.advance(timedelta(minutes=1))
        await billing.reconcile_purchases()
        billing.platform.fail("look_up", AWAY, times=2)
        billing.clock.advance(timedelta(minutes=5))

        report = await billing.reconcile_purchases()

        assert billing.storage.tables.purchases[wrong.id].needs_review
        assert (report.done, report.figures["platform_errors"]) == (0, 2)
        assert _status(billing, unreachable) is PurchaseStatus.PENDING

    async def test_works_through_more_than_one_batch_though_some_always_fail(self, billing: InMemoryBilling) -> None:
        """A platform in trouble neither ends the run nor makes it endless (market.md 29)."""
        await _bought(billing, 5)
        billing.clock.advance(timedelta(minutes=1))
        billing.platform.fail("look_up", AWAY, times=5)
        job = ReconcilePurchases(units=billing.storage.units, check=billing.check, clock=billing.clock, batch=2)

        report = await job()

        assert (report.figures["asked"], report.figures["platform_errors"]) == (5, 5)


class TestExpirePurchases:
    async def test_asks_before_it_expires_and_a_paid_one_completes(self, billing: InMemoryBilling) -> None:
        """The platform's answer decides, not our clock (contract 5, rule 4)."""
        unpaid, paid = await _bought(billing, 2)
        billing.platform.pay(_reference(paid))
        billing.clock.advance(timedelta(hours=49))

        report = await billing.expire_purchases()

        assert (report.done, report.figures["ended"], report.figures["completed"]) == (2, 1, 1)
        assert (_status(billing, unpaid), _status(billing, paid)) == (
            PurchaseStatus.EXPIRED,
            PurchaseStatus.COMPLETED,
        )

    async def test_waits_for_the_platforms_grace_to_pass(self, billing: InMemoryBilling) -> None:
        """Exactly at deadline and grace, not a microsecond before."""
        (purchase,) = await _bought(billing)
        billing.clock.set(purchase.expires_at + billing.platform.expiry_grace - timedelta(microseconds=1))

        early = await billing.expire_purchases()
        billing.clock.advance(timedelta(microseconds=1))
        late = await billing.expire_purchases()

        assert (early.done, late.done) == (0, 1)

    async def test_told_a_later_time_it_does_what_is_due_then(self, billing: InMemoryBilling) -> None:
        """An operator may say when "now" is, as with every job."""
        (purchase,) = await _bought(billing)

        report = await billing.expire_purchases(purchase.expires_at + timedelta(hours=1))

        assert (report.done, _status(billing, purchase)) == (1, PurchaseStatus.EXPIRED)

    async def test_leaves_a_purchase_open_while_the_platform_cannot_be_asked(self, billing: InMemoryBilling) -> None:
        """Not knowing is not unpaid; the next run asks again."""
        (purchase,) = await _bought(billing)
        billing.clock.advance(timedelta(days=3))
        billing.platform.fail("look_up", AWAY)

        first, at_once = await billing.expire_purchases(), await billing.expire_purchases()
        billing.clock.advance(AFTER_TROUBLE)
        later = await billing.expire_purchases()

        assert (first.figures["platform_errors"], at_once.figures["asked"]) == (1, 0)
        assert (first.done, later.done) == (0, 1)
        assert _status(billing, purchase) is PurchaseStatus.EXPIRED

    async def test_leaves_a_payment_under_way_open(self, billing: InMemoryBilling) -> None:
        """Confirmed by the merchant, money on its way: never expired (market.md 11)."""
        (purchase,) = await _bought(billing)
        billing.platform.process(_reference(purchase))
        billing.clock.advance(timedelta(days=10))

        await billing.expire_purchases()

        assert _status(billing, purchase) is PurchaseStatus.PENDING

    async def test_leaves_what_a_person_must_look_at_and_does_not_ask_each_minute(
        self, billing: InMemoryBilling
    ) -> None:
        """A mismatched payment is not told as unpaid, and the reconciler alone keeps asking."""
        (purchase,) = await _bought(billing)
        billing.platform.pay(_reference(purchase), price=Money(amount_minor=1, currency="USD"))
        billing.clock.advance(timedelta(days=3))

        await billing.expire_purchases()
        await billing.expire_purchases()

        assert billing.storage.tables.purchases[purchase.id].needs_review
        assert len(billing.platform.calls_of("look_up")) == 1

    async def test_fails_a_purchase_whose_checkout_was_never_made(self, billing: InMemoryBilling) -> None:
        """Crashed before the platform had it: nobody could ever pay it."""
        await _never_answered(billing, made=False)
        billing.clock.advance(timedelta(days=3))

        await billing.expire_purchases()

        (purchase,) = billing.storage.tables.purchases.values()
        (told,) = [each for each in billing.storage.tables.changes.values() if each.what == "failed"]
        assert purchase.status is PurchaseStatus.FAILED
        assert (told.reason, told.at, told.by.actor) == (
            "no checkout was made",
            billing.clock.now(),
            "job:expire-purchases",
        )

    async def test_one_a_person_was_asked_about_waits_though_its_platform_says_unpaid_at_last(
        self, billing: InMemoryBilling
    ) -> None:
        """The person's answer ends it, not the clock."""
        (purchase,) = await _bought(billing)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))
        await billing.reconcile_purchases(purchase.expires_at + REFUSED_TOO_LONG)
        billing.clock.set(purchase.expires_at + 2 * REFUSED_TOO_LONG)

        report = await billing.expire_purchases()

        assert (report.figures["asked"], report.done) == (1, 0)
        assert billing.storage.tables.purchases[purchase.id].needs_review
        assert _status(billing, purchase) is PurchaseStatus.PENDING

    async def test_leaves_purchases_of_a_platform_that_is_no_longer_configured(self, billing: InMemoryBilling) -> None:
        """There is nobody to ask."""
        (purchase,) = await _bought(billing)
        billing.clock.advance(timedelta(days=3))
        elsewhere = InMemoryBilling(
            platforms=[ScriptedPlatform("stripe")], storage=billing.storage, clock=billing.clock
        )

        assert (await elsewhere.expire_purchases()).figures["platform_errors"] == 1
        assert _status(billing, purchase) is PurchaseStatus.PENDING

    async def test_one_that_cannot_be_asked_never_stands_in_the_way_of_the_next(self, billing: InMemoryBilling) -> None:
        """More rows than one batch, the first ones always failing: every other one still ends (market.md 29)."""
        purchases = await _bought(billing, 5)
        billing.clock.advance(timedelta(days=3))
        billing.platform.fail("look_up", AWAY, times=2)
        job = ExpirePurchases(units=billing.storage.units, check=billing.check, clock=billing.clock, batch=2)

        report = await job()

        assert (report.figures["platform_errors"], report.figures["ended"]) == (2, 3)
        assert len(purchases) == 5
