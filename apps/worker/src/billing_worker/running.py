"""Running every loop of a worker, and ending them in order within a bounded time."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from billing_adapters.logs import get_logger

# As long as the slowest batch may wait for a platform. An orchestrator must wait a little longer before it kills.
GRACE_S = 40.0


class Loop(Protocol):
    """What the worker does all the time."""

    async def run(self, stop: asyncio.Event) -> None:
        """This will go on until `stop` is set, and finish what it has begun."""
        ...


async def run_loops(loops: Sequence[Loop], stop: asyncio.Event, *, grace_s: float = GRACE_S) -> bool:
    """This will run the loops until `stop` is set and each has finished what it had begun, or `grace_s` seconds are
    over: then what is left is cancelled, unacknowledged, to be delivered again. False where that was needed.

    A loop that falls over ends the others too: a worker with one loop less is none, and is started again.
    """
    try:
        async with asyncio.timeout(None) as grace, asyncio.TaskGroup() as tasks:
            tasks.create_task(_begin_grace(stop, grace, grace_s))
            for loop in loops:
                tasks.create_task(_run_loop(loop, stop))
    except TimeoutError:
        get_logger("worker").error("worker.grace_over", grace_s=grace_s)
        return False
    return True


async def _begin_grace(stop: asyncio.Event, grace: asyncio.Timeout, grace_s: float) -> None:
    await stop.wait()
    grace.reschedule(asyncio.get_running_loop().time() + grace_s)


async def _run_loop(loop: Loop, stop: asyncio.Event) -> None:
    try:
        await loop.run(stop)
    finally:
        stop.set()  # those that miss a cancellation end too
