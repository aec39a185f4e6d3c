"""What must be measured from time to time, beside the work: nothing of it waits for a scrape."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from billing_adapters.logs import get_logger
from billing_adapters.prometheus.pool import PoolMetrics
from billing_adapters.prometheus.process import ProcessMetrics
from billing_adapters.redis.client import is_up
from billing_adapters.resources import Resources

ASK_EVERY_S: Final = 10.0
ASK_TIMEOUT_S: Final = 2.0
LAG_EVERY_S: Final = 0.5

log = get_logger("watch")

# Asks whether a server is there: False or an error says it is not.
Probe = Callable[[], Awaitable[bool | None]]


@asynccontextmanager
async def watching(resources: Resources, metrics: ProcessMetrics) -> AsyncIterator[None]:
    """This will measure while the block runs: each server, the clock, the loop, the pool."""
    database = resources.database
    metrics.registry.register(PoolMetrics(database))
    probes: Mapping[str, Probe] = {
        "postgres": database.ping,
        "redis": partial(is_up, resources.redis),
        "nats": resources.nats.ping,
    }
    tasks = (
        asyncio.create_task(_watch_servers(probes, metrics, lambda: database.clock_ahead_s), name="servers"),
        asyncio.create_task(_watch_loop(metrics), name="loop"),
    )
    for task in tasks:
        task.add_done_callback(_tell_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _tell_failure(task: "asyncio.Task[None]") -> None:
    # The work goes on, blindly: who measures is not worth an outage, and an alert tells of it.
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("watch.failed", what=task.get_name(), exc_info=fault)


async def _watch_servers(
    probes: Mapping[str, Probe], metrics: ProcessMetrics, clock_ahead_s: Callable[[], float]
) -> None:
    while True:
        answers = await asyncio.gather(*(_is_up(name, probe) for name, probe in probes.items()))
        metrics.note_servers(dict(zip(probes, answers, strict=True)))
        metrics.clock_ahead_seconds.set(clock_ahead_s())
        await asyncio.sleep(ASK_EVERY_S)


async def _is_up(name: str, probe: Probe) -> bool:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return await probe() is not False
    except Exception as wrong:  # noqa: BLE001 - whatever a client raises, its server does not answer: that is the figure
        log.debug("server_away", server=name, reason=type(wrong).__name__)
        return False


async def _watch_loop(metrics: ProcessMetrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        metrics.loop_lag.observe(max(loop.time() - due_s, 0.0))
        metrics.beat()
