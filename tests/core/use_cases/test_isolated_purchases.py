"""A purchase that cannot be settled or asked about stands in nobody's way, and is looked at again."""

from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    a_bought_one,
    a_never_answered_one,
    everything_kept,
    reference_of,
    stored,
    told,
)

from billing_core.domain.purchases import PaymentReport, Purchase, PurchaseStatus
from billing_core.errors import PlatformAuthError, PlatformThrottled, ReferenceAlreadyClaimed, StorageUnavailable
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import FixedClock, InMemoryBilling, ScriptedPlatform, an_origin
from billing_core.use_cases.check_purchases import AFTER_REFUSAL, AFTER_TROUBLE, REFUSED_TOO_LONG, CheckPurchases
from billing_core.use_cases.settle_purchases import SettlePurchases

MINUTE = timedelta(minutes=1)


class _Confused(ScriptedPlatform):
    """Finds the first checkout for every purchase, and answers nonsense about the references it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.nonsense: set[str] = set()

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will give the first checkout there is, whosever it is."""
        return next(iter(self.payments))

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will answer about any account's checkout, or with what is no report at all."""
        if platform_reference in self.nonsense:
            return cast("PaymentReport", "nonsense")
        payment = self.payments[platform_reference]
        asking = PlatformAccount(platform_account_id=payment.opened_by, platform_domain=None)
        return await super().look_up(platform_reference, asking, now)


class _StorageAway(SettlePurchases):
    """Settles nothing at first: the database went away after the platforms were asked."""

    calls = 0

    async def __call__(self, *settlements: Any, **how: Any) -> Any:
        """This will raise StorageUnavailable the first time."""
        self.calls += 1
        if self.calls == 1:
            raise StorageUnavailable
        return await super().__call__(*settlements, **how)


@pytest.fixture
def confused(clock: FixedClock) -> InMemoryBilling:
    """Billing on a platform that mixes its payments up."""
    return InMemoryBilling(clock=clock, platforms=[_Confused()])


async def _taken_for_another(confused: InMemoryBilling) -> Purchase:
    """A purchase without a checkout, for which the platform finds the one its merchant paid before."""
    caller = await confused.register()
    await confused.pay(await confused.buy(caller))
    return await a_never_answered_one(confused, caller, made=False)


def _platform(billing: InMemoryBilling) -> _Confused:
    assert isinstance(billing.platform, _Confused)
    return billing.platform


class TestAnothersPayment:
    async def test_is_shown_to_a_person_and_the_other_purchases_settle(self, confused: InMemoryBilling) -> None:
        """One payment is never two purchases': the second is flagged, once, and the batch goes on."""
        unanswered, other = await _taken_for_another(confused), await a_bought_one(confused)
        confused.platform.pay(reference_of(other))
        confused.clock.advance(MINUTE)

        first = await confused.reconcile_purchases()
        confused.clock.advance(timedelta(hours=1))
        second = await confused.reconcile_purchases()

        flagged = confused.storage.tables.purchases[unanswered.purchase_id]
        assert stored(confused, other).is_paid
        assert (flagged.status, flagged.platform_reference) == (PurchaseStatus.CREATED, None)
        assert flagged.review_reason == "the platform reports a payment that is another purchase's"
        assert [type(fault) for fault in first.faults] == [ReferenceAlreadyClaimed]
        assert (first.figures["completed"], first.figures["needs_review"], first.figures["faults"]) == (1, 1, 1)
        assert (second.figures["asked"], second.figures["needs_review"]) == (1, 0)
        assert sorted(told(confused)) == ["credits.purchased", "credits.purchased", "purchase.needs_review"]

    async def test_a_dry_run_tells_of_it_and_keeps_nothing(self, confused: InMemoryBilling) -> None:
        """Neither the flag nor the settled ones."""
        unanswered, other = await _taken_for_another(confused), await a_bought_one(confused)
        confused.platform.pay(reference_of(other))
        keys = [(unanswered.merchant_id, unanswered.purchase_id), (other.merchant_id, other.id)]
        before = everything_kept(confused)

        findings = await confused.operate.reconcile(keys, an_origin(), dry_run=True)

        assert everything_kept(confused) == before
        assert [[change.what for change in finding.changes] for finding in findings] == [
            ["needs_review"],
            ["completed"],
        ]
        assert [type(finding.fault) for finding in findings] == [ReferenceAlreadyClaimed, type(None)]


