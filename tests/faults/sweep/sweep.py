"""Every step × every fault: what befalls a handler at one step, how its caller goes on, and what is true in the end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.ports import Crash, PortFault, Process
from tests.faults.sweep.world import A_MOMENT, A_WHILE, Fact, World

from billing_core.errors import IdempotencyKeyInUse, PlatformError, PublishingUnavailable, StorageUnavailable

# However things go wrong, a caller that comes again this often has what it wanted.
TRIES = 12
# A rival that has not ended after so many turns of the loop waits for a row that the slow one holds.
TURNS = 200
# Nothing here takes real time: who needs this long waits for ever.
HANGS_S = 20.0
# What callers come again after. Anything else a handler raises is an answer, and its table entry expects it.
_TROUBLE = (StorageUnavailable, PlatformError, PublishingUnavailable, IdempotencyKeyInUse)

Befallen = Mapping[int, PortFault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A handler in one situation.

    `arrange` makes the situation; `attempt` is one try of its caller, True once it has what it wanted; `rival` is what
    another process tries while a step of this one is slow (None: the same); `afterwards` is what happens in the world
    then; `facts` must be true in the end, beside the oracle's rules.
    """

    name: str
    arrange: Callable[[World], Awaitable[None]]
    attempt: Callable[[World, Process], Awaitable[bool]]
    rival: Callable[[World, Process], Awaitable[bool]] | None = None
    afterwards: Callable[[World], Awaitable[None]] | None = None
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the labels of the steps that were taken, in order, at which of them something befell, what was wrong."""

    steps: Sequence[str]
    befallen: Befallen
    wrong: Sequence[str]


@dataclass(slots=True)
class Tally:
    """Many runs: how many steps there are, at how many of them each fault befell, and each run that went wrong."""

    points: int = 0
    runs: int = 0
    labels: set[str] = field(default_factory=set)
    hit: set[tuple[int, PortFault]] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def note(self, handler: Handler, faults: Befallen, run: Run) -> None:
        """This will count a run."""
        self.runs += 1
        self.hit |= set(run.befallen.items())
        where = ", then ".join(f"{fault} at step {step} {_label(run, step)}" for step, fault in sorted(faults.items()))
        self.wrong += [f"{handler.name}: {where or 'nothing befell'}: {each}" for each in run.wrong]


async def sweep(handler: Handler) -> Tally:
    """This will run the handler once for each of its steps and each fault."""
    arranged, tally = await _arranged(handler), Tally()
    dry = await run(handler, arranged, {})
    tally.note(handler, {}, dry)
    tally.points, tally.labels = len(dry.steps), set(dry.steps)
    for faults in _singles(dry.steps):
        swept = await run(handler, arranged, faults)
        tally.note(handler, faults, swept)
        (step,) = faults
        if swept.steps[: step + 1] != dry.steps[: step + 1]:
            tally.wrong.append(f"{handler.name}: the way to step {step} is not the same twice")
    return tally


async def sweep_pairs(handler: Handler) -> Tally:
    """This will run the handler for each fault at each step, and a second one at each step that is taken after it, in
    the retries too."""
    arranged, tally = await _arranged(handler), Tally()
    dry = await run(handler, arranged, {})
    tally.points, tally.labels = len(dry.steps), set(dry.steps)
    for first in _singles(dry.steps):
        once = await run(handler, arranged, first)
        tally.note(handler, first, once)
        (step,) = first
        for second in _singles(once.steps, after=step):
            tally.note(handler, first | second, await run(handler, arranged, first | second))
    return tally


async def dry_run(handler: Handler) -> Run:
    """This will run the handler with nothing going wrong."""
    return await run(handler, await _arranged(handler), {})


async def run(handler: Handler, arranged: World, faults: Befallen) -> Run:
    """This will carry a handler out in a copy of the world that was arranged for it, while these faults befall the
    steps of these numbers, let all come to rest, and judge."""
    world = arranged.copy()
    course = _Course(handler, world, faults)
    try:
        async with asyncio.timeout(HANGS_S):
            await course.carry_out()
    except TimeoutError:
        world.wrong.append("it hangs")
        return Run(steps=course.steps, befallen=course.befallen, wrong=world.wrong)
    return Run(steps=course.steps, befallen=course.befallen, wrong=await _judged(handler, world))


async def _judged(handler: Handler, world: World) -> Sequence[str]:
    """What is wrong, once what comes afterwards has come; also where the world is not even such that it could."""
    try:
        if handler.afterwards is not None:
            await handler.afterwards(world)
        await world.rest()
        broken = [f"not so: {fact}" for fact, holds in handler.facts.items() if not holds(world)]
    except Exception as fault:  # noqa: BLE001 - the point at which it came to this must be told
        broken = [f"it came to {fault!r}"]
    return [*world.judge(), *broken]


async def _arranged(handler: Handler) -> World:
    world = World()
    await handler.arrange(world)
    return world


class _Course:
    """How one run goes: one process after the other, until the caller has what it wanted."""

    def __init__(self, handler: Handler, world: World, faults: Befallen) -> None:
        self._handler, self._world, self._faults = handler, world, faults
        self.steps: list[str] = []
        self.befallen: dict[int, PortFault] = {}
        self._attempt: asyncio.Task[bool] | None = None
        self._rivals: list[asyncio.Task[None]] = []

    async def carry_out(self) -> None:
        """This will try until the caller has what it wanted, and wait for whoever tried beside it."""
        try:
            await self._until_done(self._start, self._attempt_apart)
            await asyncio.gather(*self._rivals)
        finally:
            for rival in self._rivals:
                rival.cancel()

    def _start(self) -> Process:
        return self._world.start(self._hook, slow=self._slowly, task=lambda: self._attempt)

    async def _until_done(self, start: Callable[[], Process], attempt: Callable[[Process], Awaitable[bool]]) -> None:
        process = start()
        for _ in range(TRIES):
            if process.ports.is_dead:
                process = start()
            if await attempt(process):
                return
            self._world.clock.advance(A_WHILE)
        self._world.wrong.append(f"tried {TRIES} times in vain")

    async def _attempt_apart(self, process: Process) -> bool:
        """One try in a task of its own, which may be cancelled or die."""
        self._attempt = asyncio.ensure_future(self._handler.attempt(self._world, process))
        await asyncio.wait([self._attempt])
        if self._attempt.cancelled():
            return False
        return self._done(self._attempt.exception(), self._attempt)

    async def _attempt_beside(self, process: Process) -> bool:
        tries = self._handler.rival or self._handler.attempt
        attempt = asyncio.ensure_future(tries(self._world, process))
        await asyncio.wait([attempt])
        return self._done(attempt.exception(), attempt)

    def _done(self, trouble: BaseException | None, attempt: "asyncio.Task[bool]") -> bool:
        if trouble is None:
            return attempt.result()
        if not isinstance(trouble, (Crash, *_TROUBLE)):
            self._world.wrong.append(f"its caller was told {trouble!r}")
            return True
        return False

    async def _hook(self, label: str) -> PortFault | None:
        number = len(self.steps)
        self.steps.append(label)
        fault = self._faults.get(number)
        if fault is not None:
            self.befallen[number] = fault
        return fault

    async def _slowly(self, _label: str) -> None:
        """While this one waits, its rival runs in another process: to its end, or until it waits for this one."""
        self._world.clock.advance(A_MOMENT)
        rival = asyncio.ensure_future(self._until_done(self._world.start, self._attempt_beside))
        self._rivals.append(rival)
        for _ in range(TURNS):
            if rival.done():
                break
            await asyncio.sleep(0)
        self._world.clock.advance(A_WHILE)


def _singles(steps: Sequence[str], after: int = -1) -> Iterator[dict[int, PortFault]]:
    return ({step: fault} for step in range(after + 1, len(steps)) for fault in PortFault)


def _label(run: Run, step: int) -> str:
    return run.steps[step] if step < len(run.steps) else "(not reached)"
