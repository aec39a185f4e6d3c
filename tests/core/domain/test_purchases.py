"""The life of a purchase: payment overrides every unpaid end, and nothing unpaid ever overwrites payment."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.events import (
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    Fact,
    PurchaseCreated,
    PurchaseDeclined,
    PurchaseExpired,
    PurchaseFailed,
    PurchaseNeedsReview,
)
from billing_core.domain.money import Money
from billing_core.domain.purchases import (
    OPEN,
    PAID,
    UNPAID_ENDS,
    DisputeStatus,
    PaymentReport,
    PaymentStatus,
    Purchase,
    PurchaseDecision,
    PurchaseStatus,
    create_purchase,
)
from billing_core.testing import MOMENT, a_merchant, a_purchase, a_report, an_offer, an_origin

NOW = MOMENT + timedelta(hours=2)
TICK = timedelta(microseconds=1)
BY = an_origin()
UNPAID_REPORTS = [each for each in PaymentStatus if each is not PaymentStatus.PAID]


def _facts(decision: PurchaseDecision) -> list[Fact]:
    return [change.fact for change in decision.changes if change.fact is not None]


def _settled(purchase: Purchase, *, seconds: int = 0, **values: Any) -> PurchaseDecision:
    """The purchase after a report of its payment observed that many seconds after NOW."""
    now = NOW + timedelta(seconds=seconds)
    return purchase.settle(a_report(purchase, observed_at=now, **values), now, BY)


def _paid(**values: Any) -> Purchase:
    return _settled(a_purchase(**values)).purchase


class TestCreatePurchase:
    def test_freezes_everything_the_platform_will_be_told(self) -> None:
        """The first change announces the offer and the deadline; nothing is paid and no checkout is there."""
        merchant, offer = a_merchant(), an_offer(bonus_credits=50)

        decision = create_purchase(
            UUID(int=5),
            merchant,
            offer,
            return_url="https://shop.example",
            lifetime=timedelta(hours=48),
            test=True,
            now=NOW,
            by=BY,
        )

        purchase, (change,) = decision.purchase, decision.changes
        assert (purchase.status, purchase.offer, purchase.test) == (PurchaseStatus.CREATED, offer, True)
        assert (purchase.platform_reference, purchase.checkout_url, purchase.completed_at) == (None, None, None)
        assert purchase.expires_at == NOW + timedelta(hours=48)
        assert (change.number, change.status_before, change.status_after) == (1, None, "created")
        assert isinstance(change.fact, PurchaseCreated)
        assert (change.fact.credits, change.fact.bonus_credits) == (1000, 50)

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
        assert _facts(decision) == []

    @pytest.mark.parametrize("status", [each for each in PurchaseStatus if each is not PurchaseStatus.CREATED])
    def test_only_the_first_checkout_is_ever_handed_out(self, status: PurchaseStatus) -> None:
        """A second one changes nothing, whatever became of the purchase (market.md 23)."""
        purchase = a_purchase(status=status)

        assert purchase.checkout_made("ref-2", "https://pay.example/2", NOW, BY) == PurchaseDecision(purchase)

    def test_a_refused_checkout_fails_the_purchase(self) -> None:
        """The platform's no is an end, with its reason."""
        decision = a_purchase(status=PurchaseStatus.CREATED).fail("PLATFORM_ERROR", NOW, BY)

        (fact,) = _facts(decision)
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

        decision = _settled(purchase, platform_reference=purchase.platform_reference or "pay-9")

        assert decision.purchase.status is PurchaseStatus.COMPLETED
        assert decision.purchase.platform_reference is not None
        assert (decision.purchase.completed_at, decision.purchase.late) == (NOW, False)
        (fact,) = _facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert (fact.pack, fact.credits, fact.bonus_credits, fact.late) == ("large", 1000, 7, False)
        assert (fact.price.amount_minor, fact.price.amount, fact.price.currency) == (6999, "69.99", "USD")

    @pytest.mark.parametrize("end", sorted(UNPAID_ENDS))
    def test_payment_after_local_expiry_or_cancellation_still_grants_credits_as_late(self, end: str) -> None:
        """Verified payment overrides every unpaid end (market.md 8)."""
        decision = _settled(a_purchase(status=end))

        assert (decision.purchase.status, decision.purchase.late) == (PurchaseStatus.COMPLETED, True)
        (fact,) = _facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert fact.late is True

    def test_same_report_twice_gives_one_credits_purchased(self) -> None:
        """The second delivery changes nothing at all (market.md 2)."""
        paid = _paid()

        assert _settled(paid) == PurchaseDecision(paid)

    def test_two_reports_of_one_payment_give_one_credits_purchased(self) -> None:
        """What counts is the payment, not the notice: a later one grants nothing (market.md 3)."""
        again = _settled(_paid(), seconds=5)

        assert again.changes == ()

    def test_an_older_report_of_payment_counts_for_a_purchase_that_is_not_paid_yet(self) -> None:
        """Staleness never hides a payment."""
        purchase = replace(a_purchase(status=PurchaseStatus.EXPIRED), observed_at=NOW)

        assert _settled(purchase, seconds=-60).purchase.is_paid

    @pytest.mark.parametrize("status", sorted(PAID))
    @pytest.mark.parametrize("unpaid", UNPAID_REPORTS)
    def test_nothing_unpaid_overwrites_payment(self, status: PurchaseStatus, unpaid: PaymentStatus) -> None:
        """ACTIVE and then a delayed PENDING or EXPIRED: it stays completed (market.md 5, 22)."""
        purchase = a_purchase(status=status)

        assert _settled(purchase, seconds=60, status=unpaid) == PurchaseDecision(purchase)

    @pytest.mark.parametrize("test", [True, False])
    def test_says_whether_the_charge_was_a_test_as_the_platform_says(self, test: bool) -> None:
        """A test charge on a live purchase, and the reverse, are told as what they are (market.md 24)."""
        decision = _settled(a_purchase(test=not test), test=test)

        (fact,) = _facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert decision.purchase.test is fact.test is test

    def test_a_price_of_nothing_is_paid_and_never_refunded(self) -> None:
        """Amount 0 completes like any other amount (market.md 18)."""
        free = a_purchase(offer=an_offer(price=Money(amount_minor=0, currency="USD")))

        decision = _settled(free, refunded_minor=5)

        assert decision.purchase.status is PurchaseStatus.COMPLETED
        assert decision.purchase.credits_reversed == 0