class TestUnforeseenFaults:
    async def test_are_reported_and_the_purchase_is_looked_at_again_later(self, confused: InMemoryBilling) -> None:
        """No person is rung, for none could help; the others settle; once the fault is mended it settles too."""
        broken, fine = await a_bought_one(confused), await a_bought_one(confused)
        for purchase in (broken, fine):
            confused.platform.pay(reference_of(purchase))
        _platform(confused).nonsense.add(reference_of(broken))
        confused.clock.advance(MINUTE)

        report = await confused.reconcile_purchases()
        put_off = stored(confused, broken)
        _platform(confused).nonsense.clear()
        at_once = await confused.reconcile_purchases()
        confused.clock.advance(MINUTE)
        mended = await confused.reconcile_purchases()

        assert [type(fault) for fault in report.faults] == [AttributeError]
        assert (report.done, report.figures["faults"], stored(confused, fine).is_paid) == (1, 1, True)
        assert (put_off.is_open, put_off.needs_review) == (True, False)
        assert put_off.check_at == confused.clock.now()
        assert (at_once.figures["asked"], mended.done, mended.faults) == (0, 1, ())
        assert stored(confused, broken).is_paid

    async def test_do_not_expire_what_could_not_be_understood(self, confused: InMemoryBilling) -> None:
        """Past its deadline, and the answer is nonsense: that is not "unpaid"."""
        purchase = await a_bought_one(confused)
        _platform(confused).nonsense.add(reference_of(purchase))
        confused.clock.advance(timedelta(days=3))

        report = await confused.expire_purchases()

        assert (report.done, len(report.faults)) == (0, 1)
        assert stored(confused, purchase).status is PurchaseStatus.PENDING

    async def test_a_storage_that_is_away_stops_the_run_and_blames_no_purchase(self, billing: InMemoryBilling) -> None:
        """Nothing was decided; the next run does it all."""
        purchase = await a_bought_one(billing)
        away = _StorageAway(units=billing.storage.units, price_book=billing.price_book, clock=billing.clock)
        check = CheckPurchases(units=billing.storage.units, ask=billing.ask, settle=away, platforms=billing.platforms)

        with pytest.raises(StorageUnavailable):
            await check([stored(billing, purchase)], billing.clock.now(), an_origin())

        assert away.calls == 1


class TestTrouble:
    @pytest.mark.parametrize(
        ("retry_after_s", "wait"),
        [(None, AFTER_TROUBLE), (1.5, AFTER_TROUBLE), (1800, timedelta(minutes=30))],
    )
    async def test_puts_the_next_check_off_by_as_much_as_the_platform_says(
        self, billing: InMemoryBilling, retry_after_s: float | None, wait: timedelta
    ) -> None:
        """Five minutes at least, so a platform in trouble is not asked each minute; exactly then it is asked again."""
        purchase = await a_bought_one(billing)
        billing.clock.advance(MINUTE)
        billing.platform.fail("look_up", PlatformThrottled("sandbox", "slow down", retry_after_s=retry_after_s))

        await billing.reconcile_purchases()
        due_at = stored(billing, purchase).check_at
        billing.clock.advance(wait - timedelta(microseconds=1))
        early = await billing.reconcile_purchases()
        billing.clock.advance(timedelta(microseconds=1))
        due = await billing.reconcile_purchases()

        assert due_at == billing.clock.now()
        assert (early.figures["asked"], due.figures["asked"]) == (0, 1)

    async def test_of_an_operators_question_changes_nothing_of_a_purchase_that_is_over(
        self, billing: InMemoryBilling
    ) -> None:
        """A paid purchase has no check to put off."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        before = stored(billing, purchase)
        billing.platform.fail("look_up", AWAY)

        await billing.operate.reconcile([(purchase.merchant_id, purchase.id)], an_origin())

        assert stored(billing, purchase) == before


class TestRefusals:
    @pytest.mark.parametrize(
        ("retry_after_s", "wait"), [(None, AFTER_REFUSAL), (2 * AFTER_REFUSAL.total_seconds(), 2 * AFTER_REFUSAL)]
    )
    async def test_put_the_next_check_off_for_longer_than_trouble_that_passes(
        self, billing: InMemoryBilling, retry_after_s: float | None, wait: timedelta
    ) -> None:
        """A revoked token is mended by people, not by asking every five minutes."""
        purchase = await a_bought_one(billing)
        billing.clock.advance(MINUTE)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled", retry_after_s=retry_after_s))

        await billing.reconcile_purchases()

        assert stored(billing, purchase).check_at == billing.clock.now() + wait

    async def test_for_days_past_the_deadline_ask_for_a_person_once_who_may_dismiss(
        self, billing: InMemoryBilling
    ) -> None:
        """Not a microsecond early; after that it is not told again."""
        purchase = await a_bought_one(billing)
        refused = PlatformAuthError("sandbox", "uninstalled")
        too_long_at = purchase.expires_at + REFUSED_TOO_LONG
        billing.platform.fail("look_up", refused, times=3)
        reasons = []

        for now in (
            too_long_at - timedelta(microseconds=1),
            too_long_at - timedelta(microseconds=1) + AFTER_REFUSAL,
            too_long_at + 3 * AFTER_REFUSAL,
        ):
            await billing.reconcile_purchases(now)
            reasons.append(stored(billing, purchase).review_reason)
        await billing.operate.resolve((purchase.merchant_id, purchase.id), "dismiss", an_origin())

        told_why = "sandbox: uninstalled, for days past its deadline"
        assert reasons == [None, told_why, told_why]
        assert told(billing) == ["purchase.needs_review", "purchase.cancelled"]

    async def test_for_exactly_so_long_ask_for_a_person(self, billing: InMemoryBilling) -> None:
        """The boundary belongs to the person."""
        purchase = await a_bought_one(billing)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await billing.reconcile_purchases(purchase.expires_at + REFUSED_TOO_LONG)

        assert stored(billing, purchase).needs_review

    async def test_of_an_operators_question_about_a_paid_purchase_ring_nobody(self, billing: InMemoryBilling) -> None:
        """It has no deadline any more: a shop that left after paying is no case for a person."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        billing.clock.set(purchase.expires_at + 2 * REFUSED_TOO_LONG)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await billing.operate.reconcile([(purchase.merchant_id, purchase.id)], an_origin())

        assert not stored(billing, purchase).needs_review
