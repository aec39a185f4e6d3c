"""The drills: what is taken away, how, and what answers must be meanwhile."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from tests.faults.chaos.system import System
from tests.faults.drills import clocks
from tests.faults.drills.answers import Rule, always, clocks_apart, while_processes_start, without, without_postgres
from tests.faults.drills.small_disks import full_disks

SERVED = ("live 200", "ready 200", "buy 201", "read 200", "repeat 201")
JOBS = (
    ("expire-purchases", clocks.AN_HOUR_S),
    ("expire-trials", clocks.AN_HOUR_S),
    ("purge-idempotency", clocks.AN_HOUR_S),
    ("reconcile-purchases", clocks.AN_HOUR_S),
    ("reconcile-purchases", -clocks.AN_HOUR_S),
)
# Begins an outage that is to last so many seconds, and ends it with its block.
Outage = Callable[[System, float], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill: the outage, the rule once it stands, and the one while it begins and ends. `must_see` is what somebody
    must have been answered meanwhile: else the outage was none. `must_log` is what every process must have logged."""

    name: str
    about: str
    outage: Outage
    rule: Rule
    must_see: tuple[str, ...]
    changing: Rule = always
    must_log: str = ""
    needs_small_disks: bool = False


@asynccontextmanager
async def _killed(server: str, system: System, seconds: float) -> AsyncIterator[None]:
    await asyncio.to_thread(system.servers.kill_server, server)
    try:
        yield
    finally:
        await asyncio.to_thread(system.servers.start_server, server)


@asynccontextmanager
async def _clocks_set_wrong(system: System, seconds: float) -> AsyncIterator[None]:
    """This will have every process start anew, the first of each app an hour ahead, the others an hour behind."""
    for name in system.apps:
        await _start_anew(system, name, {clocks.OFFSET: str(clocks.AN_HOUR_S * (1 if name.endswith("-1") else -1))})
    await system.wait_ready()
    jobs = asyncio.create_task(_run_jobs_under_both_clocks(system))
    try:
        yield
        await jobs
    finally:
        jobs.cancel()
        for name in system.apps:
            await _start_anew(system, name, {})


async def _start_anew(system: System, name: str, more: Mapping[str, str]) -> None:
    app = system.apps[name]
    app.signal(signal.SIGTERM)
    if not await asyncio.to_thread(app.wait_until_gone):
        raise RuntimeError(f"{name} did not stop when it was told to")
    app.start(more)


async def _run_jobs_under_both_clocks(system: System) -> None:
    """This will run the jobs that look at the clock, as a worker of either kind does when its turn comes."""
    for job, offset_s in JOBS:
        code, told = await system.billing("jobs", "run", job, "--now", clocks.moment(offset_s))
        if code != 0:
            raise RuntimeError(f"the job {job} ended with {code}: {told[-400:]}")


DRILLS: Mapping[str, Drill] = {
    drill.name: drill
    for drill in (
        Drill(
            name="postgres",
            about="PostgreSQL killed (-9), and started again afterwards",
            outage=partial(_killed, "postgres"),
            rule=without_postgres,
            must_see=("live 200", "ready 503", "buy 503", "read 503", "repeat 201"),
        ),
        Drill(
            name="nats",
            about="NATS killed (-9), and started again afterwards",
            outage=partial(_killed, "nats"),
            rule=without("nats"),
            must_see=SERVED,
        ),
        Drill(
            name="redis",
            about="Redis killed (-9), and started again afterwards",
            outage=partial(_killed, "redis"),
            rule=without("redis"),
            must_see=SERVED,
        ),
        Drill(
            name="disk-full",
            about="PostgreSQL's and NATS' disks full, from the middle on PostgreSQL without room for its log",
            outage=full_disks,
            rule=always,
            must_see=("live 200", "buy 503"),
            needs_small_disks=True,
        ),
        Drill(
            name="clock",
            about="some processes an hour ahead, the others an hour behind",
            outage=_clocks_set_wrong,
            rule=clocks_apart,
            must_log="clock.apart",
            must_see=(*SERVED, "fresh token 401", "made ahead", "made behind"),
            changing=while_processes_start,
        ),
    )
}
