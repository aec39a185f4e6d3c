"""The clients: shops that buy and start trials over HTTP, ask again when no answer comes, and click twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

from tests.faults.oracle import Told
from tests.faults.ports import Process
from tests.faults.simulation.processes import HttpServer
from tests.faults.simulation.surroundings import PACKS, Surroundings

from billing_core.domain.merchants import Merchant
from billing_core.errors import (
    BillingError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    MerchantNotFound,
    PlatformError,
    StorageUnavailable,
    TooManyOpenPurchases,
    TrialAlreadyUsed,
)
from billing_core.testing import a_caller
from billing_core.testing.in_memory_billing import RETURN_URL
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_http.problems import status_of

# A client that asks this often once everything is healed has been forgotten.
_ENOUGH_IN_CALM = 30
# By then every merchant is known, mostly.
_RUSH_AT_S = 30.0
_PASSING = (IdempotencyKeyInUse, MerchantNotFound, PlatformError, StorageUnavailable)
_NAMES: Mapping[type[BillingError], str] = {
    IdempotencyKeyInUse: "409 key in use",
    IdempotencyKeyReused: "422 key reused",
    TrialAlreadyUsed: "409 trial used",
    TooManyOpenPurchases: "409 too many open",
    StorageUnavailable: "503",
}

Request = Callable[[Process], Awaitable[Answered]]


class Client:
    """One merchant's shop. What it is told goes to `told`, and each new checkout to `on_checkout`."""

    def __init__(
        self,
        around: Surroundings,
        servers: Sequence[HttpServer],
        merchant: Merchant,
        on_checkout: Callable[[str], None],
    ) -> None:
        self._around, self._servers, self._merchant, self._on_checkout = around, servers, merchant, on_checkout
        self._who, self._caller = f"shop {merchant.merchant_id}", a_caller(merchant)
        self._numbers = count(1)

    async def live(self, wishes: int, *, rush: bool) -> None:
        """This will wish for a few things, one after the other or all at once, until each was answered. In a `rush`
        every shop asks for a trial in the same moment, and first of all."""
        chance = self._around.chance
        await asyncio.sleep(_RUSH_AT_S if rush else chance.random() * 20)
        wishing = [asyncio.create_task(self._want_trial(self._next_key()))] if rush else []
        for _ in range(wishes):
            wishing.append(asyncio.create_task(self._wish()))
            await asyncio.sleep(chance.random() ** 2 * 80)
        await asyncio.gather(*wishing)

    async def _wish(self) -> None:
        chance, key = self._around.chance, self._next_key()
        if chance.random() < 0.3:
            await self._want_trial(key)
            return
        pack = chance.choice(PACKS)
        await self._clicked(key, lambda key: self._insist(key, pack, self._purchase(key, pack)))
        if chance.random() < 0.15:
            another = PACKS[pack == PACKS[0]]
            await self._ask(key, another, self._purchase(key, another))

    async def _want_trial(self, key: str) -> None:
        await self._clicked(key, lambda key: self._insist(key, "a trial", self._trial(key)))

    async def _clicked(self, key: str, insist: Callable[[str], Awaitable[None]]) -> None:
        """Once, twice under the same key, or twice under two keys."""
        luck = self._around.chance.random()
        keys = [key] if luck < 0.6 else [key, key] if luck < 0.8 else [key, f"{key}'"]
        await asyncio.gather(*(insist(each) for each in keys))

    def _next_key(self) -> str:
        return f"k-{next(self._numbers)}"

    def _purchase(self, key: str, pack: str) -> Request:
        wanted = PurchaseRequest(pack=pack, return_url=RETURN_URL)
        return lambda billing: billing.create_purchase(self._caller, key, wanted)

    def _trial(self, key: str) -> Request:
        return lambda billing: billing.activate_trial(self._caller, key)

    async def _insist(self, key: str, what: str, request: Request) -> None:
        """Ask until there is an answer that asking again would not change."""
        chance, asked_in_calm = self._around.chance, 0
        while not await self._ask(key, what, request):
            await asyncio.sleep(1 + chance.random() * 12)
            asked_in_calm += self._around.weather.is_calm
            if asked_in_calm > _ENOUGH_IN_CALM:
                self._around.history.breach(self._who, f"is never answered about {what} under {key}")
                return

    async def _ask(self, key: str, what: str, request: Request) -> bool:
        """Whether an answer came that will stay."""
        chance = self._around.chance
        self._around.history.tell(self._who, f"asks for {what} under {key}")
        try:
            answered = await chance.choice(self._servers).ask(request, patience_s=5 + chance.random() * 30)
        except _PASSING as trouble:
            return self._refused(key, trouble, stays=False)
        except BillingError as refusal:
            return self._refused(key, refusal, stays=True)
        if answered is None or (chance.random() < 0.05 and not self._around.weather.is_calm):
            self._around.history.tell(self._who, f"gets no answer under {key}")
            return False
        self._answered(key, what, answered)
        return True

    def _refused(self, key: str, refusal: BillingError, *, stays: bool) -> bool:
        self._tell(key, status_of(type(refusal)), {"code": refusal.code})
        self._around.history.reach(_NAMES.get(type(refusal), refusal.code))
        return stays

    def _answered(self, key: str, what: str, answered: Answered) -> None:
        document = json.loads(answered.answer.document)
        self._tell(key, 200 if answered.replayed else 201, document)
        self._around.history.reach("replay" if answered.replayed else answered.answer.outcome)
        if what in PACKS and document["pack"] != what:
            self._around.history.breach(self._who, f"asked for {what} and was given {document['pack']}")
        if document.get("checkout_url"):
            self._on_checkout(document["platform_reference"])

    def _tell(self, key: str, status: int, document: Mapping[str, Any]) -> None:
        self._around.history.tell(self._who, f"is told {status} under {key}: {_gist(document)}")
        told = Told(merchant_id=self._merchant.merchant_id, key=key, status=status, document=document)
        self._around.told.append(told)


def _gist(document: Mapping[str, Any]) -> str:
    told = ("code", "id", "status", "pack", "checkout_url")
    return " ".join(str(document[each]) for each in told if document.get(each))
