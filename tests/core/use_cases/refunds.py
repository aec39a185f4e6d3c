"""Refunds, and a source that tells them."""

from collections.abc import Sequence
from datetime import datetime

from tests.core.use_cases.stored_purchases import a_bought_one, reference_of, stored

from billing_core.domain.money import Money
from billing_core.ports.platforms import Refund
from billing_core.testing import InMemoryBilling
from billing_core.use_cases.follow_refunds import FollowRefunds
from billing_core.views import PurchaseView


class Ledger:
    """A source that tells the refunds it was given, in an order of its own."""

    platform = "sandbox"

    def __init__(self, *refunds: Refund) -> None:
        self._refunds = refunds

    async def refunds(self, since: datetime) -> Sequence[Refund]:
        """All of them, whenever they were."""
        assert since.tzinfo is not None
        return self._refunds


def following(billing: InMemoryBilling, *refunds: Refund) -> FollowRefunds:
    """The job, on a source that tells these refunds."""
    return FollowRefunds(
        sources=[Ledger(*refunds)],
        units=billing.storage.units,
        ask=billing.ask,
        settle=billing.settle,
        runs=billing.storage.runs,
        clock=billing.clock,
    )


def dollars(cents: int) -> Money:
    """So much money in US dollars."""
    return Money(amount_minor=cents, currency="USD")


def a_refund_of(billing: InMemoryBilling, purchase: PurchaseView, cents: int) -> Refund:
    """What the source tells of a purchase of which so much was given back."""
    account = stored(billing, purchase).platform_account_id
    return Refund(platform_reference=reference_of(purchase), platform_account_id=account, refunded=dollars(cents))


async def a_paid_one(billing: InMemoryBilling) -> PurchaseView:
    """A completed purchase of a merchant of its own."""
    purchase = await a_bought_one(billing)
    await billing.pay(purchase)
    return purchase
