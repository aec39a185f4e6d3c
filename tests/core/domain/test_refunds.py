"""Credits follow what was given back: cumulative refunds, and disputes."""

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.domain.settling import BY, NOW, a_paid_purchase, facts, settled

from billing_core.domain.events import CreditsPurchased, CreditsRestored, CreditsReversed
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import PurchaseDecision, PurchaseStatus
from billing_core.testing import a_purchase, a_report, an_offer


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

        purchase = settled(a_paid_purchase(offer=offer), seconds=9, refunded_minor=refunded_minor).purchase

        assert purchase.credits_reversed == credits_back

    def test_a_single_credit_is_taken_and_given_back(self) -> None:
        """The smallest change is told like any other."""
        offer = an_offer("small", credits=100, price=Money(amount_minor=999, currency="USD"))

        taken = settled(a_paid_purchase(offer=offer), seconds=1, refunded_minor=1)
        given_back = settled(taken.purchase, seconds=2, refunded_minor=0)

        identity = {"merchant_id": taken.purchase.merchant_id, "platform": "sandbox", "reason": "refund"}
        purchase_id = taken.purchase.purchase_id
        assert facts(taken) == [CreditsReversed(**identity, purchase_id=purchase_id, credits=1, refunded_minor=1)]
        assert facts(given_back) == [CreditsRestored(**identity, purchase_id=purchase_id, credits=1, refunded_minor=0)]

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
        purchase, balance = a_paid_purchase(offer=offer), 0

        for second, refunded in enumerate(refunds, start=1):
            decision = settled(purchase, seconds=second, refunded_minor=refunded)
            purchase = decision.purchase
            for fact in facts(decision):
                assert isinstance(fact, CreditsReversed | CreditsRestored)
                balance += fact.credits if isinstance(fact, CreditsReversed) else -fact.credits

        exact = (credits_ + bonus) * min(refunds[-1], cents) / cents if refunds else 0
        assert balance == purchase.credits_reversed
        assert exact <= purchase.credits_reversed < exact + 1

    def test_the_smallest_price_given_back_is_refunded(self) -> None:
        """One cent of one cent is all of it."""
        cent = a_paid_purchase(offer=an_offer(price=Money(amount_minor=1, currency="USD")))

        assert settled(cent, seconds=1, refunded_minor=1).purchase.status is PurchaseStatus.REFUNDED

    def test_bonus_credits_are_taken_back_too(self) -> None:
        """A full refund takes back everything that was granted (market.md 20)."""
        purchase = settled(a_paid_purchase(offer=an_offer(bonus_credits=100)), seconds=9, refunded_minor=6999).purchase

        assert (purchase.status, purchase.credits_reversed) == (PurchaseStatus.REFUNDED, 1100)

    def test_a_replayed_refund_takes_nothing_twice(self) -> None:
        """The cumulative amount has not moved, so nothing does (market.md 21)."""
        refunded = settled(a_paid_purchase(), seconds=9, refunded_minor=500).purchase

        assert settled(refunded, seconds=10, refunded_minor=500).changes == ()

    def test_a_stale_report_never_undoes_a_newer_one(self) -> None:
        """What was seen earlier says nothing about later."""
        refunded = settled(a_paid_purchase(), seconds=9, refunded_minor=500).purchase

        assert settled(refunded, seconds=8, refunded_minor=0) == PurchaseDecision(refunded)

    def test_a_refund_the_platform_took_back_restores_the_credits(self) -> None:
        """A failed refund lowers the cumulative amount, and the credits come back."""
        refunded = settled(a_paid_purchase(), seconds=9, refunded_minor=6999).purchase

        decision = settled(refunded, seconds=10, refunded_minor=0)

        (fact,) = facts(decision)
        assert isinstance(fact, CreditsRestored)
        assert (fact.credits, fact.reason, decision.purchase.status) == (1000, "refund", PurchaseStatus.COMPLETED)

    def test_a_purchase_first_seen_when_already_refunded_ends_refunded_with_no_credits_left(self) -> None:
        """Refund before completion: granted and taken back in one step, in this order (market.md 10)."""
        decision = settled(a_purchase(), refunded_minor=6999)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased, CreditsReversed]
        assert [change.number for change in decision.changes] == [3, 4]
        assert decision.purchase.status is PurchaseStatus.REFUNDED


class TestAcceptedAmounts:
    """Refunds of a payment an operator accepted are counted against what was paid (contract 5, rule 5)."""

    @pytest.mark.parametrize(
        ("paid", "refunded", "status", "credits_back"),
        [
            (5000, 2500, PurchaseStatus.PARTIALLY_REFUNDED, 500),
            (5000, 5000, PurchaseStatus.REFUNDED, 1000),
            (5000, 6999, PurchaseStatus.REFUNDED, 1000),
            (13998, 6999, PurchaseStatus.PARTIALLY_REFUNDED, 500),
            (13998, 13998, PurchaseStatus.REFUNDED, 1000),
            (0, 5, PurchaseStatus.COMPLETED, 0),
        ],
    )
    def test_credits_follow_what_was_given_back_of_what_was_paid(
        self, paid: int, refunded: int, status: PurchaseStatus, credits_back: int
    ) -> None:
        """Underpaid and given back whole leaves no credits, overpaid and half given back leaves half."""
        price = Money(amount_minor=paid, currency="USD")
        flagged = settled(a_purchase(), price=price).purchase
        accepted = flagged.accept(a_report(flagged, price=price), NOW, BY).purchase

        purchase = settled(accepted, seconds=9, price=price, refunded_minor=refunded).purchase

        assert accepted.paid_minor == paid
        assert (purchase.status, purchase.credits_reversed) == (status, credits_back)
        assert purchase.refunded_minor == min(refunded, paid)

    @pytest.mark.parametrize("price", [None, an_offer().price])
    def test_the_offer_counts_where_no_other_amount_is_told(self, price: Money | None) -> None:
        """A payment of another account, or one the platform tells no amount of."""
        flagged = settled(a_purchase(), platform_account_id="another").purchase

        accepted = flagged.accept(a_report(flagged, price=price), NOW, BY).purchase

        assert accepted.paid_minor is None
        assert settled(accepted, seconds=9, refunded_minor=3500).purchase.credits_reversed == 501


