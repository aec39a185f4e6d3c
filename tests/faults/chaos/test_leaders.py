"""The whole service on a NATS cluster whose leaders are killed, one stream's after the other's."""

import asyncio
import itertools
import logging
import random
import time
from pathlib import Path
from typing import Any, Final

from tests.faults.chaos.announcements import Announcements, Shop
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.clients import Clients
from tests.faults.chaos.draining import come_to_rest
from tests.faults.chaos.evidence import gather_evidence
from tests.faults.chaos.payers import Payers
from tests.faults.chaos.run import FOR_EVER
from tests.faults.chaos.system import System
from tests.faults.oracle import Evidence, violations
from tests.nats_cluster import all_follow, leader_of

from billing_adapters.embedded import Layout
from billing_adapters.nats.plan import BILLING, MERCHANT, SUBJECTS, WEBHOOK
from billing_core.domain.events import CreditsPurchased

SEED: Final = 8
FIRST_MERCHANTS: Final = 6
# Not to load the machine, but to have something under way at every moment.
BUYS_EVERY_S, ARRIVES_EVERY_S = 0.1, 0.5
log = logging.getLogger(__name__)


async def test_nothing_is_lost_though_every_streams_leader_dies(tmp_path: Path, record_property: Any) -> None:
    """Nothing lost, nothing out of order for any merchant and nothing twice in effect, while BILLING, WEBHOOK and
    MERCHANT lose their leaders to kill -9 one after the other."""
    layout = Layout(nats_nodes=3)
    with Chronicle(tmp_path / "chronicle.jsonl") as chronicle:
        async with System(tmp_path, http=1, workers=2, layout=layout) as system, Trade(system, chronicle) as trade:
            for stream in (BILLING, WEBHOOK, MERCHANT):
                led_again_s = await lose_leader(system, stream)
                record_property(f"{stream} led again after s", led_again_s)
            evidence = await trade.end()

    assert [*chronicle.violations, *violations(evidence)] == []
    assert trade.announced <= set(evidence.shops)
    assert len(trade.announced) > FIRST_MERCHANTS
    assert len(evidence.facts[CreditsPurchased]) > len(SUBJECTS)


async def lose_leader(system: System, stream: str) -> float:
    """This will kill the stream's leader and give it back, and say how many seconds nobody led."""
    leader = await leader_of(system.nats, stream)
    await asyncio.to_thread(system.servers.kill_server, leader)
    began_s = time.monotonic()
    heir = await leader_of(system.nats, stream, other_than=leader)
    led_again_s = round(time.monotonic() - began_s, 3)
    log.info("%s is led by %s instead of %s after %.3f s", stream, heir, leader, led_again_s)
    await asyncio.to_thread(system.servers.start_server, leader)
    await all_follow(system.nats, list(SUBJECTS))
    return led_again_s


class Trade:
    """Merchants that arrive, buy and pay, from `async with` on, and what they were told."""

    def __init__(self, system: System, chronicle: Chronicle) -> None:
        self._system, self._random = system, random.Random(SEED)
        self._announcements = Announcements(system, chronicle, seed=SEED)
        self._announcements.sure_before = (
            FOR_EVER  # no notice is lost on its way to us: losing is the broker's part here
        )
        self._payers = Payers(system, self._announcements, chronicle, seed=SEED)
        self._clients = Clients(system, self._announcements, self._payers, chronicle, seed=SEED)
        self._arrived: list[str] = []
        self._going_on: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    @property
    def announced(self) -> set[str]:
        """The merchants the broker has."""
        return set(self._announcements.shops)

    async def __aenter__(self) -> "Trade":
        """This will return once the first merchants are there, and go on behind."""
        for number in range(FIRST_MERCHANTS):
            await self._arrive(number)
        self._going_on = [asyncio.create_task(each) for each in (self._buy(), self._welcome())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """This will send everybody home."""
        self._stop.set()
        await asyncio.gather(*self._going_on, return_exceptions=True)
        for each in (self._clients, self._payers, self._announcements):
            await each.close()

    async def end(self) -> Evidence:
        """This will let everything come to rest, and return what there is to judge. Raises what went wrong."""
        self._stop.set()
        await asyncio.gather(*self._going_on)
        assert await come_to_rest(self._system, self._announcements, self._payers) is not None, "it did not drain"
        return await gather_evidence(self._system, self._clients.told, ())

    async def _buy(self) -> None:
        while not self._stop.is_set():
            await self._clients.buy(self._random.choice(self._arrived))
            await asyncio.sleep(BUYS_EVERY_S)

    async def _welcome(self) -> None:
        for number in itertools.count(FIRST_MERCHANTS):
            if self._stop.is_set():
                return
            await self._arrive(number)
            await asyncio.sleep(ARRIVES_EVERY_S)

    async def _arrive(self, number: int) -> None:
        merchant_id = f"merchant-{number}"
        await self._announcements.merchant(merchant_id, Shop("sandbox", f"shop-{number}"))
        while not await self._clients.arrive(merchant_id):
            pass
        self._arrived.append(merchant_id)
