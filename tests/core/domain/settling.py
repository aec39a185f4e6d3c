"""A purchase and the reports that settle it, for the tests of its life."""

from datetime import timedelta
from typing import Any

from billing_core.domain.events import Fact
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.testing import MOMENT, a_purchase, a_report, an_origin

NOW = MOMENT + timedelta(hours=2)
TICK = timedelta(microseconds=1)
BY = an_origin()
UNPAID_REPORTS = [each for each in PaymentStatus if each is not PaymentStatus.PAID]


def facts(decision: PurchaseDecision) -> list[Fact]:
    """What the decision announces."""
    return [change.fact for change in decision.changes if change.fact is not None]


def settled(purchase: Purchase, *, seconds: int = 0, **values: Any) -> PurchaseDecision:
    """The purchase after a report of its payment observed that many seconds after NOW."""
    now = NOW + timedelta(seconds=seconds)
    return purchase.settle(a_report(purchase, observed_at=now, **values), now, BY)


def a_paid_purchase(**values: Any) -> Purchase:
    """A purchase whose payment was verified at NOW."""
    return settled(a_purchase(**values)).purchase