class TestDisputes:
    def test_one_about_a_price_of_nothing_leaves_it_completed_once_it_is_won(self) -> None:
        """Nothing was given back, although nothing is all that was paid."""
        free = a_paid_purchase(offer=an_offer(price=Money(amount_minor=0, currency="USD")))

        disputed = settled(free, seconds=1, dispute=DisputeStatus.OPEN).purchase
        won = settled(disputed, seconds=2, dispute=DisputeStatus.WON).purchase

        assert (disputed.status, won.status) == (PurchaseStatus.DISPUTED, PurchaseStatus.COMPLETED)
        assert won.credits_reversed == 0

    def test_a_dispute_takes_all_credits_back_and_a_won_one_restores_them(self) -> None:
        """Open takes everything, won gives it back (contract 5, rule 6)."""
        disputed = settled(a_paid_purchase(), seconds=1, dispute=DisputeStatus.OPEN)
        won = settled(disputed.purchase, seconds=2, dispute=DisputeStatus.WON)

        assert (disputed.purchase.status, disputed.purchase.credits_reversed) == (PurchaseStatus.DISPUTED, 1000)
        assert (won.purchase.status, won.purchase.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
        assert [(type(fact), getattr(fact, "reason", None)) for fact in facts(disputed) + facts(won)] == [
            (CreditsReversed, "dispute"),
            (CreditsRestored, "dispute"),
        ]

    def test_a_lost_dispute_is_a_refund_and_takes_nothing_twice(self) -> None:
        """The credits were taken when it opened."""
        disputed = settled(a_paid_purchase(), seconds=1, dispute=DisputeStatus.OPEN).purchase

        lost = settled(disputed, seconds=2, dispute=DisputeStatus.LOST)

        assert (lost.purchase.status, lost.purchase.credits_reversed) == (PurchaseStatus.REFUNDED, 1000)
        assert facts(lost) == []
        assert len(lost.changes) == 1

    def test_a_dispute_won_and_then_refunded_takes_the_credits_once(self) -> None:
        """Dispute then refund, dispute won then refund again: the sum is what counts (market.md 21)."""
        purchase, taken = a_paid_purchase(), 0
        course: list[dict[str, Any]] = [
            {"refunded_minor": 3500},
            {"refunded_minor": 3500, "dispute": DisputeStatus.OPEN},
            {"refunded_minor": 3500, "dispute": DisputeStatus.WON},
            {"refunded_minor": 6999, "dispute": DisputeStatus.WON},
        ]

        reversed_after = []
        for second, values in enumerate(course, start=1):
            decision = settled(purchase, seconds=second, **values)
            purchase = decision.purchase
            taken += sum(fact.credits for fact in facts(decision) if isinstance(fact, CreditsReversed))
            taken -= sum(fact.credits for fact in facts(decision) if isinstance(fact, CreditsRestored))
            reversed_after.append(taken)

        assert reversed_after == [501, 1000, 501, 1000]
        assert purchase.status is PurchaseStatus.REFUNDED


class TestSilentPlatforms:
    """Where the platform's look-up tells neither refunds nor disputes (Shopify's Admin API)."""

    SILENT: ClassVar[dict[str, Any]] = {"refunded_minor": None, "dispute": None}

    def test_what_is_not_told_changes_nothing_that_was_known(self) -> None:
        """None is no zero: neither the refund nor the dispute is taken back by a look-up that does not tell."""
        known = settled(a_paid_purchase(), seconds=1, refunded_minor=3500, dispute=DisputeStatus.OPEN).purchase

        decision = settled(known, seconds=2, **self.SILENT)

        assert decision.changes == ()
        assert (decision.purchase.refunded_minor, decision.purchase.dispute) == (3500, DisputeStatus.OPEN)
        assert (decision.purchase.status, decision.purchase.credits_reversed) == (PurchaseStatus.DISPUTED, 1000)

    def test_payment_completes_without_word_of_refunds(self) -> None:
        """Nothing is known to have been given back."""
        decision = settled(a_purchase(), **self.SILENT)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased]

    def test_a_refund_told_alone_leaves_the_dispute_as_it_was_and_the_reverse(self) -> None:
        """Each moves only what is told of it."""
        disputed = settled(a_paid_purchase(), seconds=1, refunded_minor=None, dispute=DisputeStatus.OPEN).purchase
        refunded = settled(disputed, seconds=2, refunded_minor=3500, dispute=None).purchase
        won = settled(refunded, seconds=3, refunded_minor=None, dispute=DisputeStatus.WON).purchase

        assert (refunded.status, refunded.refunded_minor) == (PurchaseStatus.DISPUTED, 3500)
        assert (won.status, won.credits_reversed) == (PurchaseStatus.PARTIALLY_REFUNDED, 501)
