"""Merchants' shops over HTTP: each asks under one key until it is answered, and meanwhile does other things."""

import asyncio
import itertools
import json
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.system import System
from tests.faults.oracle import Told

TRIALS, PURCHASES = "/api/billing/trials", "/api/billing/purchases"
PACKS = ("small", "medium", "large")
PATIENCE_S = 4.0
# A client waits so long, then does something else beside; so many things at once at most.
TURN_S, TURNS_EACH = 1.0, 4
INSISTS_FOR_S = 30.0
BAD, REPEATED, REUSED = 0.02, 0.05, 0.02
NOT_REGISTERED_YET_S = 0.05
# No answer at all, the platform or the storage in trouble: the client must ask again, under the same key.
_UNDECIDED = frozenset({None, 502, 503})


class Clients:
    """Every client, and what they were told."""

    def __init__(
        self, system: System, announcements: Announcements, payers: Payers, chronicle: Chronicle, *, seed: int
    ) -> None:
        self._system, self._announcements, self._payers = system, announcements, payers
        self._chronicle, self._random = chronicle, random.Random(f"clients {seed}")
        self._http = _session()
        self._tokens: dict[str, str] = {}
        self._registered: set[str] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self.told: list[Told] = []
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """This will be one client until `stop` is set; it turns to other things while one takes long."""
        mine: set[asyncio.Task[None]] = set()
        while not self.stop.is_set():
            turn = asyncio.create_task(self._turn())
            mine.add(turn)
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)
            await asyncio.wait({turn}, timeout=TURN_S)
            if len(mine) >= TURNS_EACH:
                await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
            mine = _still_going(mine)
        await asyncio.gather(*mine)

    async def arrive(self, merchant_id: str) -> bool:
        """This will look whether the merchant is registered yet, and start the trial once it is."""
        answer = await self._ask("GET", "/api/billing", merchant_id)
        if answer is None or answer.status != 200:
            await asyncio.sleep(NOT_REGISTERED_YET_S)
            return False
        self._registered.add(merchant_id)
        await self._insist(TRIALS, merchant_id, {}, str(uuid.uuid4()))
        return True

    async def buy(self, merchant_id: str) -> None:
        """This will buy something in the name of a merchant that has arrived."""
        wanted = {"pack": self._random.choice(PACKS), "return_url": "https://shop.example/billing"}
        key = str(uuid.uuid4())
        told = await self._insist(PURCHASES, merchant_id, wanted, key)
        if told is None or told.status >= 400:
            return
        if told.document["checkout_url"] is not None:
            self._payers.take(told.document)
        fate = self._random.random()
        if fate < REPEATED:
            await self._insist(PURCHASES, merchant_id, wanted, key)
        elif fate < REPEATED + REUSED:
            other = await self._insist(PURCHASES, merchant_id, {**wanted, "return_url": "https://x.example/"}, key)
            if other is not None and other.status != 422:
                self._chronicle.accuse(f"a key used for another request was answered {other.status}, not 422")

    async def close(self) -> None:
        """This will send everybody home and hang up."""
        self.stop.set()
        for turn in self._turns:
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
        await self._http.close()

    # --- what they want ----------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        merchant_id = self._random.choice(tuple(self._announcements.shops))
        if merchant_id not in self._registered:
            await self.arrive(merchant_id)
        elif self._random.random() < BAD:
            await self._ask_badly(merchant_id)
        else:
            await self.buy(merchant_id)

    async def _ask_badly(self, merchant_id: str) -> None:
        """Ask for what must be refused, and nothing may come of."""
        body, headers = self._random.choice((
            ({"pack": "no-such-pack", "return_url": "https://shop.example/"}, {"Idempotency-Key": str(uuid.uuid4())}),
            ({"pack": "small", "return_url": "javascript:alert(1)"}, {"Idempotency-Key": str(uuid.uuid4())}),
            ({"pack": "small", "return_url": "https://shop.example/"}, {}),
            ({"pack": "\0", "return_url": 7, "more": None}, {"Idempotency-Key": str(uuid.uuid4())}),
            ({"pack": "small"}, {"Idempotency-Key": str(uuid.uuid4()), "Authorization": "Bearer none"}),
            ({"pack": "small"}, {"Idempotency-Key": str(uuid.uuid4()), "X-Platform": "shopify"}),
        ))  # fmt: skip
        answer = await self._ask("POST", PURCHASES, merchant_id, body, headers)
        if answer is not None and not (400 <= answer.status < 500 or answer.status == 503):
            self._chronicle.accuse(f"a bad request was answered {answer.status}: {body} {sorted(headers)}")

    # --- how they ask ------------------------------------------------------------------------------------------------

    async def _insist(self, path: str, merchant_id: str, body: Mapping[str, Any], key: str) -> Told | None:
        """This will ask under the one key until there is an answer; None where none came before the patience ended."""
        give_up_at_s = time.monotonic() + INSISTS_FOR_S
        for attempt in itertools.count():
            answer = await self._ask("POST", path, merchant_id, body, {"Idempotency-Key": key})
            status = None if answer is None else answer.status
            document = {} if answer is None or status in _UNDECIDED else answer.document
            in_use = document.get("code") == "IDEMPOTENCY_KEY_IN_USE"
            if status not in _UNDECIDED and not in_use:
                told = Told(merchant_id=merchant_id, key=key, status=status or 0, document=document)
                self.told.append(told)
                return told
            if self.stop.is_set() or time.monotonic() > give_up_at_s:
                break
            again_s = 1.0 if answer is None else answer.retry_after_s
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * max(again_s, min(0.05 * 2**attempt, 1.0)))
        self._chronicle.count("load", "requests given up")
        return None

    async def _ask(
        self,
        method: str,
        path: str,
        merchant_id: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Answer | None":
        """This will ask one of the doors; None where no answer came."""
        url = f"{self._random.choice(self._system.doors)}{path}"
        platform = self._announcements.shops[merchant_id].platform
        own = {"Authorization": f"Bearer {self._token(merchant_id, platform)}", "X-Platform": platform}
        try:
            async with self._http.request(method, url, json=body, headers={**own, **(headers or {})}) as told:
                document = json.loads(await told.read())
        except (aiohttp.ClientError, TimeoutError):
            self._chronicle.count("answers", "none")
            return None
        answer = Answer(
            status=told.status,
            document=document,
            replayed="Idempotency-Replayed" in told.headers,
            retry_after_s=float(told.headers.get("Retry-After", 0)),
        )
        self._chronicle.count("answers", f"{answer.status}{_how(answer)}")
        if answer.status == 500:
            self._chronicle.accuse(f"{method} {path} was answered 500")
        return answer

    def _token(self, merchant_id: str, platform: str) -> str:
        if merchant_id not in self._tokens:
            self._tokens[merchant_id] = self._system.signer.sign(
                merchant_id=merchant_id, platform=platform, subject="chaos", ttl=timedelta(hours=2)
            )
        return self._tokens[merchant_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a door answered."""

    status: int
    document: Mapping[str, Any]
    replayed: bool
    retry_after_s: float


def _still_going(turns: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """The turns that are not over. Raises what went wrong with one that is."""
    for turn in turns:
        if turn.done():
            turn.result()
    return {turn for turn in turns if not turn.done()}


def _session() -> aiohttp.ClientSession:
    # Made for load: of what a client costs there is less for those it asks.
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=PATIENCE_S), connector=aiohttp.TCPConnector(limit=0)
    )


def _how(answer: Answer) -> str:
    """What else matters about an answer: the refusal's code, or that it was given before."""
    if answer.status >= 400:
        return f" {answer.document.get('code', '')}"
    return " replayed" if answer.replayed else ""
