"""Refunds the platform's look-up does not tell of are read where they are told, and followed like any other."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest
from tests.core.use_cases.refunds import a_paid_one, a_refund_of, dollars, following
from tests.core.use_cases.stored_purchases import AWAY, a_bought_one, reference_of, stored, told

from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformAuthError, PlatformError, PlatformFault, PlatformUnavailable
from billing_core.ports.platforms import PlatformAccount, Refund
from billing_core.testing import FixedClock, InMemoryBilling, ScriptedPlatform
from billing_core.use_cases.follow_refunds import BATCH, FIRST_LOOK_BACK, OVERLAP

HOUR = timedelta(hours=1)


class _Nonsense(ScriptedPlatform):
    """Answers about one reference what nobody can make sense of."""

    nonsense = ""

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will answer as told."""
        report = await super().look_up(platform_reference, account, now)
        if report is None or platform_reference != self.nonsense:
            return report
        return replace(report, observed_at=cast("datetime", "nonsense"))


class _Tripping(ScriptedPlatform):
    """An adapter that did not foresee what its platform answers."""

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will trip."""
        raise KeyError("status")


@pytest.fixture
def silent(clock: FixedClock) -> InMemoryBilling:
    """Billing on a platform whose look-up tells neither refunds nor disputes."""
    return InMemoryBilling(clock=clock, platforms=[ScriptedPlatform(tells_refunds=False)])


def _platform(billing: InMemoryBilling) -> _Nonsense:
    assert isinstance(billing.platform, _Nonsense)
    return billing.platform


def _read_since(billing: InMemoryBilling) -> list[datetime]:
    return [datetime.fromisoformat(call.about) for call in billing.platform.calls_of("refunds")]


class TestFollowRefunds:
    async def test_a_refund_the_look_up_does_not_tell_of_is_followed(self, silent: InMemoryBilling) -> None:
        """A notice after the refund changes nothing; the job takes the credits back."""
        purchase = await a_paid_one(silent)
        silent.platform.refund(reference_of(purchase), 6999)
        await silent.notify(reference_of(purchase))
        before = stored(silent, purchase).status

        report = await silent.follow_refunds()

        assert (before, stored(silent, purchase).status) == (PurchaseStatus.COMPLETED, PurchaseStatus.REFUNDED)
        assert (report.done, report.figures["read"], report.figures["changed"]) == (1, 1, 1)
        assert told(silent) == ["credits.purchased", "credits.reversed"]

    async def test_partial_refunds_are_cumulative_and_reading_them_again_changes_nothing(
        self, silent: InMemoryBilling
    ) -> None:
        """Half, the same half read again, then the rest: exactly all credits, in two steps."""
        purchase = await a_paid_one(silent)
        reversed_after = []

        for more in (3500, 0, 3499, 0):
            silent.platform.refund(reference_of(purchase), more)
            silent.clock.advance(HOUR)
            await silent.follow_refunds()
            reversed_after.append(stored(silent, purchase).credits_reversed)

        assert reversed_after == [501, 501, 1000, 1000]
        assert told(silent) == ["credits.purchased", "credits.reversed", "credits.reversed"]

    async def test_a_look_up_later_does_not_undo_what_the_source_told(self, silent: InMemoryBilling) -> None:
        """The platform's silence about refunds is no refund taken back."""
        purchase = await a_paid_one(silent)
        silent.platform.refund(reference_of(purchase), 3500)
        await silent.follow_refunds()
        silent.clock.advance(HOUR)

        await silent.notify(reference_of(purchase))

        assert stored(silent, purchase).status is PurchaseStatus.PARTIALLY_REFUNDED

    async def test_a_payment_first_heard_of_by_its_refund_is_granted_and_taken_back(
        self, silent: InMemoryBilling
    ) -> None:
        """Paid and refunded while every notice was lost: both are told, in this order."""
        purchase = await a_bought_one(silent)
        silent.platform.pay(reference_of(purchase))
        silent.platform.refund(reference_of(purchase), 6999)

        await silent.follow_refunds()

        assert stored(silent, purchase).status is PurchaseStatus.REFUNDED
        assert told(silent) == ["credits.purchased", "credits.reversed"]

    async def test_charges_that_are_not_ours_are_counted_and_nothing_else(self, silent: InMemoryBilling) -> None:
        """The account has other apps' charges too, and one of ours told for another account is not believed."""
        purchase = await a_paid_one(silent)
        account = stored(silent, purchase).platform_account_id
        another_apps = Refund(platform_reference="another-app's", platform_account_id=account, refunded=dollars(5))
        another_shops = replace(a_refund_of(silent, purchase, 6999), platform_account_id="another-shop")
        job = following(silent, another_apps, another_shops)
        asked = len(silent.platform.calls_of("look_up"))

        report = await job()

        assert (report.done, report.figures["read"], report.figures["not_ours"]) == (0, 2, 2)
        assert stored(silent, purchase).status is PurchaseStatus.COMPLETED
        assert len(silent.platform.calls_of("look_up")) == asked

    async def test_a_refund_in_another_currency_is_shown_to_a_person_and_takes_nothing_back(
        self, silent: InMemoryBilling
    ) -> None:
        """Cents of one currency are no cents of another: 6999 yen are not the whole price in dollars."""
        purchase = await a_paid_one(silent)
        refund = replace(a_refund_of(silent, purchase, 1), refunded=Money(amount_minor=6999, currency="JPY"))

        await following(silent, refund)()
        await following(silent, refund)()

        assert stored(silent, purchase).review.reason == ("JPY 6999 were given back, in another currency than was paid")
        assert (stored(silent, purchase).status, stored(silent, purchase).credits_reversed) == (
            PurchaseStatus.COMPLETED,
            0,
        )
        assert told(silent) == ["credits.purchased", "purchase.needs_review"]

    async def test_that_is_told_too_where_the_same_reading_completes_the_purchase(
        self, silent: InMemoryBilling
    ) -> None:
        """Completing answers questions about the payment, not the one that was raised in the same moment."""
        purchase = await a_bought_one(silent)
        silent.platform.pay(reference_of(purchase))
        yen = replace(a_refund_of(silent, purchase, 1), refunded=Money(amount_minor=6999, currency="JPY"))

        await following(silent, yen)()

        assert (stored(silent, purchase).is_paid, stored(silent, purchase).needs_review) == (True, True)
        assert told(silent) == ["credits.purchased", "purchase.needs_review"]

    async def test_more_than_one_batch_is_followed_to_the_end(self, silent: InMemoryBilling) -> None:
        """The last refund of a long list counts like the first, and the report tells of both."""
        purchases = [await a_paid_one(silent) for _ in range(2)]
        first, last = [a_refund_of(silent, each, 6999) for each in purchases]
        strangers = [replace(last, platform_reference=f"charge-{number}") for number in range(BATCH)]
        fault = PlatformFault("sandbox", "KeyError")
        silent.platform.fail("look_up", fault)

        report = await following(silent, first, *strangers, last)()

        assert report.figures == {"changed": 2, "read": BATCH + 2, "not_ours": BATCH, "platform_errors": 1}
        assert (report.done, report.faults) == (2, (fault,))
        assert {stored(silent, each).status for each in purchases} == {PurchaseStatus.REFUNDED}

    async def test_what_it_changes_is_told_as_its_own_at_the_time_it_was_told(self, silent: InMemoryBilling) -> None:
        """History leads back to the run."""
        purchase = await a_paid_one(silent)
        now = silent.clock.now() + HOUR

        await following(silent, a_refund_of(silent, purchase, 6999))(now)

        change = list(silent.storage.tables.changes.values())[-1]
        assert (change.what, change.by.actor, change.at) == ("refund", "job:follow-refunds", now)

    async def test_where_the_platform_does_not_say_what_was_paid_a_person_must_look(
        self, silent: InMemoryBilling
    ) -> None:
        """No currency is not the refund's currency."""
        purchase = await a_paid_one(silent)
        silent.platform.pay_without_details(reference_of(purchase))

        report = await following(silent, a_refund_of(silent, purchase, 6999))()

        assert (report.done, stored(silent, purchase).needs_review) == (1, True)
        assert stored(silent, purchase).credits_reversed == 0


