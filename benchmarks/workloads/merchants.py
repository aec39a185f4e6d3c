"""(f) Announced merchants, from NATS to the last acknowledgement."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from benchmarks.figures import at_least
from benchmarks.pipeline import Works, added, check, works
from benchmarks.stage import Stage
from benchmarks.webhooks import announcements, tell
from benchmarks.workload import Contestant, Race, Round
from billing_adapters.nats.streams import MERCHANT_CREATED as CONSUMER
from billing_core.messages import MERCHANT_CREATED

MERCHANTS, FEW_MERCHANTS = 20_000, 3_000
FIRST_BUILD_MERCHANTS, FEW_FIRST_BUILD_MERCHANTS = 1_000, 200


def _contestant(module: str, merchants: int, few: int) -> Contestant[Round]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Round]:
        async with works(stage) as its_works:
            rounds = count()
            many = few if stage.quick else merchants
            yield lambda: _round(its_works, module, many, next(rounds))

    return opened


async def _round(its: Works, module: str, merchants: int, number: int) -> float:
    await tell(its.nats.client, MERCHANT_CREATED, list(announcements(number * merchants, merchants)))
    await its.database.execute("vacuum analyze")
    before = await its.standing()
    delivered = (await its.delivered(CONSUMER.stream, CONSUMER.durable))["consumer_seq"]
    async with its.stage.running(module, its.environment) as worker:
        began_at = await its.first_delivery_at(worker, CONSUMER.stream, CONSUMER.durable, delivered)
        await its.all_acknowledged(worker, CONSUMER.stream, CONSUMER.durable)
    ended_at = await its.acknowledged_at(CONSUMER.stream, CONSUMER.durable)
    check(added(before, await its.standing()), rows={"merchants": merchants, "inbox": merchants}, events={})
    return merchants / (ended_at - began_at).total_seconds()


REGISTER = Race(
    name="f merchants",
    what="register announced merchants from NATS, to the last acknowledgement",
    unit="merchants/s",
    ours=_contestant("billing_worker", MERCHANTS, FEW_MERCHANTS),
    floor=_contestant("benchmarks.floors.merchants", MERCHANTS, FEW_MERCHANTS),
    first_build=_contestant("benchmarks.baselines.merchants", FIRST_BUILD_MERCHANTS, FEW_FIRST_BUILD_MERCHANTS),
    floor_target=at_least(0.6),
    first_build_target=at_least(20),
)
