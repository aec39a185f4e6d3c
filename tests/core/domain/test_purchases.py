"""The life of a purchase: payment overrides every unpaid end, and nothing unpaid ever overwrites payment."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.core.domain.settling import BY, NOW, TICK, UNPAID_REPORTS, a_paid_purchase, facts, settled

from billing_core.domain.events import (
    CreditsPurchased,
    Price,
    PurchaseCancelled,
    PurchaseCreated,
    PurchaseDeclined,
    PurchaseExpired,
    PurchaseFailed,
)
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Offer
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import OPEN, PAID, UNPAID_ENDS, PurchaseDecision, PurchaseStatus, create_purchase
from billing_core.testing import a_merchant, a_purchase, an_offer, an_origin


def _created(merchant: Merchant, offer: Offer) -> PurchaseDecision:
    return create_purchase(
        UUID(int=5),
        merchant,
        offer,
        return_url="https://shop.example",
        lifetime=timedelta(hours=48),
        test=True,
        now=NOW,
        by=BY,
    )


class TestCreatePurchase:
    def test_freezes_everything_the_platform_will_be_told(self) -> None:
        """The first change announces the offer and the deadline; nothing is paid and no checkout is there."""
        merchant, offer = a_merchant(), an_offer(bonus_credits=50)

        decision = _created(merchant, offer)

        purchase, (change,) = decision.purchase, decision.changes
        assert (purchase.status, purchase.offer, purchase.test) == (PurchaseStatus.CREATED, offer, True)
        assert (purchase.platform_reference, purchase.checkout_url, purchase.completed_at) == (None, None, None)
        assert purchase.expires_at == NOW + timedelta(hours=48)
        assert (change.number, change.status_before, change.status_after) == (1, None, "created")
        assert isinstance(change.fact, PurchaseCreated)
        assert (change.fact.credits, change.fact.bonus_credits) == (1000, 50)

    def test_a_new_purchase_is_told_whole(self) -> None:
        """Other services need not ask what was chosen, for how much, and until when."""
        merchant, offer = a_merchant(), an_offer(bonus_credits=50)

        decision = _created(merchant, offer)

        (change,) = decision.changes
        assert (change.what, change.at, change.by) == ("created", NOW, BY)
        assert change.fact == PurchaseCreated(
            merchant_id=merchant.merchant_id,
            platform=merchant.platform,
            purchase_id=UUID(int=5),
            pack="large",
            credits=1000,
            bonus_credits=50,
            price=Price(amount_minor=6999, currency="USD", amount="69.99"),
            expires_at=NOW + timedelta(hours=48),
        )
        assert decision.purchase.platform_account_id == merchant.platform_account_id
        assert decision.purchase.return_url == "https://shop.example"
        assert decision.purchase.check_at == NOW + timedelta(minutes=1)

    def test_short_references_of_purchases_made_in_the_same_moment_differ(self) -> None:
        """The end of a UUIDv7 is random, its beginning the time; the reference people see uses the end."""
        one, other = a_purchase(), a_purchase()

        assert one.short_reference != other.short_reference
        assert len(one.short_reference) == len("CP-") + 20


class TestCheckoutMade:
    def test_the_first_checkout_is_taken(self) -> None:
        """The purchase waits for its payment from then on."""
        decision = a_purchase(status=PurchaseStatus.CREATED).checkout_made("ref-1", "https://pay.example/1", NOW, BY)

        assert decision.purchase.status is PurchaseStatus.PENDING
        assert (decision.purchase.platform_reference, decision.purchase.checkout_url) == (
            "ref-1",
            "https://pay.example/1",
        )
        assert facts(decision) == []

    @pytest.mark.parametrize("status", [each for each in PurchaseStatus if each is not PurchaseStatus.CREATED])
    def test_only_the_first_checkout_is_ever_handed_out(self, status: PurchaseStatus) -> None:
        """A second one changes nothing, whatever became of the purchase (market.md 23)."""
        purchase = a_purchase(status=status)

        assert purchase.checkout_made("ref-2", "https://pay.example/2", NOW, BY) == PurchaseDecision(purchase)

    def test_a_refused_checkout_fails_the_purchase(self) -> None:
        """The platform's no is an end, with its reason."""
        decision = a_purchase(status=PurchaseStatus.CREATED).fail("PLATFORM_ERROR", NOW, BY)

        (fact,) = facts(decision)
        assert isinstance(fact, PurchaseFailed)
        assert (fact.reason, decision.purchase.status) == ("PLATFORM_ERROR", PurchaseStatus.FAILED)
        assert decision.purchase.ended_at == NOW

    def test_a_purchase_with_a_checkout_cannot_fail_for_want_of_one(self) -> None:
        """Another attempt may have made the checkout in the meantime."""
        purchase = a_purchase()

        assert purchase.fail("PLATFORM_ERROR", NOW, BY) == PurchaseDecision(purchase)


