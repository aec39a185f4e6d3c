"""What a person must look at stands in a queue, the oldest first, and each answer answers one finding."""

from typing import Any

import pytest
from tests.core.domain.settling import BY, NOW, TICK, a_paid_purchase, facts, settled

from billing_core.domain.events import CreditsPurchased, PurchaseNeedsReview
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import (
    PAID,
    UNPAID_ENDS,
    Purchase,
    PurchaseDecision,
    PurchaseStatus,
)
from billing_core.domain.reviews import REMEMBERED_FINDINGS, ReviewFinding
from billing_core.errors import ResolutionRefused
from billing_core.testing import a_purchase, a_report

CENT = Money(amount_minor=1, currency="USD")
ANOTHER: dict[str, Any] = {"platform_reference": "another"}
OVER = [PaymentStatus.DECLINED, PaymentStatus.FAILED, PaymentStatus.EXPIRED, PaymentStatus.CANCELLED]


def _in_question() -> Purchase:
    """A purchase of which another payment was reported, and then a cent of its own."""
    return settled(settled(a_purchase(), **ANOTHER).purchase, seconds=1, price=CENT).purchase


def _abouts(purchase: Purchase) -> list[str | None]:
    return [finding.about for finding in purchase.review.findings]


class TestFindings:
    def test_none_is_open_at_first(self) -> None:
        """Nothing to look at, nothing in the queue."""
        assert a_purchase().review.findings == ()

    def test_a_second_one_waits_behind_the_first(self) -> None:
        """Another payment was reported, then a cent: neither is forgotten for the other, and both were told."""
        purchase = _in_question()

        oldest, newest = purchase.review.findings
        assert [oldest.about, newest.about] == ["another", purchase.platform_reference]
        assert (purchase.review.reason, purchase.review.about) == (oldest.reason, "another")

    def test_two_open_ones_ring_once_each_however_often_they_are_reported(self) -> None:
        """Two payments that are reported in turn, by every notice and every reconciliation, are two questions."""
        purchase, told = a_purchase(), 0

        for second in range(10):
            decision = settled(purchase, seconds=second, **(ANOTHER if second % 2 else {"price": CENT}))
            purchase, told = decision.purchase, told + len(facts(decision))

        assert told == len(purchase.review.findings) == 2

    def test_no_more_than_a_few_are_open_at_once(self) -> None:
        """A payment reported in ever new ways does not ring without end; there is room again once one is answered."""
        purchase = a_purchase()
        for number in range(REMEMBERED_FINDINGS):
            purchase = purchase.flag(f"finding {number}", NOW, BY).purchase

        one_more = purchase.flag("one more", NOW, BY)
        after_an_answer = purchase.dismiss(NOW, BY).purchase.flag("one more", NOW, BY)

        assert len(purchase.review.findings) == REMEMBERED_FINDINGS
        assert one_more == PurchaseDecision(purchase)
        assert after_an_answer.purchase.review.findings[-1].reason == "one more"

    def test_completing_leaves_those_about_other_payments(self) -> None:
        """The right payment answers what was asked about it and about none; the others are somebody's money."""
        purchase = a_purchase().flag("its platform refuses to say", NOW, BY).purchase
        for wrong in (ANOTHER, {"price": CENT}, {"platform_reference": "a-third"}):
            purchase = settled(purchase, **wrong).purchase

        decision = settled(purchase, seconds=1)

        assert [type(fact) for fact in facts(decision)] == [CreditsPurchased]
        assert (len(purchase.review.findings), _abouts(decision.purchase)) == (4, ["another", "a-third"])


