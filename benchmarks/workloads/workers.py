"""One, two and three workers side by side: what they settle, and what an event costs in processor time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.figures import Figure, at_most, ratio
from benchmarks.pipeline import Works, added, check, works
from benchmarks.stage import Stage
from benchmarks.stock import paid_purchases
from benchmarks.webhooks import notices, tell, with_repeats
from benchmarks.workload import Bench, Recording
from benchmarks.workloads.settle import FEW_WEBHOOKS, PURCHASED, REPEATED, WEBHOOKS
from billing_adapters.nats.streams import PURCHASE_UPDATED as CONSUMER
from billing_cli.processes import AppProcess
from billing_core.messages import PURCHASE_UPDATED

WORKERS: Final = (1, 2, 3)
# Each relays as well: a lane for every worker there may be.
ENVIRONMENT: Final = {"BILLING_RELAY_LANES": str(max(WORKERS))}
LOOK_EVERY_S: Final = 0.5
BUSY_S: Final = 0.05
MOST_MORE: Final = 1.15

Seconds = Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What so many workers did: webhooks a second, and microseconds of processor time a webhook."""

    rate: float
    workers_us: float
    postgres_us: float


async def side_by_side(bench: Bench, stage: Stage) -> Sequence[Figure]:
    """This will have one, two and three workers settle as many webhooks, in turns."""
    webhooks = FEW_WEBHOOKS if bench.quick else WEBHOOKS
    done: dict[int, list[_Round]] = {many: [] for many in WORKERS}
    async with works(stage) as its:
        for repeat in bench.rounds:
            for number, many in enumerate(WORKERS):
                bench.tell(f"{many} workers, {repeat or 'warming up'} of {bench.repeats}")
                await stage.checkpoint()
                measured = await _settle(its, many, webhooks, repeat * len(WORKERS) + number)
                if repeat:
                    done[many].append(measured)
    return [*_figures(done), *_ratios(done)]


async def _settle(its: Works, many: int, webhooks: int, number: int) -> _Round:
    purchases = round(webhooks * (1 - REPEATED))
    payments = await paid_purchases(its.database, number * webhooks, purchases)
    await its.database.execute("vacuum analyze")
    before = await its.standing()
    delivered = (await its.delivered(CONSUMER.stream, CONSUMER.durable))["consumer_seq"]
    async with AsyncExitStack() as running:
        environment = its.environment | ENVIRONMENT
        workers = [
            await running.enter_async_context(its.stage.running("billing_worker", environment)) for _ in range(many)
        ]
        await _have_started(workers)
        postgres = psutil.Process(await its.database.fetchval("select pg_backend_pid()")).parent()
        worked, served = _worked(workers), _seconds(postgres)
        await tell(its.nats.client, PURCHASE_UPDATED, with_repeats(list(notices(payments)), REPEATED))
        began_at = await its.first_delivery_at(workers[0], CONSUMER.stream, CONSUMER.durable, delivered)
        ended_at = await its.last_event_at(workers[0], before.events.get(PURCHASED, 0) + purchases)
        await its.all_marked(workers[0])
        await its.all_acknowledged(workers[0], CONSUMER.stream, CONSUMER.durable)
        us = [_spent(*both) * 1e6 / webhooks for both in ((worked, _worked(workers)), (served, _seconds(postgres)))]
    changed = {"history": purchases, "outbox": purchases, "inbox": purchases}
    check(added(before, await its.standing()), rows=changed, events={PURCHASED: purchases})
    rate = webhooks / (ended_at - began_at).total_seconds()
    return _Round(rate=rate, workers_us=us[0], postgres_us=us[1])


async def _have_started(workers: Sequence[AppProcess]) -> None:
    """This will wait until they do next to nothing: what starting costs is no webhook's."""
    worked = _worked(workers)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        before, worked = worked, _worked(workers)
        if min(worked.values()) > BUSY_S and _spent(before, worked) < BUSY_S:
            return


def _worked(workers: Sequence[AppProcess]) -> Seconds:
    return {each.pid: sum(psutil.Process(each.pid).cpu_times()[:2]) for each in workers if each.pid is not None}


def _seconds(postgres: psutil.Process | None) -> Seconds:
    """The processor time of every process of the server."""
    if postgres is None:
        raise RuntimeError("PostgreSQL's own process cannot be found")
    spent = {}
    for process in (postgres, *postgres.children()):
        try:
            spent[process.pid] = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue  # one that vacuumed, and is done
    return spent


def _spent(before: Seconds, after: Seconds) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _figures(done: Mapping[int, Sequence[_Round]]) -> Sequence[Figure]:
    return [
        figure
        for many, rounds in done.items()
        for figure in (
            Figure(name=f"{many} workers", values=[each.rate for each in rounds], unit="webhooks/s"),
            Figure(name=f"{many} workers: theirs", values=[each.workers_us for each in rounds], unit="µs/webhook"),
            Figure(
                name=f"{many} workers: PostgreSQL's", values=[each.postgres_us for each in rounds], unit="µs/webhook"
            ),
        )
    ]


def _ratios(done: Mapping[int, Sequence[_Round]]) -> Sequence[Figure]:
    """The processor time of a webhook, the workers' and PostgreSQL's together, next to that of one worker."""
    cost = {many: [each.workers_us + each.postgres_us for each in rounds] for many, rounds in done.items()}
    one, *more = WORKERS
    return [ratio(f"cost of a webhook, {many} workers ÷ 1", cost[many], cost[one], at_most(MOST_MORE)) for many in more]


SIDE_BY_SIDE = Recording(
    name="m workers",
    what="webhooks settled by one, two and three workers on one machine, and their processor time; only by name",
    record=side_by_side,
)
