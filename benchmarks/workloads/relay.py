"""(g) A backlog of events, from the outbox to JetStream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from benchmarks.figures import at_least
from benchmarks.pipeline import Works, added, check, works
from benchmarks.stage import Stage
from benchmarks.stock import backlog
from benchmarks.workload import Contestant, Race, Round

EVENTS, FEW_EVENTS = 100_000, 5_000
FIRST_BUILD_EVENTS, FEW_FIRST_BUILD_EVENTS = 4_000, 500
PURCHASED: Final = "evt.billing.credits.purchased"
GAP: Final = 60  # between the numbers of two rounds, so that no merchant stands in both


def _contestant(module: str, events: int, few: int) -> Contestant[Round]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Round]:
        async with works(stage) as its_works:
            rounds = count()
            many = few if stage.quick else events
            yield lambda: _round(its_works, module, many, next(rounds))

    return opened


async def _round(its: Works, module: str, many: int, number: int) -> float:
    """From the first events that were seen to the last: how many came between, a second."""
    await backlog(its.database, number * (many + GAP), many)
    await its.database.execute("vacuum analyze")
    before = await its.standing()
    known = before.events.get(PURCHASED, 0)
    async with its.stage.running(module, its.environment) as worker:
        first, began_at = await its.events_so_far(worker, known)
        ended_at = await its.last_event_at(worker, known + many)
        await its.all_marked(worker)
    check(added(before, await its.standing()), rows={}, events={PURCHASED: many})
    return (known + many - first) / (ended_at - began_at).total_seconds()


RELAY = Race(
    name="g relay",
    what="relay a backlog of events from the outbox to JetStream",
    unit="events/s",
    ours=_contestant("billing_worker", EVENTS, FEW_EVENTS),
    floor=_contestant("benchmarks.floors.relay", EVENTS, FEW_EVENTS),
    first_build=_contestant("benchmarks.baselines.relay", FIRST_BUILD_EVENTS, FEW_FIRST_BUILD_EVENTS),
    floor_target=at_least(0.8),
    first_build_target=at_least(8),
)
