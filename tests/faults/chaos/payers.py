"""Those who pay, or do not: one for each checkout that was handed out, on either platform."""

from collections.abc import Mapping
from typing import Any

from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.sandbox_payers import SandboxPayers
from tests.faults.chaos.stripe_payers import StripePayers
from tests.faults.chaos.system import System


class Payers:
    """Everybody who was told of a checkout."""

    def __init__(self, system: System, announcements: Announcements, chronicle: Chronicle, *, seed: int) -> None:
        self._shops = announcements.shops
        self._stripe = StripePayers(system, announcements, chronicle, seed=seed)
        self._sandbox = SandboxPayers(system, announcements, chronicle, seed=seed)

    def take(self, purchase: Mapping[str, Any]) -> None:
        """This will send a payer to a purchase's checkout, unless one is there already."""
        shop = self._shops[purchase["merchant_id"]]
        if shop.platform == "stripe":
            self._stripe.take(purchase)
        else:
            self._sandbox.take(purchase, shop.account)

    async def all_done(self) -> None:
        """This will return once everybody has paid and had what comes after. Raises what went wrong with one."""
        await self._stripe.errands.all_done()
        await self._sandbox.errands.all_done()

    async def close(self) -> None:
        """This will send everybody away."""
        await self._stripe.close()
        await self._sandbox.close()
