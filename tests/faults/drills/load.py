"""Light and steady load: shops that buy, repeat and read, and an orchestrator that asks every door for its health.

Nobody gives up: who is told 503 asks again under the same key until it is answered, as a careful client does.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.faults.chaos.announcements import Announcements
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.system import System
from tests.faults.drills.answers import PATIENCE_S, Answer, Kind, Rule, always, while_processes_start
from tests.faults.oracle import Told

TRIALS, PURCHASES, OVERVIEW = "/api/billing/trials", "/api/billing/purchases", "/api/billing"
PLATFORM = "stripe"
PACKS = ("small", "medium", "large")
SHOPS = 4
PACE_S = 0.5
INSISTS_FOR_S = 30.0
TURN_S, MOST_WAITING = 2.0, 3
# So many of the checkouts are paid only when the next server is away.
HELD = 0.3
ROUNDS_BETWEEN_FRESH_TOKENS = 4
# Long enough for processes whose clock is an hour off to accept it.
TOKEN_AGE, TOKEN_LIFE, FRESH_LIFE = timedelta(hours=2), timedelta(hours=8), timedelta(minutes=5)
CLOCK_IS_WRONG = timedelta(minutes=45)
_UNDECIDED = frozenset({None, 502, 503})


@dataclass(slots=True, kw_only=True)
class Stage:
    """A stretch of time under one rule, and what was answered meanwhile."""

    name: str
    rule: Rule = always
    answered: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class Wish:
    """Something a shop wants to buy: when it first asked, and when it got it (or never: it was refused)."""

    asked_at_s: float
    answered_at_s: float | None = None
    bought: bool = False


class Load:
    """Everybody who asks, and what they were told."""

    def __init__(
        self, system: System, announcements: Announcements, payers: Payers, chronicle: Chronicle, *, seed: int
    ) -> None:
        self._system, self._announcements, self._payers = system, announcements, payers
        self._chronicle, self._random = chronicle, random.Random(f"drills {seed}")
        # The doors keep idle connections for longer.
        self._http = httpx2.AsyncClient(timeout=PATIENCE_S, limits=httpx2.Limits(keepalive_expiry=2))
        self._tokens: dict[str, str] = {}
        self._held: dict[str, Mapping[str, Any]] = {}  # purchases by reference, paid once they are released
        self._repeatable: list[tuple[str, Mapping[str, str], str]] = []
        self.stage = Stage(name="opening")
        self.wishes: list[Wish] = []
        self.told: list[Told] = []
        self.stop = asyncio.Event()
        self._stopped_at_s: float | None = None

    async def arrive(self, merchant_id: str) -> bool:
        """This will look whether a merchant is registered yet, and start its trial once it is."""
        door = self._random.choice(self._system.doors)
        if (await self._ask("read", door, "GET", OVERVIEW, merchant_id))[0].status != 200:
            await asyncio.sleep(0.05)
            return False
        answer, document = await self._ask("buy", door, "POST", TRIALS, merchant_id, {}, str(uuid.uuid4()))
        return answer.status in (201, 409) or bool(document.get("ends_at"))

    async def run(self) -> None:
        """This will be everybody until `stop` is set and every wish is answered."""
        async with asyncio.TaskGroup() as everybody:
            for _ in range(SHOPS):
                everybody.create_task(self._shop())
            for door in self._system.doors:
                everybody.create_task(self._look_at(door))

    def release(self) -> None:
        """This will let those pay who were held back."""
        held, self._held = self._held, {}
        for purchase in held.values():
            self._payers.take(purchase)

    async def close(self) -> None:
        """This will hang up."""
        self.stop.set()
        await self._http.aclose()

    # --- the shops ---------------------------------------------------------------------------------------------------

    async def _shop(self) -> None:
        async with asyncio.TaskGroup() as wishes:
            waiting: set[asyncio.Task[None]] = set()
            while not self.stop.is_set():
                merchant_id = self._random.choice(tuple(self._announcements.shops))
                wanted = {"pack": self._random.choice(PACKS), "return_url": "https://shop.example/billing"}
                wish = wishes.create_task(self._insist(merchant_id, wanted, str(uuid.uuid4())))
                waiting.add(wish)
                # Who waits long for one thing wishes for another beside it, within reason.
                await asyncio.wait({wish}, timeout=TURN_S if len(waiting) < MOST_WAITING else None)
                waiting = {each for each in waiting if not each.done()}
                await self._pause()

    async def _insist(self, merchant_id: str, wanted: Mapping[str, str], key: str) -> None:
        wish = Wish(asked_at_s=time.monotonic())
        self.wishes.append(wish)
        while True:
            door = self._random.choice(self._system.doors)
            answer, document = await self._ask("buy", door, "POST", PURCHASES, merchant_id, wanted, key)
            in_use = answer.code == "IDEMPOTENCY_KEY_IN_USE"
            if answer.status not in _UNDECIDED and not in_use:
                break
            if self.stop.is_set() and time.monotonic() > self._patient_until_s():
                self._chronicle.accuse(f"{merchant_id} asked for a purchase and was told {answer.label} to the end")
                return
            await self._pause()
        wish.answered_at_s, wish.bought = time.monotonic(), answer.status in (200, 201)
        self._remember(merchant_id, key, answer, document)
        if answer.status == 201 and not answer.replayed:
            self._look_at_clock(document)
        if wish.bought:
            self._repeatable.append((merchant_id, wanted, key))
            self._pay(document)

    def _pay(self, purchase: Mapping[str, Any]) -> None:
        reference = purchase["platform_reference"]
        if purchase["checkout_url"] is None or reference in self._held:
            return
        if self._random.random() < HELD and not self.stop.is_set():
            self._held[reference] = purchase
        else:
            self._payers.take(purchase)

    def _look_at_clock(self, made: Mapping[str, Any]) -> None:
        """This will count what was made by a clock that is wrong."""
        ahead = datetime.fromisoformat(made["created_at"]) - datetime.now(UTC)
        if abs(ahead) > CLOCK_IS_WRONG:
            self.stage.answered["made ahead" if ahead > timedelta() else "made behind"] += 1

    # --- the orchestrator, and those who only look -------------------------------------------------------------------

    async def _look_at(self, door: str) -> None:
        rounds = 0
        while not self.stop.is_set():
            merchant_id = self._random.choice(tuple(self._announcements.shops))
            await self._ask("live", door, "GET", "/health/live")
            await self._ask("ready", door, "GET", "/health/ready")
            await self._ask("read", door, "GET", self._random.choice((OVERVIEW, PURCHASES, TRIALS)), merchant_id)
            if self._repeatable:
                merchant_id, wanted, key = self._random.choice(self._repeatable)
                told = await self._ask("repeat", door, "POST", PURCHASES, merchant_id, wanted, key)
                self._remember(merchant_id, key, *told)
            rounds += 1
            if rounds % ROUNDS_BETWEEN_FRESH_TOKENS == 0:
                fresh = self._sign(merchant_id, age=timedelta(), life=FRESH_LIFE)
                await self._ask("fresh token", door, "GET", OVERVIEW, merchant_id, token=fresh)
            await self._pause()

    def _remember(self, merchant_id: str, key: str, answer: Answer, document: Mapping[str, Any]) -> None:
        if answer.status not in _UNDECIDED and answer.code != "IDEMPOTENCY_KEY_IN_USE":
            self.told.append(Told(merchant_id=merchant_id, key=key, status=answer.status or 0, document=document))

    def _patient_until_s(self) -> float:
        """Until when somebody still asks after everything has ended."""
        if self._stopped_at_s is None:
            self._stopped_at_s = time.monotonic()
        return self._stopped_at_s + INSISTS_FOR_S

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0.5, 1.5) * PACE_S)

    # --- how they ask ------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        kind: Kind,
        door: str,
        method: str,
        path: str,
        merchant_id: str = "",
        body: Mapping[str, str] | None = None,
        key: str = "",
        *,
        token: str = "",
    ) -> tuple[Answer, Mapping[str, Any]]:
        """This will ask one door once and judge the answer by the rule of the moment."""
        stage, began_s = self.stage, time.monotonic()
        headers = {"Idempotency-Key": key} if key else {}
        if merchant_id:
            headers |= {"Authorization": f"Bearer {token or self._token(merchant_id)}", "X-Platform": PLATFORM}
        document: Mapping[str, Any] = {}
        try:
            response = await self._http.request(method, f"{door}{path}", json=body, headers=headers)
        except httpx2.TransportError as error:
            answer = Answer(kind=kind, status=None, took_s=time.monotonic() - began_s, error=type(error).__name__)
        else:
            # Whatever is no JSON was not answered by us; its status is judged all the same.
            document = response.json() if "json" in response.headers.get("Content-Type", "") else {}
            answer = _answer(kind, response, document, time.monotonic() - began_s)
        self._judge(answer, stage)
        return answer, document

    def _judge(self, answer: Answer, began_in: Stage) -> None:
        """What began under one rule and ended under another is judged by what always holds."""
        stage = self.stage if began_in is self.stage else Stage(name=began_in.name, rule=_lenient(began_in, self.stage))
        self._chronicle.count("answers", f"{answer.kind} {answer.label}")
        if stage is self.stage:
            stage.answered[f"{answer.kind} {answer.label}"] += 1
            stage.slowest_s = max(stage.slowest_s, answer.took_s)
        if wrong := stage.rule(answer):
            self.stage.broken[f"{began_in.name}: {answer.kind} was answered wrongly: {wrong}"] += 1
            self._chronicle.accuse(f"{began_in.name}: {answer.kind} was answered wrongly: {wrong}")

    def _token(self, merchant_id: str) -> str:
        if merchant_id not in self._tokens:
            self._tokens[merchant_id] = self._sign(merchant_id, age=TOKEN_AGE, life=TOKEN_LIFE)
        return self._tokens[merchant_id]

    def _sign(self, merchant_id: str, *, age: timedelta, life: timedelta) -> str:
        signer, now_s = self._system.signer, int(time.time())
        claims = {
            "iss": signer.issuer,
            "aud": signer.audience,
            "sub": "drills",
            "iat": now_s - int(age.total_seconds()),
            "exp": now_s + int(life.total_seconds()),
            "merchant_id": merchant_id,
            "platform": PLATFORM,
            "scope": "billing:read billing:write",
        }
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(signer.secret), algorithms=["HS256"])


def _answer(kind: Kind, response: httpx2.Response, document: Mapping[str, Any], took_s: float) -> Answer:
    return Answer(
        kind=kind,
        status=response.status_code,
        took_s=took_s,
        code=document.get("code", ""),
        retry_after=response.headers.get("Retry-After"),
        is_problem=response.headers.get("Content-Type") == "application/problem+json",
        replayed="Idempotency-Replayed" in response.headers,
        state=document.get("status", "") if kind == "ready" else "",
        checks=document.get("checks", {}),
    )


def _lenient(began_in: Stage, ended_in: Stage) -> Rule:
    return while_processes_start if while_processes_start in (began_in.rule, ended_in.rule) else always
