"""A payment that is not the one that was offered waits for a person, who decides once."""

from typing import Any

import pytest
from tests.core.domain.settling import BY, NOW, UNPAID_REPORTS, a_paid_purchase, facts, settled

from billing_core.domain.events import CreditsPurchased, CreditsReversed, PurchaseNeedsReview
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseDecision, PurchaseStatus
from billing_core.domain.reviews import REMEMBERED_FINDINGS
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
            ({"platform_reference": "another"}, "not the one this purchase was given"),
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
        reference = wrong.get("platform_reference", purchase.platform_reference)
        assert fact.reason.startswith(f"payment {reference}: ")
        assert (decision.purchase.review.reason, decision.purchase.review.about) == (fact.reason, reference)

    def test_of_all_that_is_wrong_the_other_payment_is_told_first_and_the_amount_last(self) -> None:
        """That it is another payment explains the rest."""
        wrong: dict[str, Any] = {"price": None, "platform_account_id": "another"}

        reasons = [
            settled(a_purchase(), **reported).purchase.review.reason
            for reported in (wrong, wrong | {"platform_reference": "another"})
        ]

        assert ["made by another account" in str(reasons[0]), "not the one" in str(reasons[1])] == [True, True]

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

        assert (paid.is_paid, paid.needs_review, paid.review.about) == (True, False, None)

    def test_the_right_payment_answers_a_question_about_no_payment(self) -> None:
        """That its platform refused to say is of no interest once it has said "paid"."""
        paid = settled(a_purchase().flag("its platform refuses to say", NOW, BY).purchase).purchase

        assert (paid.is_paid, paid.needs_review) == (True, False)

    @pytest.mark.parametrize("other_first", [True, False])
    def test_of_two_payments_a_person_hears_in_whichever_order_they_are_reported(self, other_first: bool) -> None:
        """The right one completes the purchase; the other one is somebody's money and stays in question."""
        purchase = a_purchase()
        reports: list[dict[str, Any]] = [{}, {"platform_reference": "another"}]

        for report in reversed(reports) if other_first else reports:
            purchase = settled(purchase, **report).purchase

        assert (purchase.is_paid, purchase.review.about) == (True, "another")
        assert purchase.platform_reference != "another"

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
        assert flagged.purchase.review.reason == change.reason == "odd"
        assert (flagged.purchase.status, flagged.purchase.review.about) == (PurchaseStatus.PENDING, None)
        assert flagged.purchase.flag("odd", NOW, BY) == PurchaseDecision(flagged.purchase)
        assert flagged.purchase.flag("odder", NOW, BY).changes != ()

    def test_only_a_few_findings_are_open_at_once(self) -> None:
        """A platform that reports nonsense without end fills no row; answered ones make room again."""
        purchase = a_purchase()
        for number in range(REMEMBERED_FINDINGS):
            purchase = purchase.flag(f"finding {number}", NOW, BY).purchase

        assert len(purchase.review.findings) == REMEMBERED_FINDINGS
        assert purchase.flag("one more", NOW, BY) == PurchaseDecision(purchase)
        assert purchase.dismiss(NOW, BY).purchase.flag("one more", NOW, BY).changes != ()


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
        assert decision.purchase.review.about is None

    def test_takes_another_payment_for_the_one_the_purchase_was_given(self) -> None:
        """Paid at a page nobody was handed: from then on that is the purchase's payment."""
        flagged = settled(a_purchase(), platform_reference="another").purchase

        accepted = flagged.accept(a_report(flagged, platform_reference="another"), NOW, BY).purchase

        assert (accepted.status, accepted.platform_reference) == (PurchaseStatus.COMPLETED, "another")

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
    @pytest.mark.parametrize("status", sorted(PurchaseStatus))
    def test_closes_the_review_and_leaves_the_purchase_as_it_is(self, status: PurchaseStatus) -> None:
        """Only the question is closed, with the operator's reason; whoever asked calls an open one off."""
        flagged = a_purchase(status=status).flag("odd", NOW, BY, about="another").purchase

        decision = flagged.dismiss(NOW, an_origin(reason="paid back by hand"))

        (change,) = decision.changes
        assert (change.what, change.at, change.reason, change.fact) == ("dismissed", NOW, "paid back by hand", None)
        assert (decision.purchase.status, decision.purchase.review.dismissed) == (status, ("odd",))
        assert (decision.purchase.review.reason, decision.purchase.review.about) == (None, None)

    def test_the_same_finding_asks_nobody_again_and_another_one_does(self) -> None:
        """What was answered stays answered; what is new is asked."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase

        assert settled(dismissed, seconds=60, price=None) == PurchaseDecision(dismissed)
        assert settled(dismissed, seconds=60, platform_account_id="another").purchase.needs_review

    def test_of_two_dismissed_findings_neither_rings_again(self) -> None:
        """The second answer does not undo the first."""
        purchase = a_purchase()
        findings: list[dict[str, Any]] = [{"price": None}, {"platform_account_id": "another"}]
        for wrong in findings:
            purchase = settled(purchase, **wrong).purchase.dismiss(NOW, BY).purchase

        for second, wrong in enumerate(findings, start=1):
            assert settled(purchase, seconds=second, **wrong) == PurchaseDecision(purchase)

    def test_the_same_finding_about_another_payment_is_another_one(self) -> None:
        """A cent that was given back says nothing of the next cent."""
        cent = Money(amount_minor=1, currency="USD")
        made_without_us = a_purchase(status=PurchaseStatus.CREATED)
        dismissed = settled(made_without_us, platform_reference="one", price=cent).purchase.dismiss(NOW, BY).purchase

        assert settled(dismissed, seconds=60, platform_reference="one", price=cent) == PurchaseDecision(dismissed)
        assert settled(dismissed, seconds=60, platform_reference="other", price=cent).purchase.needs_review

    def test_the_last_few_findings_are_remembered(self) -> None:
        """In the order they were dismissed; the oldest is forgotten and would ring again."""
        purchase = a_purchase()
        findings = [f"finding {number}" for number in range(REMEMBERED_FINDINGS + 1)]

        for finding in findings:
            purchase = purchase.flag(finding, NOW, BY).purchase.dismiss(NOW, BY).purchase

        assert purchase.review.dismissed == tuple(findings[1:])
        assert purchase.flag(findings[0], NOW, BY).purchase.needs_review
        assert purchase.flag(findings[1], NOW, BY) == PurchaseDecision(purchase)

    def test_the_right_payment_after_a_dismissal_still_counts(self) -> None:
        """Verified payment overrides every unpaid end, a person's included; it is late."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase.cancel(NOW, BY).purchase

        decision = settled(dismissed, seconds=60)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased]
        assert (decision.purchase.is_paid, decision.purchase.late) == (True, True)

    def test_is_refused_where_nothing_is_to_be_resolved(self) -> None:
        """Also the second time."""
        dismissed = settled(a_purchase(), price=None).purchase.dismiss(NOW, BY).purchase

        for purchase in (a_purchase(), dismissed):
            with pytest.raises(ResolutionRefused, match="needs no review"):
                purchase.dismiss(NOW, BY)
