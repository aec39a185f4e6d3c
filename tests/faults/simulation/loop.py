"""An event loop without time and without chance: a seed decides who runs next, and nobody waits for the clock.

Of everything that could run now one is chosen at random; when nothing can, time jumps to whatever is due next. The
same seed runs the same program in the same way, on every version of Python that is supported.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# A world takes a few thousand; a program that takes more than this goes round in circles.
_MOST_STEPS = 200_000


class Stuck(Exception):
    """Everybody waits and nothing will ever come, or everybody runs and it never ends."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks in an order a seed decides, by a clock of its own; it does no I/O."""

    # Of BaseEventLoop, alike from Python 3.11 to 3.14.
    _ready: Any
    _scheduled: Any

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now = 0.0
        self._choose = Random(seed).random
        self.steps = 0

    def time(self) -> float:
        """Seconds since the loop was made, as nobody lived them."""
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See `AbstractEventLoop.call_soon`; without the checks of a loop that threads share."""
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `AbstractEventLoop.call_at`; without those checks."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        return timer

    def _run_once(self) -> None:
        """This will run one callback, after moving on to the next one that is due where none is ready. Raises Stuck
        where there is none at all, or have been too many, and whatever the callback raises."""
        if not self._ready:
            self._select()
        ready = self._ready
        place = int(self._choose() * len(ready))
        ready[place], ready[-1] = ready[-1], ready[place]
        handle = ready.pop()
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Stuck(f"this did not end within {_MOST_STEPS} steps")
        if not handle._cancelled:
            handle._context.run(handle._callback, *handle._args)

    def _select(self) -> None:
        timers = self._scheduled
        while timers and timers[0]._cancelled:
            self._drop()
        if not timers:
            raise Stuck("everybody waits and no timer is set")
        self._now = max(self._now, timers[0]._when)
        while timers and timers[0]._when <= self._now:
            self._ready.append(self._drop())

    def _drop(self) -> Any:
        return heapq.heappop(self._scheduled)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time comes."""

    def _process_events(self, event_list: list[object]) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """Nobody waits in a system call."""


class _Handle(asyncio.Handle):
    """A callback that is to run, without what a handle keeps for a loop that is being debugged."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[[*Ts], object], args: tuple[*Ts], loop: SimulatedLoop, context: Context | None
    ) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None


def simulate(main: Coroutine[Any, Any, T], *, seed: int) -> T:
    """This will run the coroutine on a loop of that seed and return what it returns. Raises Stuck."""
    loop = SimulatedLoop(seed)
    try:
        return loop.run_until_complete(main)
    finally:
        main.close()
        loop.close()
