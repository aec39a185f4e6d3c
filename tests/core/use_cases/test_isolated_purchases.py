"""A purchase that cannot be settled or asked about stands in nobody's way, and is looked at again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf, nan
from typing import Any, cast
from uuid import UUID

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

from billing_core.domain.events import Change
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import (
    LONGEST_RETRY_AFTER_S,
    PlatformAuthError,
    PlatformFault,
    PlatformThrottled,
    ReferenceAlreadyClaimed,
    StorageUnavailable,
)
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT, FixedClock, InMemoryBilling, ScriptedPlatform, a_purchase, an_origin
from billing_core.testing.contracts.waiting import registered
from billing_core.testing.contracts.waiting import stored as kept
from billing_core.use_cases.check_purchases import (
    AFTER_REFUSAL,
    AFTER_TROUBLE,
    REFUSED_TOO_LONG,
    CheckPurchases,
    ReconcilePurchases,
)
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

MINUTE = timedelta(minutes=1)


class _Confused(ScriptedPlatform):
    """Finds the first checkout for every purchase, and answers nonsense about the references it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.nonsense: set[str] = set()
        self.crashes = False

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will give the first checkout there is, whosever it is."""
        return next(iter(self.payments))

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will answer about any account's checkout, or with what is no report at all, or trip."""
        if self.crashes:
            raise KeyError("status")
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


class _Stumbling(SettlePurchases):
    """Settles nothing at first: an adapter's report could not be understood."""

    calls = 0

    async def __call__(self, *settlements: Any, **how: Any) -> Any:
        """This will trip the first time."""
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("stumbled")
        return await super().__call__(*settlements, **how)


class _BrokenRow(SettlePurchases):
    """Settles every purchase but one."""

    broken: UUID

    async def __call__(self, settlements: Sequence[Settlement], **how: Any) -> Sequence[Change]:
        """This will raise where that one is among them."""
        if any(each.purchase_id == self.broken for each in settlements):
            raise RuntimeError("its row is broken")
        return await super().__call__(settlements, **how)


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

        first = await confused.reconcile_purchases(now := confused.clock.now() + MINUTE)
        noted = {each.what: each for each in confused.storage.tables.changes.values()}
        confused.clock.advance(timedelta(hours=1))
        second = await confused.reconcile_purchases()

        flagged = confused.storage.tables.purchases[unanswered.purchase_id]
        assert stored(confused, other).is_paid
        assert (flagged.status, flagged.platform_reference) == (PurchaseStatus.CREATED, None)
        assert flagged.review.reason == "the platform reports a payment that is another purchase's"
        assert (noted["needs_review"].at, noted["completed"].at) == (now, now)
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

    async def test_can_be_dismissed_and_is_then_asked_about_no_more(self, confused: InMemoryBilling) -> None:
        """The platform goes on reporting it; a person has answered, and nobody is rung or asked again."""
        purchase = await _taken_for_another(confused)
        confused.clock.advance(MINUTE)
        await confused.reconcile_purchases()
        key, before = (purchase.merchant_id, purchase.purchase_id), everything_kept(confused)

        await confused.operate.resolve(key, "dismiss", an_origin(), dry_run=True)
        assert everything_kept(confused) == before
        await confused.operate.resolve(key, "dismiss", an_origin())
        confused.clock.advance(timedelta(days=3))
        await confused.reconcile_purchases()

        dismissed = confused.storage.tables.purchases[purchase.purchase_id]
        assert (dismissed.status, dismissed.needs_review) == (PurchaseStatus.CANCELLED, False)
        assert dismissed.check_at is None
        assert told(confused) == ["credits.purchased", "purchase.needs_review", "purchase.cancelled"]


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

    async def test_in_an_adapter_reach_whoever_must_mend_it(self, confused: InMemoryBilling) -> None:
        """A figure alone would name neither the mistake nor its place."""
        await a_bought_one(confused)
        _platform(confused).crashes = True
        confused.clock.advance(MINUTE)

        report = await confused.reconcile_purchases()

        (fault,) = report.faults
        assert (report.figures["faults"], report.figures["platform_errors"]) == (1, 1)
        assert isinstance(fault, PlatformFault)
        assert isinstance(fault.__cause__, KeyError)

    async def test_stand_in_nobodys_way_though_the_row_itself_is_broken(self, billing: InMemoryBilling) -> None:
        """It can be neither settled nor set aside; the others are settled and the fault is told."""
        broken, fine = await a_bought_one(billing), await a_bought_one(billing)
        for purchase in (broken, fine):
            billing.platform.pay(reference_of(purchase))
        settle = _BrokenRow(units=billing.storage.units, price_book=billing.price_book, clock=billing.clock)
        settle.broken = broken.id
        check = CheckPurchases(units=billing.storage.units, ask=billing.ask, settle=settle, platforms=billing.platforms)

        purchases = [stored(billing, each) for each in (broken, fine)]
        findings = await check(purchases, billing.clock.now(), an_origin())

        assert [type(finding.fault) for finding in findings] == [RuntimeError, type(None)]
        assert (stored(billing, broken), stored(billing, fine).is_paid) == (purchases[0], True)

    @pytest.mark.parametrize(("too_long", "goes_on"), [(-MINUTE, True), (timedelta(0), False)])
    async def test_do_not_end_the_asking_about_one_that_was_called_off(
        self, billing: InMemoryBilling, too_long: timedelta, goes_on: bool
    ) -> None:
        """What could not be understood once says nothing of a page that can still be paid; only time ends that."""
        called_off = a_purchase(await registered(billing.storage), status=PurchaseStatus.CANCELLED, check_at=MOMENT)
        await kept(billing.storage, called_off)
        settle = _Stumbling(units=billing.storage.units, price_book=billing.price_book, clock=billing.clock)
        check = CheckPurchases(units=billing.storage.units, ask=billing.ask, settle=settle, platforms=billing.platforms)

        (finding,) = await check([called_off], called_off.expires_at + REFUSED_TOO_LONG + too_long, an_origin())

        (left,) = billing.storage.tables.purchases.values()
        assert isinstance(finding.fault, RuntimeError)
        assert (left.status, left.check_at is not None) == (PurchaseStatus.CANCELLED, goes_on)

    async def test_that_can_be_neither_settled_nor_put_off_do_not_make_a_run_endless(
        self, billing: InMemoryBilling
    ) -> None:
        """The broken row comes again in the next batch; a run that finds nothing new is over."""
        broken = await a_bought_one(billing)
        settle = _BrokenRow(units=billing.storage.units, price_book=billing.price_book, clock=billing.clock)
        settle.broken = broken.id
        check = CheckPurchases(units=billing.storage.units, ask=billing.ask, settle=settle, platforms=billing.platforms)
        job = ReconcilePurchases(units=billing.storage.units, check=check, clock=billing.clock, batch=1)
        billing.clock.advance(MINUTE)

        report = await job()

        assert (report.figures["asked"], [type(fault) for fault in report.faults]) == (2, [RuntimeError] * 2)


