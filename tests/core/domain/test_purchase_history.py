"""Every change of a purchase is an entry of its history: what happened, when, by whom, and what is announced of it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from tests.core.domain.settling import NOW, a_paid_purchase

from billing_core.domain.events import CreditsPurchased, Price, PurchaseExpired, PurchaseNeedsReview
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus
from billing_core.testing import a_purchase, a_report, an_offer, an_origin

BY = an_origin(reason="a test")
LATER = NOW + timedelta(days=3)
Decide = Callable[[Purchase, datetime], PurchaseDecision]
CREATED, PENDING = a_purchase(status=PurchaseStatus.CREATED), a_purchase()
PAID, FLAGGED = a_paid_purchase(), a_purchase().flag("odd", NOW, BY).purchase


def _told(purchase: Purchase, status: PaymentStatus = PaymentStatus.PAID, **values: object) -> PaymentReport:
    return a_report(purchase, status=status, observed_at=LATER, **values)


class TestHistory:
    @pytest.mark.parametrize(
        ("what", "reason", "purchase", "decide"),
        [
            ("pending", "a test", CREATED, lambda one, now: one.checkout_made("r", "https://p.example", now, BY)),
            ("failed", "refused", CREATED, lambda one, now: one.fail("refused", now, BY)),
            ("expired", "not paid in time", PENDING, lambda one, now: one.expire(now, BY)),
            ("cancelled", "a test", PENDING, lambda one, now: one.cancel(now, BY)),
            (
                "declined",
                "a test",
                PENDING,
                lambda one, now: one.settle(_told(one, PaymentStatus.DECLINED), now, BY),
            ),
            ("completed", "a test", PENDING, lambda one, now: one.settle(_told(one), now, BY)),
            ("completed", "a test", FLAGGED, lambda one, now: one.accept(_told(one), now, BY)),
            ("dismissed", "a test", FLAGGED, lambda one, now: one.dismiss(now, BY)),
            ("needs_review", "odd", PENDING, lambda one, now: one.flag("odd", now, BY)),
            ("refund", "a test", PAID, lambda one, now: one.settle(_told(one, refunded_minor=1), now, BY)),
            (
                "dispute",
                "a test",
                PAID,
                lambda one, now: one.settle(_told(one, dispute=DisputeStatus.OPEN), now, BY),
            ),
        ],
    )
    def test_names_what_happened_and_when_and_why(
        self, what: str, reason: str, purchase: Purchase, decide: Decide
    ) -> None:
        """In the words people read later; the next number, from the status before to the one after."""
        after, (change,) = (decision := decide(purchase, LATER)).purchase, decision.changes

        assert (change.what, change.reason, change.at, change.by) == (what, reason, LATER, BY)
        assert (change.subject, change.subject_id, change.merchant_id) == (
            "purchase",
            purchase.purchase_id,
            purchase.merchant_id,
        )
        assert (change.number, change.status_before, change.status_after) == (
            purchase.version + 1,
            purchase.status,
            after.status,
        )

    def test_a_payment_that_was_refunded_before_it_was_heard_of_is_two_entries(self) -> None:
        """Granted and taken back in the same moment, and both are there to be read."""
        decision = PENDING.settle(_told(PENDING, refunded_minor=6999), LATER, BY)

        assert [(each.number, each.what, each.at, each.by) for each in decision.changes] == [
            (PENDING.version + 1, "completed", LATER, BY),
            (PENDING.version + 2, "refund", LATER, BY),
        ]

    @pytest.mark.parametrize(
        "report",
        [
            _told(PENDING, price=None),
            _told(PAID, PaymentStatus.EXPIRED),
            _told(PAID, platform_reference="another"),
        ],
    )
    def test_a_question_that_a_report_raises_is_dated_and_signed_too(self, report: PaymentReport) -> None:
        """Whoever is asked sees since when."""
        purchase = PENDING if report.platform_reference == PENDING.platform_reference else PAID

        (change,) = purchase.settle(report, LATER, BY).changes

        assert (change.what, change.at, change.by) == ("needs_review", LATER, BY)


class TestFacts:
    def test_purchased_credits_are_told_whole(self) -> None:
        """The one event that grants credits says how many, for what, and whether money moved."""
        purchase = a_purchase(offer=an_offer(bonus_credits=50))

        decision = purchase.settle(_told(purchase, test=True), LATER, BY)

        assert decision.changes[0].fact == CreditsPurchased(
            merchant_id=purchase.merchant_id,
            platform=purchase.platform,
            purchase_id=purchase.purchase_id,
            pack="large",
            credits=1000,
            bonus_credits=50,
            price=Price(amount_minor=6999, currency="USD", amount="69.99"),
            test=True,
            late=False,
            completed_at=LATER,
        )
        assert (decision.purchase.completed_at, decision.purchase.ended_at) == (LATER, LATER)

    def test_an_end_and_a_question_are_told_with_pack_and_reason(self) -> None:
        """The merchant's mail says which purchase, and why."""
        identity = {
            "merchant_id": PENDING.merchant_id,
            "platform": PENDING.platform,
            "purchase_id": PENDING.purchase_id,
            "pack": "large",
        }

        ended, asked = PENDING.expire(LATER, BY), PENDING.flag("odd", LATER, BY)

        assert ended.changes[0].fact == PurchaseExpired(**identity, reason="not paid in time")
        assert ended.purchase.ended_at == LATER
        assert asked.changes[0].fact == PurchaseNeedsReview(**identity, reason="odd")