class TestPayment:
    @pytest.mark.parametrize("status", sorted(OPEN))
    def test_verified_payment_completes_an_open_purchase(self, status: PurchaseStatus) -> None:
        """Payment counts even before our own create call has returned (market.md 1)."""
        purchase = a_purchase(status=status, offer=an_offer(bonus_credits=7))

        decision = settled(purchase, platform_reference=purchase.platform_reference or "pay-9")

        assert decision.purchase.status is PurchaseStatus.COMPLETED
        assert decision.purchase.platform_reference is not None
        assert (decision.purchase.completed_at, decision.purchase.late) == (NOW, False)
        (fact,) = facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert (fact.pack, fact.credits, fact.bonus_credits, fact.late) == ("large", 1000, 7, False)
        assert (fact.price.amount_minor, fact.price.amount, fact.price.currency) == (6999, "69.99", "USD")

    @pytest.mark.parametrize("end", sorted(UNPAID_ENDS))
    def test_payment_after_local_expiry_or_cancellation_still_grants_credits_as_late(self, end: str) -> None:
        """Verified payment overrides every unpaid end (market.md 8)."""
        decision = settled(a_purchase(status=end))

        assert (decision.purchase.status, decision.purchase.late) == (PurchaseStatus.COMPLETED, True)
        (fact,) = facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert fact.late is True

    def test_same_report_twice_gives_one_credits_purchased(self) -> None:
        """The second delivery changes nothing at all (market.md 2)."""
        paid = a_paid_purchase()

        assert settled(paid) == PurchaseDecision(paid)

    def test_two_reports_of_one_payment_give_one_credits_purchased(self) -> None:
        """What counts is the payment, not the notice: a later one grants nothing (market.md 3)."""
        again = settled(a_paid_purchase(), seconds=5)

        assert again.changes == ()

    def test_an_older_report_of_payment_counts_for_a_purchase_that_is_not_paid_yet(self) -> None:
        """Staleness never hides a payment."""
        purchase = replace(a_purchase(status=PurchaseStatus.EXPIRED), observed_at=NOW)

        assert settled(purchase, seconds=-60).purchase.is_paid

    @pytest.mark.parametrize("status", sorted(PAID))
    @pytest.mark.parametrize("unpaid", UNPAID_REPORTS)
    def test_nothing_unpaid_overwrites_payment(self, status: PurchaseStatus, unpaid: PaymentStatus) -> None:
        """ACTIVE and then a delayed PENDING or EXPIRED: it stays completed (market.md 5, 22)."""
        purchase = a_purchase(status=status)

        assert settled(purchase, seconds=60, status=unpaid) == PurchaseDecision(purchase)

    @pytest.mark.parametrize("test", [True, False])
    def test_says_whether_the_charge_was_a_test_as_the_platform_says(self, test: bool) -> None:
        """A test charge on a live purchase, and the reverse, are told as what they are (market.md 24)."""
        decision = settled(a_purchase(test=not test), test=test)

        (fact,) = facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert decision.purchase.test is fact.test is test

    def test_a_price_of_nothing_is_paid_and_never_refunded(self) -> None:
        """Amount 0 completes like any other amount (market.md 18)."""
        free = a_purchase(offer=an_offer(price=Money(amount_minor=0, currency="USD")))

        decision = settled(free, refunded_minor=5)

        assert decision.purchase.status is PurchaseStatus.COMPLETED
        assert decision.purchase.credits_reversed == 0


class TestUnpaidEnds:
    @pytest.mark.parametrize(
        ("reported", "status"),
        [
            (PaymentStatus.DECLINED, PurchaseStatus.DECLINED),
            (PaymentStatus.FAILED, PurchaseStatus.FAILED),
            (PaymentStatus.EXPIRED, PurchaseStatus.EXPIRED),
            (PaymentStatus.CANCELLED, PurchaseStatus.CANCELLED),
        ],
    )
    def test_what_the_platform_ends_is_ended_once(self, reported: PaymentStatus, status: PurchaseStatus) -> None:
        """Each end has its own status and is announced; the same or another end later changes nothing."""
        decision = settled(a_purchase(), status=reported)

        assert decision.purchase.status is status
        assert [fact.type for fact in facts(decision)] == [f"evt.billing.purchase.{status}"]
        for other in UNPAID_REPORTS:
            assert settled(decision.purchase, seconds=9, status=other).changes == ()

    @pytest.mark.parametrize("reported", [PaymentStatus.PENDING, PaymentStatus.PROCESSING])
    def test_a_delayed_payment_grants_nothing_before_it_is_paid(self, reported: PaymentStatus) -> None:
        """Pending and processing are no payment; paid later grants once, failed later ends failed (market.md 19)."""
        waiting = settled(a_purchase(), status=reported)

        assert (waiting.purchase.is_open, waiting.changes) == (True, ())
        assert [type(fact) for fact in facts(settled(waiting.purchase, seconds=9))] == [CreditsPurchased]
        failed = settled(waiting.purchase, seconds=9, status=PaymentStatus.FAILED)
        assert [type(fact) for fact in facts(failed)] == [PurchaseFailed]

    def test_declined_is_told_as_declined(self) -> None:
        """The merchant said no on the platform's page."""
        assert [type(fact) for fact in facts(settled(a_purchase(), status=PaymentStatus.DECLINED))] == [
            PurchaseDeclined
        ]

    def test_expires_exactly_at_its_deadline(self) -> None:
        """One microsecond before it is still open."""
        purchase = a_purchase()

        assert purchase.is_usable(purchase.expires_at - TICK)
        assert purchase.expire(purchase.expires_at - TICK, BY) == PurchaseDecision(purchase)
        assert not purchase.is_usable(purchase.expires_at)
        assert [type(fact) for fact in facts(purchase.expire(purchase.expires_at, BY))] == [PurchaseExpired]

    @pytest.mark.parametrize("status", sorted(PAID | UNPAID_ENDS))
    def test_only_an_open_purchase_expires(self, status: PurchaseStatus) -> None:
        """Paid and ended purchases have no deadline any more."""
        purchase = a_purchase(status=status)

        assert purchase.expire(purchase.expires_at + TICK, BY) == PurchaseDecision(purchase)


