"""A payment that is not the one that was offered waits for a person, who decides once."""

from typing import Any

import pytest
from tests.core.domain.settling import BY, NOW, UNPAID_REPORTS, a_paid_purchase, facts, settled

from billing_core.domain.events import CreditsPurchased, CreditsReversed, PurchaseCancelled, PurchaseNeedsReview
from billing_core.domain.money import Money
from billing_core.domain.purchases import PAID, UNPAID_ENDS, PaymentStatus, PurchaseDecision, PurchaseStatus
from billing_core.errors import ResolutionRefused
from billing_core.testing import a_purchase, a_report, an_offer, an_origin


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

        decision = settled(purchase, **wrong)

        assert decision.purchase.needs_review
        assert decision.purchase.status is purchase.status
        (fact,) = facts(decision)
        assert isinstance(fact, PurchaseNeedsReview)
        assert fact.reason is not None
        assert told in fact.reason

    def test_the_same_mismatch_is_told_once(self) -> None:
        """A reconciler that finds it every hour does not ring every hour."""
        flagged = settled(a_purchase(), price=None).purchase

        assert settled(flagged, seconds=60, price=None) == PurchaseDecision(flagged)

    def test_another_mismatch_is_told_too(self) -> None:
        """What a person must know has changed."""
        flagged = settled(a_purchase(), price=None).purchase

        assert settled(flagged, seconds=60, platform_account_id="another").changes != ()

    def test_the_right_payment_clears_the_review(self) -> None:
        """Once the platform reports what was offered there is nothing left to look at."""
        flagged = settled(a_purchase(), price=None).purchase

        paid = settled(flagged, seconds=60).purchase

        assert (paid.is_paid, paid.needs_review) == (True, False)

    def test_only_the_matching_reference_moves_the_purchase(self) -> None:
        """An old attempt that expires or fails says nothing of this one (market.md 6)."""
        purchase = a_purchase()

        decision = settled(purchase, status=PaymentStatus.EXPIRED, platform_reference="an-older-attempt")

        assert decision == PurchaseDecision(purchase)

    def test_a_second_payment_under_another_reference_is_shown_to_a_person_and_takes_nothing_back(self) -> None:
        """Its refunds are not this payment's refunds, and a merchant who paid twice should hear of it."""
        paid = a_paid_purchase()

        decision = settled(paid, seconds=60, platform_reference="a-second-one", refunded_minor=6999)

        assert (decision.purchase.status, decision.purchase.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
        assert decision.purchase.needs_review
        assert [type(fact) for fact in facts(decision)] == [PurchaseNeedsReview]


class TestFlag:
    def test_asks_for_a_person_once_for_each_reason(self) -> None:
        """The reason is told with the fact and stands on the purchase until somebody answers it."""
        flagged = a_purchase().flag("odd", NOW, BY)

        (change,) = flagged.changes
        assert flagged.purchase.review_reason == change.reason == "odd"
        assert flagged.purchase.status is PurchaseStatus.PENDING
        assert flagged.purchase.flag("odd", NOW, BY) == PurchaseDecision(flagged.purchase)
        assert flagged.purchase.flag("odder", NOW, BY).changes != ()


class TestAccept:
    @pytest.mark.parametrize(
        ("status", "late"), [(PurchaseStatus.PENDING, False), (PurchaseStatus.EXPIRED, True)], ids=str
    )
    def test_gives_the_credits_that_were_offered(self, status: PurchaseStatus, late: bool) -> None:
        """An underpaid purchase a person took for paid is completed like any other, late where it was over."""
        flagged = settled(a_purchase(status=status, offer=an_offer(bonus_credits=7)), price=None).purchase

        decision = flagged.accept(a_report(flagged, price=None), NOW, BY)

        (fact,) = facts(decision)
        assert isinstance(fact, CreditsPurchased)
        assert (fact.credits, fact.bonus_credits, fact.late) == (1000, 7, late)
        assert (decision.purchase.status, decision.purchase.needs_review) == (PurchaseStatus.COMPLETED, False)

    def test_takes_back_at_once_what_was_refunded_before_anybody_looked(self) -> None:
        """The credits are granted and reversed in one step, in this order."""
        flagged = settled(a_purchase(), platform_account_id="another").purchase
        report = a_report(flagged, platform_account_id="another", refunded_minor=3500, observed_at=NOW)

        decision = flagged.accept(report, NOW, BY)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased, CreditsReversed]
        assert decision.purchase.credits_reversed == 501

    def test_the_accepted_payment_asks_nobody_again(self) -> None:
        """The same mismatch reported once more is the payment we know."""
        flagged = settled(a_purchase(), platform_account_id="another").purchase
        accepted = flagged.accept(a_report(flagged, platform_account_id="another", observed_at=NOW), NOW, BY).purchase

        assert settled(accepted, seconds=60, platform_account_id="another").changes == ()

    def test_is_refused_where_nothing_is_to_be_resolved(self) -> None:
        """Nobody gives credits for a purchase that raised no question."""
        purchase = a_purchase()

        with pytest.raises(ResolutionRefused, match="needs no review"):
            purchase.accept(a_report(purchase), NOW, BY)

    @pytest.mark.parametrize("status", UNPAID_REPORTS)
    def test_is_refused_where_the_platform_does_not_say_paid(self, status: PaymentStatus) -> None:
        """A person may bend the amount, never the payment."""
        flagged = settled(a_purchase(), price=None).purchase

        with pytest.raises(ResolutionRefused, match=f"{status}; only a paid one"):
            flagged.accept(a_report(flagged, status=status), NOW, BY)

    def test_is_refused_for_a_second_payment(self) -> None:
        """One purchase grants its credits once, however often it was paid."""
        twice = settled(a_paid_purchase(), seconds=60, platform_reference="a-second-one").purchase

        with pytest.raises(ResolutionRefused, match="give the other payment back"):
            twice.accept(a_report(twice), NOW, BY)