class TestTrouble:
    @pytest.mark.parametrize("trouble", [AWAY, PlatformAuthError("sandbox", "uninstalled")], ids=["away", "refused"])
    async def test_the_refund_of_a_paid_purchase_counts_though_its_platform_cannot_be_asked(
        self, silent: InMemoryBilling, trouble: PlatformError
    ) -> None:
        """A shop that uninstalled the app answers never again: nobody gives back what was not paid."""
        purchases = [await a_paid_one(silent) for _ in range(2)]
        for purchase in purchases:
            silent.platform.refund(reference_of(purchase), 3500)
        silent.platform.fail("look_up", trouble)

        first = await silent.follow_refunds()
        silent.clock.advance(HOUR)
        second = await silent.follow_refunds()

        assert (first.done, first.figures["platform_errors"]) == (2, 1)
        assert (second.done, second.figures["platform_errors"]) == (0, 0)
        assert {stored(silent, purchase).credits_reversed for purchase in purchases} == {501}

    async def test_a_dispute_stays_open_where_nobody_can_be_asked_about_it(self, billing: InMemoryBilling) -> None:
        """The source tells refunds alone: the credits are not given back for what it does not know."""
        purchase = await a_paid_one(billing)
        billing.platform.dispute(reference_of(purchase), DisputeStatus.OPEN)
        await billing.notify(reference_of(purchase))
        billing.platform.fail("look_up", AWAY)

        await following(billing, a_refund_of(billing, purchase, 3500))()

        assert stored(billing, purchase).status is PurchaseStatus.DISPUTED
        assert (stored(billing, purchase).refunded_minor, stored(billing, purchase).credits_reversed) == (3500, 1000)

    async def test_one_in_another_currency_takes_nothing_back_there_either(self, silent: InMemoryBilling) -> None:
        """Nobody says what was paid, so the offer's currency counts: 6999 yen are for a person, and what was given
        back before stays taken."""
        purchase = await a_paid_one(silent)
        await following(silent, a_refund_of(silent, purchase, 3500))()
        silent.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))
        yen = replace(a_refund_of(silent, purchase, 1), refunded=Money(amount_minor=6999, currency="JPY"))

        await following(silent, yen)()

        assert (stored(silent, purchase).credits_reversed, stored(silent, purchase).needs_review) == (501, True)

    async def test_that_passes_rings_nobody_for_a_purchase_not_known_to_be_paid(self, silent: InMemoryBilling) -> None:
        """Its platform tells the price as soon as it can be asked again, and the next run reads the refund again."""
        purchase = await a_bought_one(silent)
        silent.platform.pay(reference_of(purchase))
        silent.platform.refund(reference_of(purchase), 3500)
        silent.platform.fail("look_up", AWAY)

        await silent.follow_refunds()
        at_first = told(silent)
        await silent.follow_refunds()

        assert (at_first, told(silent)) == ([], ["credits.purchased", "credits.reversed"])

    async def test_an_adapter_that_trips_is_told_and_the_refund_counts_all_the_same(
        self, silent: InMemoryBilling, clock: FixedClock
    ) -> None:
        """Whoever must mend it hears of it, once the refund of a paid purchase is followed."""
        tripping = InMemoryBilling(clock=clock, platforms=[_Tripping(tells_refunds=False)], storage=silent.storage)
        purchase = await a_paid_one(silent)

        report = await following(tripping, a_refund_of(silent, purchase, 6999))()

        assert [(type(fault), type(fault.__cause__)) for fault in report.faults] == [(PlatformFault, KeyError)]
        assert stored(silent, purchase).status is PurchaseStatus.REFUNDED

    async def test_a_purchase_that_vanished_from_storage_is_told_of(self, silent: InMemoryBilling) -> None:
        """Nothing removes one; storage that lost it is not papered over."""
        purchase = await a_paid_one(silent)
        silent.platform.fail("look_up", AWAY, after_effect=True)
        held = silent.platform.hold("look_up")
        run = asyncio.create_task(following(silent, a_refund_of(silent, purchase, 1))())
        await asyncio.wait_for(held.asked.wait(), 20)
        silent.storage.tables.purchases.clear()

        silent.platform.release(held)

        with pytest.raises(AssertionError, match="never removed"):
            await run

    async def test_one_refused_for_longer_than_the_overlap_is_not_lost(self, silent: InMemoryBilling) -> None:
        """The source tells it once; there is no later run that would read it again."""
        purchase = await a_paid_one(silent)
        refund = a_refund_of(silent, purchase, 6999)
        silent.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await following(silent, refund)()
        silent.clock.advance(2 * OVERLAP)
        await following(silent)()

        assert stored(silent, purchase).status is PurchaseStatus.REFUNDED

    async def test_the_refund_of_an_open_purchase_that_cannot_be_asked_about_is_shown_to_a_person(
        self, silent: InMemoryBilling
    ) -> None:
        """It was paid, but nobody says how much: no credits are granted, and the money is not forgotten."""
        purchase = await a_bought_one(silent)
        silent.platform.fail("look_up", PlatformAuthError("sandbox", "uninstalled"))

        await following(silent, a_refund_of(silent, purchase, 6999))()

        assert (stored(silent, purchase).status, stored(silent, purchase).review.about) == (
            PurchaseStatus.PENDING,
            reference_of(purchase),
        )
        assert "no amount" in str(stored(silent, purchase).review.reason)
        assert told(silent) == ["purchase.needs_review"]

    async def test_one_that_cannot_be_settled_stands_in_nobodys_way_and_is_told(self, clock: FixedClock) -> None:
        """One bad answer among many: the other refunds are followed, and the fault reaches the report."""
        billing = InMemoryBilling(clock=clock, platforms=[_Nonsense(tells_refunds=False)])
        bad, good = await a_paid_one(billing), await a_paid_one(billing)
        for purchase in (bad, good):
            billing.platform.refund(reference_of(purchase), 6999)
        _platform(billing).nonsense = reference_of(bad)

        report = await billing.follow_refunds()

        assert (report.done, len(report.faults)) == (1, 1)
        assert (stored(billing, bad).credits_reversed, stored(billing, good).credits_reversed) == (0, 1000)

    async def test_an_older_reading_of_the_source_never_undoes_a_newer_one(self, silent: InMemoryBilling) -> None:
        """One process reads slowly; before it settles, more is given back and another process follows that."""
        purchase = await a_paid_one(silent)
        silent.platform.refund(reference_of(purchase), 3500)
        held = silent.platform.hold("refunds")
        slow = asyncio.create_task(silent.follow_refunds())
        await asyncio.wait_for(held.asked.wait(), 20)
        silent.clock.advance(HOUR)
        silent.platform.refund(reference_of(purchase), 3499)
        await silent.follow_refunds()
        silent.clock.advance(HOUR)

        silent.platform.release(held)
        await slow

        assert stored(silent, purchase).credits_reversed == 1000
        assert told(silent) == ["credits.purchased", "credits.reversed"]

    async def test_a_payment_the_platform_denies_is_left_as_it_is(self, silent: InMemoryBilling) -> None:
        """The source alone proves nothing; the figure tells an operator."""
        purchase = await a_paid_one(silent)
        refund = a_refund_of(silent, purchase, 6999)
        silent.platform.forget(reference_of(purchase))

        report = await following(silent, refund)()

        assert (report.done, report.figures["platform_errors"]) == (0, 1)
        assert stored(silent, purchase).status is PurchaseStatus.COMPLETED

    async def test_a_source_in_trouble_is_raised_and_the_next_run_reads_the_same_time_again(
        self, silent: InMemoryBilling
    ) -> None:
        """The run is not noted, so nothing in it is skipped."""
        await silent.jobs()
        purchase = await a_paid_one(silent)
        silent.platform.refund(reference_of(purchase), 6999)
        silent.clock.advance(HOUR)
        silent.platform.fail("refunds", AWAY)

        outcomes = await silent.jobs()
        silent.clock.advance(timedelta(minutes=1))
        await silent.jobs()

        (failed,) = [outcome for outcome in outcomes if outcome.error is not None]
        assert (failed.name, type(failed.error)) == ("follow-refunds", PlatformUnavailable)
        first, second, third = _read_since(silent)
        assert second == third > first
        assert stored(silent, purchase).status is PurchaseStatus.REFUNDED


class TestSince:
    async def test_the_first_run_looks_back_a_quarter(self, silent: InMemoryBilling) -> None:
        """What was refunded before the poller was configured still counts."""
        await silent.follow_refunds()

        assert _read_since(silent) == [silent.clock.now() - FIRST_LOOK_BACK]

    async def test_later_runs_overlap_the_last_one(self, silent: InMemoryBilling) -> None:
        """A platform's accounts are closed late: from days before the last run's start, also after an outage."""
        await silent.jobs()
        last = silent.clock.now()
        silent.clock.advance(timedelta(days=30))

        await silent.jobs()

        assert _read_since(silent)[1:] == [last - OVERLAP]

    async def test_told_a_time_it_looks_back_from_then(self, silent: InMemoryBilling) -> None:
        """An operator may say when "now" is, as with every job."""
        then = silent.clock.now() + timedelta(days=400)

        await silent.follow_refunds(then)

        assert _read_since(silent) == [then - FIRST_LOOK_BACK]

    async def test_without_a_source_nothing_is_read_or_asked(self, billing: InMemoryBilling) -> None:
        """Platforms that tell their refunds themselves need no poller."""
        report = await billing.follow_refunds()

        assert (report.done, dict(report.figures), billing.platform.calls) == (0, {}, [])
