"""What the tests of buying ask for, of which platform, from which catalogue."""

import asyncio

from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import PlatformUnavailable
from billing_core.ports.platforms import Checkout, PlatformAccount
from billing_core.testing import InMemoryBilling, ScriptedPlatform
from billing_core.use_cases.create_purchase import PurchaseRequest

URL = "https://shop.example/billing"
LARGE = PurchaseRequest(pack="large", return_url=URL)
AWAY = PlatformUnavailable("sandbox", "no answer")

CATALOG = {
    "version": "2",
    "max_open_purchases": 2,
    "packs": [
        {"code": code, "credits": 10, "bonus_credits": 1, "prices": {"USD": "1.00", "EUR": "0.90"}}
        for code in ("large", "small", "mini")
    ],
}


def event_types(billing: InMemoryBilling) -> list[str]:
    """What was announced, in order."""
    return [row.event.type for row in billing.storage.tables.outbox.values()]


def statuses(billing: InMemoryBilling) -> list[PurchaseStatus]:
    """How the purchases stand, in the order they were made."""
    return [purchase.status for purchase in billing.storage.tables.purchases.values()]


class WaitingPlatform(ScriptedPlatform):
    """Answers no earlier than it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will say that it was asked, and wait."""
        self.asked.set()
        await self.may_answer.wait()
        return await super().create_checkout(purchase, account)
