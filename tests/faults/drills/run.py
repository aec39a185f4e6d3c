"""One run of the drills: a system under light load, each outage in turn, then everything judged at once."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.faults.chaos.announcements import Announcements, Shop
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.draining import DRAINED_WITHIN_S, come_to_rest, drained
from tests.faults.chaos.evidence import gather_evidence
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.system import System
from tests.faults.drills.answers import while_processes_start
from tests.faults.drills.load import PLATFORM, Load, Stage
from tests.faults.drills.outages import Drill
from tests.faults.oracle import Evidence, violations

from billing_adapters.nats.connection import NATS_FAILURES
from billing_core.errors import BillingError

MERCHANTS = 16
OPEN_WITHIN_S, READY_WITHIN_S, BOUGHT_WITHIN_S = 60.0, 60.0, 30.0
# What was known a moment before may still be answered.
SETTLES_S = 1.0
# When those who were held back pay: at this part of the outage.
PAY_AT = 0.2
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run: which drills, for how long each, under which seed, on how many processes."""

    drills: Sequence[Drill]
    seconds: float
    seed: int
    http: int = 2
    workers: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a drill went. `ready_after_s` counts from when the outage was ended, `drained_after_s` from when everything
    was ready again; None where that did not happen in time. `bought` is what was asked for before, during and after,
    and got."""

    name: str
    stage: Stage
    ready_after_s: float | None
    drained_after_s: float | None
    bought: tuple[int, int, int]
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run ended: each drill, and every broken rule."""

    outcomes: Sequence[Outcome]
    evidence: Evidence
    violations: tuple[str, ...]


class Run:
    """A run in the making; `phase` tells how far it is."""

    def __init__(self, plan: Plan, folder: Path, chronicle: Chronicle) -> None:
        self._plan, self._folder, self.chronicle = plan, folder, chronicle
        self.phase = "starting"

    async def __call__(self) -> Verdict:
        """This will do all of it, and leave nothing running whatever happens."""
        plan, chronicle = self._plan, self.chronicle
        async with AsyncExitStack() as closing:
            system = await closing.enter_async_context(System(self._folder, http=plan.http, workers=plan.workers))
            announcements = Announcements(system, chronicle, seed=plan.seed)
            payers = Payers(system, announcements, chronicle, seed=plan.seed)
            load = Load(system, announcements, payers, chronicle, seed=plan.seed)
            for open_end in (announcements, payers, load):
                closing.push_async_callback(open_end.close)
            outcomes = await self._suffer(system, announcements, load)
            await self._recover(system, announcements, payers)
            self._enter("judging")
            evidence = await gather_evidence(system, load.told, announcements.poison)
        for each in (*violations(evidence), *_unregistered(evidence, announcements)):
            chronicle.accuse(each)
        for name in system.stuck:
            chronicle.accuse(f"{name} did not stop when it was told to")
        return Verdict(outcomes=outcomes, evidence=evidence, violations=tuple(chronicle.violations))

    async def _suffer(self, system: System, announcements: Announcements, load: Load) -> list[Outcome]:
        self._enter("opening")
        await self._open(announcements, load)
        async with asyncio.TaskGroup() as group:
            going_on = group.create_task(load.run())
            watching = group.create_task(self._watch_processes(system, load))
            outcomes = [await self._drill(drill, system, load) for drill in self._plan.drills]
            load.stop.set()
            await going_on
            watching.cancel()
        return outcomes

    async def _open(self, announcements: Announcements, load: Load) -> None:
        seed = self._plan.seed
        for number in range(MERCHANTS):
            await announcements.merchant(f"merchant-{seed}-{number}", Shop(PLATFORM, f"shop-{seed}-{number}"))
        async with asyncio.timeout(OPEN_WITHIN_S):
            for merchant_id in announcements.shops:
                while not await load.arrive(merchant_id):
                    pass

    async def _drill(self, drill: Drill, system: System, load: Load) -> Outcome:
        """This will do one drill under the load, and return once everything is as before, or was given up."""
        before = _Bought(load)
        await before.at_least_one()
        self._enter(f"{drill.name} goes")
        load.stage = Stage(name=drill.name, rule=drill.changing)
        already = len(self.chronicle.violations)
        before.end()
        async with drill.outage(system, self._plan.seconds):
            during = _Bought(load)
            self._enter(f"{drill.name} is away")
            await asyncio.sleep(SETTLES_S)
            stage = load.stage = Stage(name=drill.name, rule=drill.rule)
            await asyncio.sleep(self._plan.seconds * PAY_AT)
            load.release()
            await asyncio.sleep(self._plan.seconds * (1 - PAY_AT))
            load.stage = Stage(name=drill.name, rule=drill.changing)
            during.end()
            ended_s = time.monotonic()
            self._enter(f"{drill.name} comes back")
        ready_after_s = await self._ready_again(system, ended_s)
        load.stage = Stage(name=f"after {drill.name}")
        drained_after_s = await self._drained(system)
        after = _Bought(load)
        await after.at_least_one()
        await during.all_answered()
        bought = (before.count, during.count, after.count)
        for name, app in system.apps.items():
            if drill.must_log not in await asyncio.to_thread(app.log.read_text, "utf-8", "replace"):
                self.chronicle.accuse(f"{drill.name}: {name} did not log {drill.must_log}")
        for each in _shortcomings(drill, stage, ready_after_s, drained_after_s, bought):
            self.chronicle.accuse(f"{drill.name}: {each}")
        outcome = Outcome(
            name=drill.name,
            stage=stage,
            ready_after_s=ready_after_s,
            drained_after_s=drained_after_s,
            bought=bought,
            violations=tuple(self.chronicle.violations[already:]),
        )
        self.chronicle.note("drilled", name=drill.name, answered=dict(stage.answered), slowest_s=stage.slowest_s)
        return outcome

    async def _recover(self, system: System, announcements: Announcements, payers: Payers) -> None:
        """This will let everything come to rest and find what was lost on its way to us, as an operator does."""
        self._enter("draining")
        if await come_to_rest(system, announcements, payers) is None:
            self.chronicle.accuse(f"not drained {DRAINED_WITHIN_S:.0f} s after the load ended")
        self._enter("reconciling")
        code, told = await system.billing("purchases", "reconcile", "--all-open", "--json")
        if code != 0:
            self.chronicle.accuse(f"reconciling ended with {code}: {told[-400:]}")
        await drained(system, within_s=DRAINED_WITHIN_S)

    # --- how it comes back -------------------------------------------------------------------------------------------

    async def _ready_again(self, system: System, ended_s: float) -> float | None:
        """This will wait until every door says that all is well and every worker is ready; the seconds since then."""
        async with httpx2.AsyncClient(timeout=2) as client:
            while time.monotonic() < ended_s + READY_WITHIN_S:
                if all([await _is_well(client, door) for door in system.doors]) and _workers_are_ready(system):
                    return time.monotonic() - ended_s
                await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _drained(self, system: System) -> float | None:
        began_s = time.monotonic()
        while (left_s := began_s + DRAINED_WITHIN_S - time.monotonic()) > 0:
            with suppress(BillingError, *NATS_FAILURES):  # our own connection may come back last
                if await drained(system, within_s=left_s):
                    return time.monotonic() - began_s
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _watch_processes(self, system: System, load: Load) -> None:
        """This will start an app again that fell over, as an orchestrator does, and accuse it."""
        while True:
            for name, app in system.apps.items():
                if not app.is_running and not _is_being_replaced(load.stage):
                    self.chronicle.accuse(f"{load.stage.name}: {name} fell over")
                    app.start()
            await asyncio.sleep(LOOK_EVERY_S)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.chronicle.note(phase)


