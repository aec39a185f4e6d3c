"""Those who pay at Stripe, or do not, and what becomes of their money; each act brings a notice."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import httpx2
from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.errands import Errands
from tests.faults.chaos.system import System

THINKS_FOR_S = 0.5
MONEY_TRAVELS_S = 1.5
PATIENCE_S = 60.0
# What a payer does, in hundredths; the rest never comes back.
HABITS = {"pay": 86, "process, then succeed": 4, "process, then fail": 2, "expire": 4}
REFUNDED, DISPUTED = 0.12, 0.03


class StripePayers:
    """One for each of Stripe's checkouts that was handed out."""

    def __init__(self, system: System, announcements: Announcements, chronicle: Chronicle, *, seed: int) -> None:
        self._url, self._announcements, self._chronicle = system.platform_url, announcements, chronicle
        self._random = random.Random(f"payers {seed}")
        self._client = httpx2.AsyncClient(timeout=PATIENCE_S)
        self.errands = Errands()
        self._made_at: dict[str, str] = {}  # by the reference of the checkout

    def take(self, purchase: Mapping[str, Any]) -> None:
        """This will send a payer to a purchase's checkout, unless one is there already."""
        reference = purchase["platform_reference"]
        if reference in self._made_at:
            return
        self._made_at[reference] = purchase["created_at"]
        self.errands.begin(self._act(reference, int(purchase["price"]["amount_minor"])))

    async def close(self) -> None:
        """This will send everybody away."""
        await self.errands.give_up()
        await self._client.aclose()

    async def _act(self, reference: str, amount_minor: int) -> None:
        await asyncio.sleep(self._random.uniform(0, THINKS_FOR_S))
        habit = self._habit()
        self._chronicle.count("payers", habit)
        match habit:
            case "pay":
                await self._do("pay", reference, notice="checkout.session.completed")
            case "expire":
                await self._do("expire", reference, notice="checkout.session.expired")
                return
            case "process, then succeed":
                await self._do("process", reference, notice="checkout.session.completed")
                await asyncio.sleep(self._random.uniform(0, MONEY_TRAVELS_S))
                await self._do("succeed", reference, notice="checkout.session.async_payment_succeeded")
            case "process, then fail":
                await self._do("process", reference, notice="checkout.session.completed")
                await asyncio.sleep(self._random.uniform(0, MONEY_TRAVELS_S))
                await self._do("fail", reference, notice="checkout.session.async_payment_failed")
                return
            case _:
                return
        await self._repent(reference, amount_minor)

    async def _repent(self, reference: str, amount_minor: int) -> None:
        """What happens to some payments later. Billing learns of refunds and disputes by notices alone, which
        platforms deliver for days until they are taken: so none of these is lost."""
        fate = self._random.random()
        if fate < REFUNDED:
            await asyncio.sleep(self._random.uniform(0, MONEY_TRAVELS_S))
            part = self._random.choice((amount_minor, self._random.randint(1, amount_minor - 1)))
            await self._do("refund", reference, notice="charge.refunded", sure=True, amount_minor=part)
        elif fate < REFUNDED + DISPUTED:
            await asyncio.sleep(self._random.uniform(0, MONEY_TRAVELS_S))
            await self._do("dispute", reference, notice="charge.dispute.created", sure=True, status="needs_response")
            if verdict := self._random.choice(("won", "lost", None)):
                await asyncio.sleep(self._random.uniform(0, MONEY_TRAVELS_S))
                await self._do("dispute", reference, notice="charge.dispute.closed", sure=True, status=verdict)

    async def _do(self, verb: str, reference: str, *, notice: str, sure: bool = False, **more: Any) -> None:
        await self._control(verb, reference=reference, **more)
        event = await self._control("event", reference=reference, type=notice)
        self._announcements.notice("stripe", event, made_at=self._made_at[reference], sure=sure)

    async def _control(self, verb: str, **arguments: Any) -> Any:
        answer = await self._client.post(f"{self._url}/_control/{verb}", json=arguments)
        answer.raise_for_status()
        return answer.json()

    def _habit(self) -> str:
        drawn = self._random.uniform(0, 100)
        for habit, share in HABITS.items():
            drawn -= share
            if drawn < 0:
                return habit
        return "never come back"
