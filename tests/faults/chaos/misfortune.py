"""What goes wrong, by seed: processes killed, stopped and started again, lines cut, a platform in trouble."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx2
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.proxy import Line
from tests.faults.chaos.system import System

DOWN_S = (0.0, 0.2)
CUT_S = (0.05, 0.8)
PAUSE_S = (0.05, 0.8)
# Some processes longer than the broker waits for their acknowledgement: then a message has two holders.
LONG_PAUSES, LONG_PAUSE_S = 0.1, (4.5, 6.0)
LOOK_EVERY_S = 0.05
SERVERS = ("postgres", "nats", "redis")
CUTS = (Line.BLACK_HOLE, Line.SWALLOW_REPLIES, Line.RESET, Line.DELAY)
TROUBLES = (("lost_answer", "create"), ("500", "create"), ("reset", "create"), ("lost_answer", "look_up"),
            ("throttled", "look_up"), ("html", "look_up"), ("timeout", "create"), ("timeout", "look_up"))  # fmt: skip

Mishap = Callable[[str, random.Random], Awaitable[None]]


class Misfortune:
    """Befalls a system. One thing at a time on each target; what it broke it mends, or has mended at the end."""

    def __init__(self, system: System, chronicle: Chronicle, *, seed: int, every_s: float) -> None:
        self._system, self._chronicle, self._every_s = system, chronicle, every_s
        self._random = random.Random(seed)
        self._busy: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        apps, lines = tuple(system.apps), tuple(f"line to {name}" for name in system.proxies)
        # How often each: what is killed dearly (Postgres recovers for a second) is killed seldom.
        self._choices: tuple[tuple[float, str, Mishap, tuple[str, ...]], ...] = (
            (4.0, "kill", self._kill_app, apps),
            (1.5, "kill", self._kill_server, ("redis",)),
            (1.0, "kill", self._kill_server, ("nats",)),
            (0.4, "kill", self._kill_server, ("postgres",)),
            (5.0, "pause", self._pause_app, apps),
            (2.0, "pause", self._pause_server, SERVERS),
            (0.5, "pause", self._pause_platform, ("platform",)),
            (2.5, "cut", self._cut, lines),
            (1.5, "trouble", self._trouble, ("platform's answers",)),
        )

    async def run(self, seconds: float) -> None:
        """This will break things for so many seconds, one every `every_s` on average, and then mend all of them."""
        watch = asyncio.create_task(self._look_after())
        try:
            # By the clock, so that a busy machine gets as many of them.
            next_s = began_s = time.monotonic()
            while (next_s := next_s + self._random.uniform(0.3, 1.7) * self._every_s) < began_s + seconds:
                await asyncio.sleep(next_s - time.monotonic())
                self._strike()
            self._over.set()
            while self._running:
                await asyncio.gather(*self._running)
        finally:
            self._over.set()
            for task in (watch, *self._running):
                task.cancel()
            await asyncio.gather(watch, *self._running, return_exceptions=True)

    def _strike(self) -> None:
        kind, mishap, target = self._draw()
        fate = random.Random(self._random.random())  # its own, so that the next draw does not depend on how it goes
        self._chronicle.count("faults", f"{kind} {target.rpartition('-')[0] or target}")
        self._busy.add(target)
        task = asyncio.create_task(self._befall(kind, mishap, target, fate))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _draw(self) -> tuple[str, Mishap, str]:
        """What befalls whom: something that can befall one who is well."""
        free = [
            (weight, kind, mishap, well)
            for weight, kind, mishap, targets in self._choices
            if (well := [each for each in targets if each not in self._busy])
        ]
        ((_, kind, mishap, well),) = self._random.choices(free, [weight for weight, *_ in free])
        return kind, mishap, self._random.choice(well)

    async def _befall(self, kind: str, mishap: Mishap, target: str, fate: random.Random) -> None:
        began_s = self._chronicle.at_s
        self._chronicle.note(kind, target=target)
        try:
            await mishap(target, fate)
        finally:
            self._busy.discard(target)
            self._chronicle.note(f"{kind} over", target=target, after_s=round(self._chronicle.at_s - began_s, 3))

    async def _wait(self, seconds: float) -> None:
        """This will wait, but no longer than misfortune lasts."""
        with suppress(TimeoutError):  # that is how it mostly ends
            await asyncio.wait_for(self._over.wait(), seconds)

    # --- the mishaps -------------------------------------------------------------------------------------------------

    async def _kill_app(self, name: str, fate: random.Random) -> None:
        app = self._system.apps[name]
        app.signal(signal.SIGKILL)
        await asyncio.to_thread(app.wait_until_gone)
        await self._wait(fate.uniform(*DOWN_S))
        app.start()

    async def _pause_app(self, name: str, fate: random.Random) -> None:
        app, long = self._system.apps[name], fate.random() < LONG_PAUSES
        app.signal(signal.SIGSTOP)
        try:
            await self._wait(fate.uniform(*(LONG_PAUSE_S if long else PAUSE_S)))
        finally:
            app.signal(signal.SIGCONT)

    async def _kill_server(self, name: str, fate: random.Random) -> None:
        await asyncio.to_thread(self._system.servers.kill_server, name)
        await self._wait(fate.uniform(*DOWN_S))
        await asyncio.to_thread(self._system.servers.start_server, name)

    async def _pause_server(self, name: str, fate: random.Random) -> None:
        await asyncio.to_thread(self._system.servers.pause_server, name)
        try:
            await self._wait(fate.uniform(*PAUSE_S))
        finally:
            await asyncio.to_thread(self._system.servers.resume_server, name)

    async def _pause_platform(self, _: str, fate: random.Random) -> None:
        os.kill(self._system.platform_pid, signal.SIGSTOP)
        try:
            await self._wait(fate.uniform(*PAUSE_S))
        finally:
            os.kill(self._system.platform_pid, signal.SIGCONT)

    async def _cut(self, target: str, fate: random.Random) -> None:
        proxy, line = self._system.proxies[target.removeprefix("line to ")], fate.choice(CUTS)
        self._chronicle.note("cut is", target=target, line=line)
        proxy.behave(line)
        try:
            await self._wait(fate.uniform(*CUT_S))
        finally:
            proxy.behave(Line.PASS)

    async def _trouble(self, _: str, fate: random.Random) -> None:
        fault, operation = fate.choice(TROUBLES)
        self._chronicle.note("trouble is", fault=fault, operation=operation)
        plan = {"fault": fault, "operation": operation, "times": fate.randint(1, 3)}
        async with httpx2.AsyncClient(timeout=30) as client:
            await client.post(f"{self._system.platform_url}/_control/faults", json=plan)

    # --- who dies unasked --------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """This will start an app again that fell over by itself, as an orchestrator does, and tell of it."""
        while True:
            for name, app in self._system.apps.items():
                if name not in self._busy and not app.is_running:
                    self._chronicle.note("fell over", target=name)
                    self._chronicle.count("load", "processes that fell over")
                    app.start()
            await asyncio.sleep(LOOK_EVERY_S)