class _Bought:
    """What was asked for from now on, until `end`, and got."""

    def __init__(self, load: Load) -> None:
        self._load, self._from = load, len(load.wishes)
        self._until: int | None = None

    def end(self) -> None:
        """What is asked for from now on does not count."""
        self._until = len(self._load.wishes)

    @property
    def count(self) -> int:
        """How much was bought of it by now."""
        return sum(each.bought for each in self._load.wishes[self._from : self._until])

    async def at_least_one(self) -> None:
        """This will wait until something is bought; not for ever."""
        await _until(lambda: self.count > 0)

    async def all_answered(self) -> None:
        """This will wait until everybody has an answer; not for ever."""
        await _until(lambda: all(each.answered_at_s for each in self._load.wishes[self._from : self._until]))


async def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + BOUGHT_WITHIN_S
    while not holds() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - many things may make it hold
        await asyncio.sleep(LOOK_EVERY_S)


def _shortcomings(
    drill: Drill,
    stage: Stage,
    ready_after_s: float | None,
    drained_after_s: float | None,
    bought: tuple[int, int, int],
) -> list[str]:
    """What should have happened in a drill and did not; a drill in which nothing happened proves nothing."""
    missing = [f"nobody saw {label}" for label in drill.must_see if not stage.answered[label]]
    missing += [
        f"nothing was bought {when}" for when, n in zip(("before", "during", "after"), bought, strict=True) if not n
    ]
    if ready_after_s is None:
        missing.append(f"not ready {READY_WITHIN_S:.0f} s after it came back")
    if drained_after_s is None:
        missing.append(f"not drained {DRAINED_WITHIN_S:.0f} s after everything was ready")
    return missing


def _unregistered(evidence: Evidence, announcements: Announcements) -> list[str]:
    return [
        f"merchant {merchant_id} was announced and is not registered"
        for merchant_id, shop in announcements.shops.items()
        if evidence.shops.get(merchant_id) != f"{shop.platform} {shop.account}"
    ]


def _is_being_replaced(stage: Stage) -> bool:
    return stage.rule is while_processes_start


def _workers_are_ready(system: System) -> bool:
    return all(app.ready_file.exists() for name, app in system.apps.items() if name.startswith("worker"))


async def _is_well(client: httpx2.AsyncClient, door: str) -> bool:
    try:
        answer = await client.get(f"{door}/health")
    except httpx2.TransportError:  # it starts
        return False
    return answer.status_code == 200 and answer.json()["status"] == "ok"
