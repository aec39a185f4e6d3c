"""One chaos run: load and misfortune for some seconds, then everything healed, drained and judged."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.chaos import credit_service
from tests.faults.chaos.announcements import Announcements, Shop
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.clients import Clients
from tests.faults.chaos.draining import DRAINED_WITHIN_S, come_to_rest, drained
from tests.faults.chaos.evidence import gather_evidence
from tests.faults.chaos.misfortune import Misfortune
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.system import System
from tests.faults.oracle import Evidence, violations

from billing_adapters.nats.connection import NATS_FAILURES
from billing_adapters.nats.streams import BILLING
from billing_core.domain.events import rfc3339
from billing_core.errors import BillingError

MERCHANT_EVERY_S = 0.2
# Every so many merchants the shop installs the app again, as another merchant.
SHOP_AGAIN = 6
# One shop of so many is on Stripe, the others on the sandbox, which is asked without a network.
STRIPE_EVERY = 16
POISON_EVERY_S = 0.7
OPEN_WITHIN_S = 60.0
LOOK_EVERY_S = 1.0
# When the operator's clock is set wrong: at this part of the time, by so much. Whatever is open is then past its
# deadline and its platform's grace; what is paid afterwards is late.
EXPIRES_AT, CLOCK_IS_FAST_BY = 0.4, timedelta(days=2)
NOTICES_LOST_FOR_S = 2.0
FOR_EVER = "9999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run: for how long, under which seed, on how many processes, with how many clients and merchants, with a
    fault how often, with which defect, and with how many processes of the example's Credit Service."""

    seconds: float
    seed: int
    http: int = 2
    workers: int = 3
    clients: int = 16
    every_s: float = 0.3
    merchants: int = 50
    defect: str | None = None
    credit_services: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How it ended: the broken rules, what was judged, and how long draining took (None: it did not end in time),
    and the Credit Service's balances where there was one."""

    violations: tuple[str, ...]
    evidence: Evidence
    drained_after_s: float | None
    load_s: float
    balances: Mapping[str, int] | None = None


