"""What goes wrong, when and where: decided by the seed at every step a process takes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from random import Random

from tests.faults.ports import Hook, PortFault

from billing_core.testing import MOMENT

# Everything else a step may be about is the database.
_BESIDE_STORAGE = frozenset({"platform", "publisher", "replays", "broker"})
_SLOWEST_S = 40.0
_FAULTS = tuple(PortFault)


class LoopClock:
    """The loop's time as a moment; `ahead_s` is how far this process's clock is off."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self._from, self._time = MOMENT + timedelta(seconds=ahead_s), asyncio.get_running_loop().time

    def now(self) -> datetime:
        """The present moment."""
        return self._from + timedelta(seconds=self._time())


class History:
    """What happened, in order, and how often each remarkable state was `reached`. Lines are kept where `is_told`."""

    def __init__(self, *, is_told: bool, steps_too: bool = False) -> None:
        self.lines: list[str] = []
        self.reached: Counter[str] = Counter()
        self.broken: list[str] = []
        self.is_told, self.steps_too = is_told, steps_too
        self._time = asyncio.get_running_loop().time

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._time()

    def tell(self, who: str, what: str) -> None:
        """This will note what somebody did or suffered."""
        if self.is_told:
            self.lines.append(f"{self._time():12.3f}  {who:<12}  {what}")

    def reach(self, state: str) -> None:
        """This will count a state that must be reached sometimes."""
        self.reached[state] += 1

    def breach(self, who: str, what: str) -> None:
        """This will note what must never happen."""
        self.tell(who, f"NEVER: {what}")
        self.broken.append(f"{who}: {what}")


class Weather:
    """Faults at random steps, outages for a while, answers that come late; until it is calm."""

    def __init__(self, chance: Random, history: History, *, rate: float) -> None:
        self._chance, self._history, self._rate = chance, history, rate
        self._time = asyncio.get_running_loop().time
        self._outages: dict[str, float] = {}
        self._paused: dict[str, float] = {}
        self.is_calm = False
        self.faults = 0

    def hook(self, who: str, before: Callable[[str, str], None]) -> Hook:
        """What is asked before each step of a process; `before` is told who takes which."""

        async def befalls(label: str) -> PortFault | None:
            if self._history.steps_too:
                self._history.tell(who, label)
            before(who, label)
            # Some other process goes first, for a moment or while this one is paused.
            luck = self._chance.random()
            if luck < 0.3:
                await asyncio.sleep(0)
            elif luck > 0.9 and not self.is_calm:
                await asyncio.sleep(luck - 0.9)
            if who in self._paused and (left_s := self._paused[who] - self._time()) > 0 and not self.is_calm:
                await asyncio.sleep(left_s)
            return None if self.is_calm else self._fault(who, label)

        return befalls

    async def slow(self, _label: str) -> None:
        """This will let an answer come late: mostly a little, sometimes too late."""
        await asyncio.sleep(self._chance.random() ** 3 * _SLOWEST_S)

    def outage(self, what: str, for_s: float) -> None:
        """This will take a dependency away from everybody for a while."""
        self._history.tell(what, f"is away for {for_s:.1f} s")
        self._outages[what] = self._time() + for_s
        self.faults += 1

    def pause(self, who: str, for_s: float) -> None:
        """This will stop a process in its next step, and let it go on after a while as if nothing had been."""
        self._history.tell(who, f"is paused for {for_s:.1f} s")
        self._paused[who] = self._time() + for_s
        self.faults += 1

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self._history.tell("weather", "everything is healed")
        self.is_calm = True

    def _fault(self, who: str, label: str) -> PortFault | None:
        about = _about(label)
        if about in self._outages and self._outages[about] > self._time():
            return PortFault.TIMEOUT
        # Platforms are far away: more goes wrong there, and few of all steps lead to them.
        if self._chance.random() >= (4 * self._rate if about == "platform" else self._rate):
            return None
        fault = _FAULTS[int(self._chance.random() * len(_FAULTS))]
        self.faults += 1
        self._history.reached[f"fault: {fault.value}"] += 1
        self._history.tell(who, f"{fault.value} at {label}")
        if fault is PortFault.REPLY_LOST and label in ("commit", "platform.create_checkout", "publisher.publish"):
            self._history.reach("lost reply")
        return fault


class Bell:
    """Wakes whoever waits for something; who waits too long wakes by himself."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """This will wake everybody, in the order they came."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            _wake(each)

    async def wait(self, timeout_s: float | None) -> None:
        """This will wait for the bell, at most `timeout_s` seconds (None: as long as it takes)."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _wake, mine)
        try:
            await mine
        finally:
            if timer is not None:
                timer.cancel()


@cache
def _about(label: str) -> str:
    """The dependency that a step asks something of."""
    part = label.partition(".")[0]
    return part if part in _BESIDE_STORAGE else "storage"


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
