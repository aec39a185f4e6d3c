"""(e) Webhooks of the sandbox, one in ten a repeat, from NATS to published `credits.purchased`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from benchmarks.figures import at_least
from benchmarks.pipeline import Works, added, check, works
from benchmarks.stage import Stage
from benchmarks.stock import paid_purchases
from benchmarks.webhooks import notices, tell, with_repeats
from benchmarks.workload import Contestant, Race, Round
from billing_adapters.nats.streams import PURCHASE_UPDATED as CONSUMER
from billing_core.messages import PURCHASE_UPDATED

REPEATED: Final = 0.1
WEBHOOKS, FEW_WEBHOOKS = 20_000, 3_000
FIRST_BUILD_WEBHOOKS, FEW_FIRST_BUILD_WEBHOOKS = 1_000, 200
PURCHASED: Final = "evt.billing.credits.purchased"


def _contestant(module: str, webhooks: int, few: int) -> Contestant[Round]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Round]:
        async with works(stage) as its_works:
            rounds = count()
            many = few if stage.quick else webhooks
            yield lambda: settle_round(its_works, module, many, next(rounds))

    return opened


async def settle_round(its: Works, module: str, webhooks: int, number: int) -> float:
    """This will let `module` settle so many webhooks, and say how many it did a second."""
    purchases = round(webhooks * (1 - REPEATED))
    payments = await paid_purchases(its.database, number * webhooks, purchases)
    await its.database.execute("vacuum analyze")
    await tell(its.nats.client, PURCHASE_UPDATED, with_repeats(list(notices(payments)), REPEATED))
    before = await its.standing()
    delivered = (await its.delivered(CONSUMER.stream, CONSUMER.durable))["consumer_seq"]
    async with its.stage.running(module, its.environment) as worker:
        began_at = await its.first_delivery_at(worker, CONSUMER.stream, CONSUMER.durable, delivered)
        ended_at = await its.last_event_at(worker, before.events.get(PURCHASED, 0) + purchases)
        await its.all_marked(worker)
        await its.all_acknowledged(worker, CONSUMER.stream, CONSUMER.durable)
    changed = {"history": purchases, "outbox": purchases, "inbox": purchases}
    check(added(before, await its.standing()), rows=changed, events={PURCHASED: purchases})
    return webhooks / (ended_at - began_at).total_seconds()


SETTLE = Race(
    name="e settle",
    what="settle webhooks of the sandbox, one in ten a repeat, from NATS to published events",
    unit="webhooks/s",
    ours=_contestant("billing_worker", WEBHOOKS, FEW_WEBHOOKS),
    floor=_contestant("benchmarks.floors.settle", WEBHOOKS, FEW_WEBHOOKS),
    first_build=_contestant("benchmarks.baselines.settle", FIRST_BUILD_WEBHOOKS, FEW_FIRST_BUILD_WEBHOOKS),
    floor_target=at_least(0.6),
    first_build_target=at_least(20),
)