class TestDismiss:
    def test_closes_the_review_and_calls_an_open_purchase_off(self) -> None:
        """No credits, and nobody pays it in the belief that it still counts."""
        flagged = settled(a_purchase(), price=None).purchase

        decision = flagged.dismiss(NOW, an_origin(reason="paid back by hand"))

        assert [change.what for change in decision.changes] == ["dismissed", "cancelled"]
        assert [type(fact) for fact in facts(decision)] == [PurchaseCancelled]
        assert {change.reason for change in decision.changes} == {"paid back by hand"}
        assert (decision.purchase.status, decision.purchase.needs_review) == (PurchaseStatus.CANCELLED, False)

    @pytest.mark.parametrize("status", sorted(PAID | UNPAID_ENDS))
    def test_leaves_a_purchase_that_is_over_as_it_is(self, status: PurchaseStatus) -> None:
        """Only the question is closed."""
        flagged = a_purchase(status=status).flag("odd", NOW, BY).purchase

        decision = flagged.dismiss(NOW, BY)

        assert (decision.purchase.status, decision.purchase.review_dismissed) == (status, "odd")
        assert facts(decision) == []

    def test_the_same_finding_asks_nobody_again_and_another_one_does(self) -> None:
        """What was answered stays answered; what is new is asked."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase

        assert settled(dismissed, seconds=60, price=None) == PurchaseDecision(dismissed)
        assert settled(dismissed, seconds=60, platform_account_id="another").purchase.needs_review

    def test_the_right_payment_after_a_dismissal_still_counts(self) -> None:
        """Verified payment overrides every unpaid end, a person's included; it is late."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase

        decision = settled(dismissed, seconds=60)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased]
        assert (decision.purchase.is_paid, decision.purchase.late) == (True, True)

    def test_is_refused_where_nothing_is_to_be_resolved(self) -> None:
        """Also the second time."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase

        for purchase in (a_purchase(), dismissed):
            with pytest.raises(ResolutionRefused, match="needs no review"):
                purchase.dismiss(NOW, BY)
