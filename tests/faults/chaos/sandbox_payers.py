"""Those who decide at the sandbox's checkouts: what they decide goes into its books, and a notice tells of it."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.errands import Errands
from tests.faults.chaos.system import System

from billing_adapters.platforms.sandbox import NAME, sandbox_notice
from billing_adapters.platforms.sandbox_books import PostgresSandboxBooks, SandboxEntry
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import StorageUnavailable

THINKS_FOR_S = 0.5
ENTER_AGAIN_AFTER_S = 0.2
AT_ONCE = 4
# What a payer decides, in hundredths; the rest never comes back.
DECISIONS = {PaymentStatus.PAID: 90, PaymentStatus.DECLINED: 6, PaymentStatus.EXPIRED: 3}


class SandboxPayers:
    """One for each of the sandbox's checkouts that was handed out. The sandbox, like any platform, is not ours to
    break: its books are written past the proxy, again and again until they have the decision."""

    def __init__(self, system: System, announcements: Announcements, chronicle: Chronicle, *, seed: int) -> None:
        self._url, self._announcements, self._chronicle = str(system.urls.postgres), announcements, chronicle
        self._random = random.Random(f"sandbox payers {seed}")
        self.errands = Errands()
        self._taken: set[str] = set()
        self._closing = AsyncExitStack()
        self._books: PostgresSandboxBooks | None = None

    def take(self, purchase: Mapping[str, Any], account: str) -> None:
        """This will send a payer to a purchase's checkout, unless one is there already."""
        if purchase["platform_reference"] in self._taken:
            return
        self._taken.add(purchase["platform_reference"])
        self.errands.begin(self._act(purchase, account))

    async def close(self) -> None:
        """This will send everybody away."""
        await self.errands.give_up()
        await self._closing.aclose()

    async def _act(self, purchase: Mapping[str, Any], account: str) -> None:
        await asyncio.sleep(self._random.uniform(0, THINKS_FOR_S))
        decision = self._decision()
        self._chronicle.count("payers", f"sandbox {decision or 'never came back'}")
        if decision is None:
            return
        price = Money(amount_minor=int(purchase["price"]["amount_minor"]), currency=purchase["price"]["currency"])
        entry = await self._enter(
            SandboxEntry(
                reference=purchase["platform_reference"], status=decision, platform_account_id=account, price=price
            )
        )
        self._announcements.notice(NAME, sandbox_notice(entry), made_at=purchase["created_at"])

    async def _enter(self, entry: SandboxEntry) -> SandboxEntry:
        while True:
            try:
                return await (await self._open_books()).enter(entry)
            except StorageUnavailable:
                await asyncio.sleep(ENTER_AGAIN_AFTER_S)

    async def _open_books(self) -> PostgresSandboxBooks:
        if self._books is None:
            database = open_database(
                self._url, pool_size=AT_ONCE, application_name="sandbox", every_merchant=True, patience=PATIENT
            )
            self._books = PostgresSandboxBooks(await self._closing.enter_async_context(database))
        return self._books

    def _decision(self) -> PaymentStatus | None:
        drawn = self._random.uniform(0, 100)
        for decision, share in DECISIONS.items():
            drawn -= share
            if drawn < 0:
                return decision
        return None
