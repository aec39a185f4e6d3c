"""A worker's loops end in order, and within a bounded time."""

import asyncio

import pytest

from billing_worker.running import run_loops

DEADLINE_S = 30.0


class Diligent:
    """Finishes what it has begun after it was told to stop."""

    def __init__(self) -> None:
        self.begun, self.may_finish, self.finished = asyncio.Event(), asyncio.Event(), False

    async def run(self, stop: asyncio.Event) -> None:
        self.begun.set()
        await stop.wait()
        await self.may_finish.wait()
        self.finished = True


class Fallen:
    """A fault nobody foresaw."""

    async def run(self, stop: asyncio.Event) -> None:
        raise ZeroDivisionError


class TestRunLoops:
    async def test_what_was_begun_is_finished(self) -> None:
        """Told to stop, every loop ends by itself and none is cancelled."""
        loops, stop = [Diligent(), Diligent()], asyncio.Event()

        running = asyncio.create_task(run_loops(loops, stop))
        await loops[1].begun.wait()
        stop.set()
        for loop in loops:
            loop.may_finish.set()

        assert await asyncio.wait_for(running, DEADLINE_S) is True
        assert [loop.finished for loop in loops] == [True, True]

    async def test_what_never_finishes_is_given_up(self) -> None:
        """When the grace is over the rest is cancelled, and it is told."""
        stuck, stop = Diligent(), asyncio.Event()

        running = asyncio.create_task(run_loops([stuck], stop, grace_s=0.01))
        await stuck.begun.wait()
        stop.set()

        assert await asyncio.wait_for(running, DEADLINE_S) is False
        assert stuck.finished is False

    async def test_without_a_stop_there_is_no_hurry(self) -> None:
        """The grace begins with the stop, not with the start."""
        loop, stop = Diligent(), asyncio.Event()

        running = asyncio.create_task(run_loops([loop], stop, grace_s=0.0))
        await loop.begun.wait()
        done, _ = await asyncio.wait({running}, timeout=0.05)

        assert done == set()
        stop.set()
        assert await asyncio.wait_for(running, DEADLINE_S) is False

    async def test_one_that_falls_over_ends_the_others(self) -> None:
        """So that the process is started again whole."""
        stop = asyncio.Event()

        with pytest.raises(ExceptionGroup) as fallen:
            await asyncio.wait_for(run_loops([Diligent(), Fallen()], stop), DEADLINE_S)

        assert fallen.group_contains(ZeroDivisionError)
        assert stop.is_set()
