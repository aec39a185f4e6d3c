"""(k) The same acts with ten thousand and with five million purchases already there."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import Final

import asyncpg

from benchmarks.figures import Figure, Target, at_least, at_most, ratio
from benchmarks.http_service import POOL_SIZE, Service, ours
from benchmarks.load import Driven, Job, drive, write_requests
from benchmarks.past import PURCHASES_PER_MERCHANT, merchant_id, write_past
from benchmarks.pipeline import Works, works
from benchmarks.stage import Stage
from benchmarks.workload import Bench, Contestant
from benchmarks.workloads.http import PAGE, QUICK_SECONDS, SECONDS, drive_creating
from benchmarks.workloads.settle import FEW_WEBHOOKS, WEBHOOKS, settle_round

SIZES: Final = (10_000, 100_000, 1_000_000, 5_000_000)
QUICK_SIZES: Final = (10_000, 30_000)
USERS_ASKING: Final = 5000
NOTHING_WAITS: Final = "update outbox set published_at = now() where published_at is null"
RATE, P99 = "rate", "p99"

# What a round gives, by name.
Measured = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """The HTTP service, and what a worker needs, with so many purchases already there."""

    purchases: int
    service: Service
    works: Works
    rounds: "count[int]"

    @property
    def quick(self) -> bool:
        """Whether rounds are short."""
        return self.service.stage.quick

    @property
    def seconds(self) -> float:
        """How long a round of requests is."""
        return QUICK_SECONDS if self.quick else SECONDS


# Nobody waits for a connection in these rounds: what the 99th of a hundred waits for is the act itself.


async def create(grown: Grown) -> Measured:
    """As (a): merchants who are new buy every pack once."""
    return _measured(await drive_creating(grown.service, grown.seconds, POOL_SIZE))


async def status(grown: Grown) -> Measured:
    """As (c), of merchants with fifty purchases, others in every round."""
    return await _read(grown, "/api/billing")


async def page(grown: Grown) -> Measured:
    """As (d), of merchants with fifty purchases, others in every round."""
    return await _read(grown, PAGE)


async def settle(grown: Grown) -> Measured:
    """As (e)."""
    await grown.works.database.execute(NOTHING_WAITS)  # of what HTTP created meanwhile
    webhooks = FEW_WEBHOOKS if grown.quick else WEBHOOKS
    return {RATE: await settle_round(grown.works, "billing_worker", webhooks, next(grown.rounds))}


async def _read(grown: Grown, target: str) -> Measured:
    merchants = range(1, grown.purchases // PURCHASES_PER_MERCHANT + 1)
    chance = random.Random(next(grown.rounds))  # noqa: S311 - the same ones in every run
    # As many users at every size, each with a token of its own: what one costs has nothing to do with what is there.
    asking = chance.sample(merchants, min(len(merchants), USERS_ASKING))
    users = islice(cycle(asking), USERS_ASKING)
    requests = (grown.service.get(target, merchant_id(each), f"user-{user}") for user, each in enumerate(users))
    path = write_requests(grown.service.stage.folder / "asking", requests)
    job = Job(port=grown.service.port, requests=str(path), seconds=grown.seconds, status=200, connections=POOL_SIZE)
    return _measured(await drive(job))


def _measured(driven: Driven) -> Measured:
    return {RATE: driven.rate, P99: driven.p99_ms}


@dataclass(frozen=True, slots=True)
class _Act:
    name: str
    do: Callable[[Grown], Awaitable[Measured]]
    unit: str
    # What the largest has to reach of the smallest.
    targets: Mapping[str, Target]


ACTS: Final = (
    _Act("status", status, "requests/s", {P99: at_most(1.5)}),
    _Act("list", page, "requests/s", {P99: at_most(1.5)}),
    _Act("settle", settle, "webhooks/s", {RATE: at_least(0.8)}),
    _Act("create", create, "requests/s", {P99: at_most(1.5)}),
)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Every act at every size, in turns."""

    name: str
    what: str

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """See `Workload.measure`."""
        sizes = QUICK_SIZES if bench.quick else SIZES
        opened = await bench.opened({f"{size:,} purchases": _CONTESTANTS[size] for size in sizes})
        on_stage = [grown for grown, _ in opened.values()]
        return [figure for act in ACTS for figure in _figures(act, await _rounds(bench, act, on_stage))]


async def _rounds(bench: Bench, act: _Act, on_stage: Sequence[Grown]) -> Mapping[int, Sequence[Measured]]:
    """What each repeat gave, by size; the first is to warm up and not counted."""
    measured: dict[int, list[Measured]] = {grown.purchases: [] for grown in on_stage}
    for repeat in bench.rounds:
        for grown in on_stage:
            bench.tell(f"{act.name} among {grown.purchases:,}, {repeat or 'warming up'} of {bench.repeats}")
            await grown.service.stage.checkpoint()
            done = await act.do(grown)
            if repeat:
                measured[grown.purchases].append(done)
    return measured


def _figures(act: _Act, measured: Mapping[int, Sequence[Measured]]) -> Sequence[Figure]:
    """Each measure at each size, and how the largest stands to the smallest."""
    least, most = min(measured), max(measured)
    figures: list[Figure] = []
    for measure in measured[least][0]:
        values = {size: [each[measure] for each in rounds] for size, rounds in measured.items()}
        unit = "ms" if measure == P99 else act.unit
        figures += [Figure(name=f"{act.name} {measure}, {size:,}", values=values[size], unit=unit) for size in values]
        name = f"{act.name} {measure}, {most:,} ÷ {least:,}"
        figures.append(ratio(name, values[most], values[least], act.targets.get(measure)))
    return figures


def _contestant(purchases: int) -> Contestant[Grown]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Grown]:
        connection = await asyncpg.connect(stage.urls.postgres)
        await write_past(connection, purchases)
        await connection.close()
        await stage.checkpoint()
        async with works(stage) as its_works, ours(stage) as service:
            yield Grown(purchases=purchases, service=service, works=its_works, rounds=count())

    return opened


_CONTESTANTS: Final = {size: _contestant(size) for size in {*SIZES, *QUICK_SIZES}}

GROWTH = Growth(
    name="k growth",
    what="(a), (c), (d) and (e) with 10,000 to 5,000,000 purchases already there.",
)