class TestMismatch:
    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"price": Money(amount_minor=6998, currency="USD")}, "USD 69.98"),
            ({"price": Money(amount_minor=6999, currency="EUR")}, "EUR 69.99"),
            ({"price": None}, "no amount"),
            ({"platform_account_id": "another"}, "another account"),
            ({"platform_account_id": None}, "another account"),
            ({"platform_reference": "another"}, "another payment"),
        ],
    )
    @pytest.mark.parametrize("status", [PurchaseStatus.PENDING, PurchaseStatus.EXPIRED])
    def test_another_amount_currency_or_account_needs_review_and_grants_nothing(
        self, wrong: dict[str, Any], told: str, status: PurchaseStatus
    ) -> None:
        """A payment that is not the one that was offered is shown to a person, never dropped (market.md 16)."""
        purchase = a_purchase(status=status)

        decision = _settled(purchase, **wrong)

        assert decision.purchase.needs_review
        assert decision.purchase.status is purchase.status
        (fact,) = _facts(decision)
        assert isinstance(fact, PurchaseNeedsReview)
        assert fact.reason is not None
        assert told in fact.reason

    def test_the_same_mismatch_is_told_once(self) -> None:
        """A reconciler that finds it every hour does not ring every hour."""
        flagged = _settled(a_purchase(), price=None).purchase

        assert _settled(flagged, seconds=60, price=None) == PurchaseDecision(flagged)

    def test_another_mismatch_is_told_too(self) -> None:
        """What a person must know has changed."""
        flagged = _settled(a_purchase(), price=None).purchase

        assert _settled(flagged, seconds=60, platform_account_id="another").changes != ()

    def test_the_right_payment_clears_the_review(self) -> None:
        """Once the platform reports what was offered there is nothing left to look at."""
        flagged = _settled(a_purchase(), price=None).purchase

        paid = _settled(flagged, seconds=60).purchase

        assert (paid.is_paid, paid.needs_review) == (True, False)

    def test_only_the_matching_reference_moves_the_purchase(self) -> None:
        """An old attempt that expires or fails says nothing of this one (market.md 6)."""
        purchase = a_purchase()

        decision = _settled(purchase, status=PaymentStatus.EXPIRED, platform_reference="an-older-attempt")

        assert decision == PurchaseDecision(purchase)

    def test_a_second_payment_under_another_reference_is_shown_to_a_person_and_takes_nothing_back(self) -> None:
        """Its refunds are not this payment's refunds, and a merchant who paid twice should hear of it."""
        paid = _paid()

        decision = _settled(paid, seconds=60, platform_reference="a-second-one", refunded_minor=6999)

        assert (decision.purchase.status, decision.purchase.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
        assert decision.purchase.needs_review
        assert [type(fact) for fact in _facts(decision)] == [PurchaseNeedsReview]


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
        decision = _settled(a_purchase(), status=reported)

        assert decision.purchase.status is status
        assert [fact.type for fact in _facts(decision)] == [f"evt.billing.purchase.{status}"]
        for other in UNPAID_REPORTS:
            assert _settled(decision.purchase, seconds=9, status=other).changes == ()

    @pytest.mark.parametrize("reported", [PaymentStatus.PENDING, PaymentStatus.PROCESSING])
    def test_a_delayed_payment_grants_nothing_before_it_is_paid(self, reported: PaymentStatus) -> None:
        """Pending and processing are no payment; paid later grants once, failed later ends failed (market.md 19)."""
        waiting = _settled(a_purchase(), status=reported)

        assert (waiting.purchase.is_open, waiting.changes) == (True, ())
        assert [type(fact) for fact in _facts(_settled(waiting.purchase, seconds=9))] == [CreditsPurchased]
        failed = _settled(waiting.purchase, seconds=9, status=PaymentStatus.FAILED)
        assert [type(fact) for fact in _facts(failed)] == [PurchaseFailed]

    def test_declined_is_told_as_declined(self) -> None:
        """The merchant said no on the platform's page."""
        assert [type(fact) for fact in _facts(_settled(a_purchase(), status=PaymentStatus.DECLINED))] == [
            PurchaseDeclined
        ]

    def test_expires_exactly_at_its_deadline(self) -> None:
        """One microsecond before it is still open."""
        purchase = a_purchase()

        assert purchase.is_usable(purchase.expires_at - TICK)
        assert purchase.expire(purchase.expires_at - TICK, BY) == PurchaseDecision(purchase)
        assert not purchase.is_usable(purchase.expires_at)
        assert [type(fact) for fact in _facts(purchase.expire(purchase.expires_at, BY))] == [PurchaseExpired]

    @pytest.mark.parametrize("status", sorted(PAID | UNPAID_ENDS))
    def test_only_an_open_purchase_expires(self, status: PurchaseStatus) -> None:
        """Paid and ended purchases have no deadline any more."""
        purchase = a_purchase(status=status)

        assert purchase.expire(purchase.expires_at + TICK, BY) == PurchaseDecision(purchase)

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

        assert purchase.checked(now).check_at == now + wait


class TestRefunds:
    @pytest.mark.parametrize(
        ("refunded_minor", "credits_back"),
        [(0, 0), (1, 1), (10, 2), (333, 34), (500, 51), (998, 100), (999, 100), (1500, 100)],
    )
    def test_credits_taken_back_are_rounded_up_from_the_cumulative_refund(
        self, refunded_minor: int, credits_back: int
    ) -> None:
        """999 cents for 100 credits: each begun credit is taken back, never more than all (market.md 21)."""
        offer = an_offer("small", credits=100, price=Money(amount_minor=999, currency="USD"))

        purchase = _settled(_paid(offer=offer), seconds=9, refunded_minor=refunded_minor).purchase

        assert purchase.credits_reversed == credits_back

    @given(
        offered=st.tuples(st.integers(1, 5000), st.integers(0, 500), st.integers(1, 10_000)),
        refunds=st.lists(st.integers(0, 12_000), max_size=6),
    )
    def test_any_course_of_refunds_ends_where_the_last_sum_alone_would(
        self, offered: tuple[int, int, int], refunds: list[int]
    ) -> None:
        """Partial, several, shrinking or excessive refunds: what was taken back follows the last cumulative amount."""
        credits_, bonus, cents = offered
        offer = an_offer(credits=credits_, bonus_credits=bonus, price=Money(amount_minor=cents, currency="USD"))
        purchase, balance = _paid(offer=offer), 0

        for second, refunded in enumerate(refunds, start=1):
            decision = _settled(purchase, seconds=second, refunded_minor=refunded)
            purchase = decision.purchase
            for fact in _facts(decision):
                assert isinstance(fact, CreditsReversed | CreditsRestored)
                balance += fact.credits if isinstance(fact, CreditsReversed) else -fact.credits

        exact = (credits_ + bonus) * min(refunds[-1], cents) / cents if refunds else 0
        assert balance == purchase.credits_reversed
        assert exact <= purchase.credits_reversed < exact + 1

    def test_bonus_credits_are_taken_back_too(self) -> None:
        """A full refund takes back everything that was granted (market.md 20)."""
        purchase = _settled(_paid(offer=an_offer(bonus_credits=100)), seconds=9, refunded_minor=6999).purchase

        assert (purchase.status, purchase.credits_reversed) == (PurchaseStatus.REFUNDED, 1100)

    def test_a_replayed_refund_takes_nothing_twice(self) -> None:
        """The cumulative amount has not moved, so nothing does (market.md 21)."""
        refunded = _settled(_paid(), seconds=9, refunded_minor=500).purchase

        assert _settled(refunded, seconds=10, refunded_minor=500).changes == ()

    def test_a_stale_report_never_undoes_a_newer_one(self) -> None:
        """What was seen earlier says nothing about later."""
        refunded = _settled(_paid(), seconds=9, refunded_minor=500).purchase

        assert _settled(refunded, seconds=8, refunded_minor=0) == PurchaseDecision(refunded)

    def test_a_refund_the_platform_took_back_restores_the_credits(self) -> None:
        """A failed refund lowers the cumulative amount, and the credits come back."""
        refunded = _settled(_paid(), seconds=9, refunded_minor=6999).purchase

        decision = _settled(refunded, seconds=10, refunded_minor=0)

        (fact,) = _facts(decision)
        assert isinstance(fact, CreditsRestored)
        assert (fact.credits, fact.reason, decision.purchase.status) == (1000, "refund", PurchaseStatus.COMPLETED)

    def test_a_purchase_first_seen_when_already_refunded_ends_refunded_with_no_credits_left(self) -> None:
        """Refund before completion: granted and taken back in one step, in this order (market.md 10)."""
        decision = _settled(a_purchase(), refunded_minor=6999)

        assert [type(fact) for fact in _facts(decision)] == [CreditsPurchased, CreditsReversed]
        assert [change.number for change in decision.changes] == [3, 4]
        assert decision.purchase.status is PurchaseStatus.REFUNDED


class TestDisputes:
    def test_a_dispute_takes_all_credits_back_and_a_won_one_restores_them(self) -> None:
        """Open takes everything, won gives it back (contract 5, rule 6)."""
        disputed = _settled(_paid(), seconds=1, dispute=DisputeStatus.OPEN)
        won = _settled(disputed.purchase, seconds=2, dispute=DisputeStatus.WON)

        assert (disputed.purchase.status, disputed.purchase.credits_reversed) == (PurchaseStatus.DISPUTED, 1000)
        assert (won.purchase.status, won.purchase.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
        assert [(type(fact), getattr(fact, "reason", None)) for fact in _facts(disputed) + _facts(won)] == [
            (CreditsReversed, "dispute"),
            (CreditsRestored, "dispute"),
        ]

    def test_a_lost_dispute_is_a_refund_and_takes_nothing_twice(self) -> None:
        """The credits were taken when it opened."""
        disputed = _settled(_paid(), seconds=1, dispute=DisputeStatus.OPEN).purchase

        lost = _settled(disputed, seconds=2, dispute=DisputeStatus.LOST)

        assert (lost.purchase.status, lost.purchase.credits_reversed) == (PurchaseStatus.REFUNDED, 1000)
        assert _facts(lost) == []
        assert len(lost.changes) == 1

    def test_a_dispute_won_and_then_refunded_takes_the_credits_once(self) -> None:
        """Dispute then refund, dispute won then refund again: the sum is what counts (market.md 21)."""
        purchase, taken = _paid(), 0
        course: list[dict[str, Any]] = [
            {"refunded_minor": 3500},
            {"refunded_minor": 3500, "dispute": DisputeStatus.OPEN},
            {"refunded_minor": 3500, "dispute": DisputeStatus.WON},
            {"refunded_minor": 6999, "dispute": DisputeStatus.WON},
        ]

        reversed_after = []
        for second, values in enumerate(course, start=1):
            decision = _settled(purchase, seconds=second, **values)
            purchase = decision.purchase
            taken += sum(fact.credits for fact in _facts(decision) if isinstance(fact, CreditsReversed))
            taken -= sum(fact.credits for fact in _facts(decision) if isinstance(fact, CreditsRestored))
            reversed_after.append(taken)

        assert reversed_after == [501, 1000, 501, 1000]
        assert purchase.status is PurchaseStatus.REFUNDED


class TestPurchase:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": PurchaseStatus.COMPLETED, "completed_at": None},
            {"completed_at": NOW},
            {"credits_reversed": -1},
            {"credits_reversed": 1001},
            {"check_at": None},
            {"status": PurchaseStatus.EXPIRED, "check_at": NOW},
        ],
    )
    def test_cannot_be_built_against_its_own_rules(self, wrong: dict[str, Any]) -> None:
        """Paid ones have been completed, open ones are looked after, and no more is taken back than was bought."""
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