class TestTrouble:
    @pytest.mark.parametrize(
        ("retry_after_s", "wait"),
        [
            (None, AFTER_TROUBLE),
            (1.5, AFTER_TROUBLE),
            (-1.5, AFTER_TROUBLE),
            (nan, AFTER_TROUBLE),
            (1800, timedelta(minutes=30)),
            (LONGEST_RETRY_AFTER_S + 1, timedelta(hours=1)),
            (1e12, timedelta(hours=1)),
            (inf, timedelta(hours=1)),
        ],
    )
    async def test_puts_the_next_check_off_by_as_much_as_the_platform_says(
        self, billing: InMemoryBilling, retry_after_s: float | None, wait: timedelta
    ) -> None:
        """Five minutes at least, so a platform in trouble is not asked each minute; exactly then it is asked again.
        An hour at most: a platform that says nonsense neither stops the job nor is forgotten."""
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
        "retry_after_s", [None, 1.5, AFTER_REFUSAL.total_seconds(), 2 * AFTER_REFUSAL.total_seconds()]
    )
    async def test_put_the_next_check_off_for_longer_than_trouble_that_passes(
        self, billing: InMemoryBilling, retry_after_s: float | None
    ) -> None:
        """A revoked token is mended by people, not by asking every five minutes; an hour it is, whatever is said."""
        purchase = await a_bought_one(billing)
        billing.clock.advance(MINUTE)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled", retry_after_s=retry_after_s))

        await billing.reconcile_purchases()

        assert stored(billing, purchase).check_at == billing.clock.now() + AFTER_REFUSAL

    async def test_for_days_past_the_deadline_ask_for_a_person_once_who_may_dismiss(
        self, billing: InMemoryBilling
    ) -> None:
        """Not a microsecond early; after that it is not told again."""
        purchase = await a_bought_one(billing)
        refused = PlatformAuthError("sandbox", "uninstalled")
        too_long_at = purchase.expires_at + REFUSED_TOO_LONG
        billing.platform.fail("look_up", refused, times=4)
        reasons = []

        for now in (
            too_long_at - timedelta(microseconds=1),
            too_long_at - timedelta(microseconds=1) + AFTER_REFUSAL,
            too_long_at + 3 * AFTER_REFUSAL,
        ):
            await billing.reconcile_purchases(now)
            reasons.append(stored(billing, purchase).review.reason)
        await billing.operate.resolve((purchase.merchant_id, purchase.id), "dismiss", an_origin())

        told_why = "its platform refuses to say, for days past the deadline"
        assert reasons == [None, told_why, told_why]
        assert told(billing) == ["purchase.needs_review", "purchase.cancelled"]

    async def test_for_exactly_so_long_ask_for_a_person(self, billing: InMemoryBilling) -> None:
        """The boundary belongs to the person."""
        purchase = await a_bought_one(billing)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await billing.reconcile_purchases(now := purchase.expires_at + REFUSED_TOO_LONG)

        assert stored(billing, purchase).needs_review
        assert stored(billing, purchase).check_at == now + AFTER_REFUSAL

    async def test_of_an_operators_question_about_a_paid_purchase_ring_nobody(self, billing: InMemoryBilling) -> None:
        """It has no deadline any more: a shop that left after paying is no case for a person."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        billing.clock.set(purchase.expires_at + 2 * REFUSED_TOO_LONG)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await billing.operate.reconcile([(purchase.merchant_id, purchase.id)], an_origin())

        assert not stored(billing, purchase).needs_review