class TestAnswers:
    def test_accepting_a_payment_leaves_the_question_about_another_one(self) -> None:
        """The cent is taken for the price; whose the other money is remains to be seen."""
        purchase = _in_question()

        accepted = purchase.accept(a_report(purchase, price=CENT), NOW, BY).purchase

        assert (accepted.is_paid, accepted.paid_minor, _abouts(accepted)) == (True, 1, ["another"])

    def test_accepting_a_payment_answers_all_that_was_asked_about_it(self) -> None:
        """Both its amount and its account were odd; the person has seen the payment."""
        purchase = settled(settled(a_purchase(), price=CENT).purchase, platform_account_id="another").purchase

        accepted = purchase.accept(a_report(purchase, platform_account_id="another"), NOW, BY).purchase

        assert (len(purchase.review.findings), accepted.review.findings) == (2, ())

    def test_accepting_answers_the_oldest_where_none_is_about_the_payment(self) -> None:
        """The platform refused to say for days; asked by a person it says "paid"."""
        refused = a_purchase().flag("its platform refuses to say", NOW, BY).purchase
        flagged = refused.flag("odd", NOW, BY, about="another").purchase

        accepted = flagged.accept(a_report(flagged), NOW, BY).purchase

        assert _abouts(accepted) == ["another"]

    @pytest.mark.parametrize("which", [0, 1])
    def test_dismissing_closes_the_one_that_was_seen_and_the_other_one_still_asks(self, which: int) -> None:
        """Whichever it was, and without telling the other one a second time."""
        purchase = _in_question()
        seen, other = purchase.review.findings[which], purchase.review.findings[1 - which]

        decision = purchase.dismiss(NOW, BY, reason=seen.reason)

        assert (decision.purchase.review.findings, decision.purchase.review.dismissed) == ((other,), (seen.reason,))
        assert (decision.purchase.review.reason, decision.purchase.review.about) == (other.reason, other.about)
        assert facts(decision) == []

    def test_dismissing_without_a_name_closes_the_oldest(self) -> None:
        """One after the other, until nothing is left to answer."""
        purchase = _in_question()
        reasons = tuple(finding.reason for finding in purchase.review.findings)

        emptied = purchase.dismiss(NOW, BY).purchase.dismiss(NOW, BY).purchase

        assert (emptied.review.findings, emptied.review.dismissed) == ((), reasons)

    @pytest.mark.parametrize("verdict", ["accept", "dismiss"])
    def test_an_answer_to_what_is_not_open_any_more_is_refused(self, verdict: str) -> None:
        """Somebody was faster, or another payment was reported meanwhile: nobody answers what they have not seen."""
        seen = settled(a_purchase(), price=CENT).purchase
        reason, answered = seen.review.reason, settled(seen.dismiss(NOW, BY).purchase, **ANOTHER).purchase

        with pytest.raises(ResolutionRefused, match="has changed meanwhile"):
            if verdict == "accept":
                answered.accept(a_report(answered, price=CENT), NOW, BY, reason=reason)
            else:
                answered.dismiss(NOW, BY, reason=reason)


class TestTakenBack:
    @pytest.mark.parametrize("status", OVER)
    def test_a_platform_that_calls_a_paid_purchase_unpaid_is_shown_to_a_person_once(
        self, status: PaymentStatus
    ) -> None:
        """Nothing unpaid overwrites payment, the credits stay; but the money may have gone."""
        paid = a_paid_purchase()

        decision = settled(paid, seconds=1, status=status)

        (fact,) = facts(decision)
        assert isinstance(fact, PurchaseNeedsReview)
        assert fact.reason == f"payment {paid.platform_reference}: it was paid, and now the platform says {status}"
        assert decision.purchase.review.findings == (ReviewFinding(reason=fact.reason, about=paid.platform_reference),)
        assert (decision.purchase.status, decision.purchase.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
        assert settled(decision.purchase, seconds=2, status=status) == PurchaseDecision(decision.purchase)

    @pytest.mark.parametrize("older_by", [0 * TICK, TICK], ids=["at the same time", "before"])
    def test_an_answer_that_is_no_newer_than_the_payment_rings_nobody(self, older_by: Any) -> None:
        """The page expired, or was not paid yet, when that was read; the payment came after."""
        paid = a_paid_purchase()
        report = a_report(paid, status=PaymentStatus.EXPIRED, observed_at=NOW - older_by)

        assert paid.settle(report, NOW, BY) == PurchaseDecision(paid)

    @pytest.mark.parametrize("status", [PaymentStatus.PENDING, PaymentStatus.PROCESSING])
    def test_neither_does_one_that_says_of_no_end(self, status: PaymentStatus) -> None:
        """A platform may show a payment as under way for a while after it told us of it."""
        paid = a_paid_purchase()

        assert settled(paid, seconds=1, status=status) == PurchaseDecision(paid)

    @pytest.mark.parametrize("status", sorted(UNPAID_ENDS))
    def test_neither_does_the_end_of_what_was_over_already(self, status: PurchaseStatus) -> None:
        """Nothing was paid that could be taken back."""
        over = a_purchase(status=status, observed_at=NOW)

        assert settled(over, seconds=1, status=PaymentStatus.EXPIRED) == PurchaseDecision(over)

    @pytest.mark.parametrize("status", sorted(PAID))
    def test_neither_does_the_end_of_another_payment(self, status: PurchaseStatus) -> None:
        """An old page that expires says nothing of the money we have."""
        paid = a_purchase(status=status, observed_at=NOW)

        assert settled(paid, seconds=1, status=PaymentStatus.EXPIRED, **ANOTHER) == PurchaseDecision(paid)