class TestCancel:
    @pytest.mark.parametrize("status", sorted(OPEN))
    def test_an_open_purchase_is_called_off_with_the_reason(self, status: PurchaseStatus) -> None:
        """The history and the event tell why."""
        decision = a_purchase(status=status).cancel(NOW, an_origin(reason="asked by phone"))

        (fact,) = facts(decision)
        assert isinstance(fact, PurchaseCancelled)
        assert (fact.reason, decision.purchase.status) == ("asked by phone", PurchaseStatus.CANCELLED)
        assert decision.purchase.ended_at == NOW

    def test_its_platform_is_asked_on_and_an_end_the_platform_told_needs_no_more_asking(self) -> None:
        """A page that is called off here may still be paid there (Shopify's cannot be ended); one that is over there
        cannot."""
        purchase = a_purchase()

        called_off = purchase.cancel(NOW, BY).purchase
        told = settled(purchase, status=PaymentStatus.CANCELLED).purchase

        assert (called_off.check_at, told.check_at) == (purchase.check_at, None)

    @pytest.mark.parametrize("status", sorted(PAID | UNPAID_ENDS))
    def test_what_is_over_stays_as_it_is(self, status: PurchaseStatus) -> None:
        """Nobody calls a paid purchase off."""
        purchase = a_purchase(status=status)

        assert purchase.cancel(NOW, BY) == PurchaseDecision(purchase)


class TestNextCheck:
    @pytest.mark.parametrize(
        ("age", "wait"),
        [
            (timedelta(0), timedelta(minutes=1)),
            (timedelta(minutes=10), timedelta(minutes=10)),
            (timedelta(days=2), timedelta(hours=6)),
        ],
    )
    def test_is_looked_after_less_often_as_it_ages(self, age: timedelta, wait: timedelta) -> None:
        """The reconciler backs off from a minute to six hours."""
        purchase = a_purchase()
        now = purchase.created_at + age

        assert purchase.next_check(now, over_at=now + timedelta(days=1)) == now + wait

    def test_is_looked_at_the_moment_it_is_over(self) -> None:
        """However long the back-off, an unpaid purchase ends on time."""
        purchase = a_purchase()
        over_at = purchase.created_at + timedelta(days=2)

        assert purchase.next_check(over_at - timedelta(hours=1), over_at) == over_at
        assert purchase.next_check(over_at - TICK, over_at) == over_at

    @pytest.mark.parametrize(
        ("past", "wait"),
        [
            (timedelta(0), timedelta(minutes=1)),
            (timedelta(minutes=10), timedelta(minutes=10)),
            (timedelta(days=2), timedelta(hours=6)),
        ],
    )
    def test_backs_off_anew_once_it_is_over(self, past: timedelta, wait: timedelta) -> None:
        """Money under way at the deadline is asked about soon, then ever more seldom."""
        purchase = a_purchase()
        over_at = purchase.created_at + timedelta(days=2)

        assert purchase.next_check(over_at + past, over_at) == over_at + past + wait


class TestPurchase:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": PurchaseStatus.COMPLETED, "completed_at": None},
            {"completed_at": NOW},
            {"credits_reversed": -1},
            {"credits_reversed": 1001},
            {"check_at": None},
            {"status": PurchaseStatus.COMPLETED, "check_at": NOW},
        ],
    )
    def test_cannot_be_built_against_its_own_rules(self, wrong: dict[str, Any]) -> None:
        """Paid ones have been completed and are looked after no more, open ones are, and no more is taken back than
        was bought."""
        with pytest.raises(ValueError, match=r"purchase|credits_reversed"):
            a_purchase(**wrong)

    def test_a_report_cannot_tell_a_negative_refund(self) -> None:
        """Refunds are cumulative."""
        with pytest.raises(ValueError, match="refunded_minor"):
            PaymentReport(platform_reference="r", status=PaymentStatus.PAID, observed_at=NOW, refunded_minor=-1)

    def test_every_status_is_open_unpaid_or_paid(self) -> None:
        """The three sets share nothing and leave nothing out."""
        assert set(PurchaseStatus) == OPEN | UNPAID_ENDS | PAID
        assert len(OPEN) + len(UNPAID_ENDS) + len(PAID) == len(PurchaseStatus)