class Run:
    """A run in the making; `chronicle` and `events` tell how far it is."""

    def __init__(self, plan: Plan, folder: Path, chronicle: Chronicle) -> None:
        self._plan, self._folder, self.chronicle = plan, folder, chronicle
        self.phase = "starting"
        self.events = 0

    async def __call__(self) -> Verdict:
        """This will do all of it, and leave nothing running whatever happens."""
        plan, chronicle = self._plan, self.chronicle
        async with AsyncExitStack() as closing:
            system = await closing.enter_async_context(
                System(
                    self._folder,
                    http=plan.http,
                    workers=plan.workers,
                    credit_services=plan.credit_services,
                    defect=plan.defect,
                )
            )
            announcements = Announcements(system, chronicle, seed=plan.seed)
            payers = Payers(system, announcements, chronicle, seed=plan.seed)
            clients = Clients(system, announcements, payers, chronicle, seed=plan.seed)
            for open_end in (announcements, payers, clients):
                closing.push_async_callback(open_end.close)
            load_s = await self._suffer(system, announcements, clients)
            drained_after_s = await self._recover(system, announcements, payers)
            self._enter("judging")
            evidence = await gather_evidence(system, clients.told, announcements.poison)
        broken = [*chronicle.violations, *violations(evidence), *_of_this_harness(evidence, announcements)]
        balances = None
        if plan.credit_services:
            balances = credit_service.balances(self._folder)
            broken += credit_service.wrong_balances(evidence, self._folder)
        if drained_after_s is None:
            broken.append(f"not drained {DRAINED_WITHIN_S:.0f} s after healing")
        broken += [f"{name} did not stop when it was told to" for name in system.stuck]
        for each in broken:
            chronicle.accuse(each)
        return Verdict(
            violations=tuple(broken),
            evidence=evidence,
            drained_after_s=drained_after_s,
            load_s=load_s,
            balances=balances,
        )

    async def _suffer(self, system: System, announcements: Announcements, clients: Clients) -> float:
        """This will put load on everything while it breaks, and return how many seconds that took."""
        self._enter("opening")
        await self._open(announcements, clients)
        self._enter("breaking")
        began_s, misfortune = (
            time.monotonic(),
            Misfortune(system, self.chronicle, seed=self._plan.seed, every_s=self._plan.every_s),
        )
        async with asyncio.TaskGroup() as load:
            # All of them look at `stop` instead of being cancelled, which nats-py may swallow.
            load.create_task(self._announce_merchants(announcements, clients.stop))
            load.create_task(self._poison(announcements, clients.stop))
            load.create_task(self._watch_stream(system, clients.stop))
            load.create_task(self._expire_early(system, announcements, clients.stop))
            for _ in range(self._plan.clients):
                load.create_task(clients.run())
            await misfortune.run(self._plan.seconds)
            load_s = time.monotonic() - began_s
            self._enter("healing")
            clients.stop.set()
        await system.wait_ready()
        return load_s

    async def _open(self, announcements: Announcements, clients: Clients) -> None:
        """This will announce the first merchants and wait until each has had its trial: then there is load at once."""
        first = [self._merchant(number) for number in range(self._plan.merchants)]
        await asyncio.gather(*[announcements.merchant(*each) for each in first])
        async with asyncio.timeout(OPEN_WITHIN_S):
            for some in _by_eight(first):
                await asyncio.gather(*[_arrived(clients, merchant_id) for merchant_id, _ in some])

    async def _recover(self, system: System, announcements: Announcements, payers: Payers) -> float | None:
        """This will let everything come to rest and find what was lost on its way to us, as an operator does."""
        self._enter("draining")
        drained_after_s = await come_to_rest(system, announcements, payers)
        self.chronicle.note("drained", after_s=drained_after_s)
        self._enter("reconciling")
        code, told = await system.billing("purchases", "reconcile", "--all-open", "--json")
        if code != 0:
            self.chronicle.accuse(f"reconciling ended with {code}: {told[-400:]}")
        await drained(system, within_s=DRAINED_WITHIN_S)
        return drained_after_s

    # --- what goes on beside the clients -----------------------------------------------------------------------------

    async def _announce_merchants(self, announcements: Announcements, stop: asyncio.Event) -> None:
        for number in itertools.count(self._plan.merchants):
            await announcements.merchant(*self._merchant(number))
            if await _is_set(stop, within_s=MERCHANT_EVERY_S):
                return

    async def _poison(self, announcements: Announcements, stop: asyncio.Event) -> None:
        while not await _is_set(stop, within_s=POISON_EVERY_S):
            await announcements.poisoned()

    async def _watch_stream(self, system: System, stop: asyncio.Event) -> None:
        while not await _is_set(stop, within_s=LOOK_EVERY_S):
            try:
                info = await system.nats.jetstream.stream_info(BILLING)
            except (BillingError, *NATS_FAILURES):
                continue  # it is down: the last figure stands
            self.events = info.state.messages

    async def _expire_early(self, system: System, announcements: Announcements, stop: asyncio.Event) -> None:
        """This will run the expiry job as it would run in two days, amidst everything else, and just when notices were
        lost: what they told of must be asked for."""
        if await _is_set(stop, within_s=self._plan.seconds * EXPIRES_AT):
            return
        announcements.loses_all = True
        await _is_set(stop, within_s=NOTICES_LOST_FOR_S)
        announcements.sure_before, announcements.loses_all = FOR_EVER, False
        later, code = rfc3339(datetime.now(UTC) + CLOCK_IS_FAST_BY), 1
        while code != 0 and not stop.is_set():
            code, told = await system.billing("jobs", "run", "expire-purchases", "--now", later)
            self.chronicle.note("expired early", exit_code=code, told=told[-200:])
        announcements.sure_before = rfc3339(datetime.now(UTC))

    def _merchant(self, number: int) -> tuple[str, Shop]:
        """A merchant and its shop; now and then the shop of the one before, which has installed the app again."""
        shop = number - 1 if number % SHOP_AGAIN == 1 else number
        platform = "stripe" if shop % STRIPE_EVERY == 0 else "sandbox"
        return f"merchant-{self._plan.seed}-{number}", Shop(platform, f"shop-{self._plan.seed}-{shop}")

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.chronicle.note(phase)


async def _arrived(clients: Clients, merchant_id: str) -> None:
    while not await clients.arrive(merchant_id):
        pass


def _by_eight(merchants: Sequence[tuple[str, Shop]]) -> Iterator[Sequence[tuple[str, Shop]]]:
    return (merchants[first : first + 8] for first in range(0, len(merchants), 8))


async def _is_set(stop: asyncio.Event, *, within_s: float) -> bool:
    with suppress(TimeoutError):  # the answer is no
        await asyncio.wait_for(stop.wait(), within_s)
    return stop.is_set()


def _of_this_harness(evidence: Evidence, announcements: Announcements) -> list[str]:
    """What only this harness knows: which merchants and poison the broker had taken."""
    parked = {each.message_id for each in evidence.parked}
    broken = [
        f"merchant {merchant_id} was announced and is not registered"
        for merchant_id, shop in announcements.shops.items()
        if evidence.shops.get(merchant_id) != f"{shop.platform} {shop.account}"
    ]
    broken += [f"poison {sorted(ids)} was not parked" for ids in announcements.poison if not ids & parked]
    return broken
