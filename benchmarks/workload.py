"""What is measured: a workload gives figures; most are races between our code, the floor and the first build."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from benchmarks.figures import Figure, Target, ratio
from benchmarks.stage import Stage, Theatre

T = TypeVar("T")

# Does one measured round and gives units per second (more is better). What it needs prepared it prepares itself,
# outside of what it measures.
Round = Callable[[], Awaitable[float]]
# Opens one contestant on its stage: starts its processes, waits until they are ready, and stops them at the end.
Contestant = Callable[[Stage], AbstractAsyncContextManager[T]]

OURS, FLOOR, FIRST_BUILD = "ours", "floor", "first build"


class Bench:
    """One run: how often everything is repeated, and the contestants that are on stage."""

    def __init__(self, theatre: Theatre, *, quick: bool, tell: Callable[[str], None]) -> None:
        """This will take the servers and who is told what is being done."""
        self.quick, self.repeats = quick, 1 if quick else 5
        self.theatre, self.tell = theatre, tell
        self._on_stage: dict[Contestant[Any], tuple[Any, Stage, AsyncExitStack]] = {}

    @property
    def rounds(self) -> range:
        """The rounds of a race; number 0, which only a run that has time for it has, is to warm up."""
        return range(1 if self.quick else 0, self.repeats + 1)

    async def opened(self, contestants: dict[str, Contestant[T]]) -> dict[str, tuple[T, Stage]]:
        """This will open those that are not on stage, and end whoever else is: workloads in a row that share their
        contestants start them once."""
        for contestant in [each for each in self._on_stage if each not in contestants.values()]:
            await self._end(contestant)
        for name, contestant in contestants.items():
            if contestant not in self._on_stage:
                self.tell(f"starting {name}")
                await self._begin(name, contestant)
        return {name: self._on_stage[each][:2] for name, each in contestants.items()}

    async def end_all(self) -> None:
        """This will end every contestant."""
        for contestant in list(self._on_stage):
            await self._end(contestant)

    async def _begin(self, name: str, contestant: Contestant[Any]) -> None:
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(self.theatre.stage(name))
            opened = await stack.enter_async_context(contestant(stage))
            self._on_stage[contestant] = (opened, stage, stack.pop_all())

    async def _end(self, contestant: Contestant[Any]) -> None:
        _, _, closing = self._on_stage.pop(contestant)
        await closing.aclose()


class Workload(Protocol):
    """One row of the issue's table."""

    @property
    def name(self) -> str:
        """Its letter and what it is called: `a create`."""
        ...

    @property
    def what(self) -> str:
        """A sentence of what is done."""
        ...

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """This will measure it, `bench.repeats` times where repeating makes sense."""
        ...


async def _itself(opened: Any) -> float:
    rate: float = await opened()
    return rate


@dataclass(frozen=True, kw_only=True)
class Race(Generic[T]):
    """The same act by up to three contestants, in turns: ours, floor, first build, ours, floor, …

    `act` does one measured round with an opened contestant; where contestants open as a `Round` it need not be given.
    """

    name: str
    what: str
    unit: str
    ours: Contestant[T]
    floor: Contestant[T] | None = None
    first_build: Contestant[T] | None = None
    act: Callable[[T], Awaitable[float]] = field(default=_itself)
    floor_target: Target | None = None
    first_build_target: Target | None = None

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """See `Workload.measure`. Where there is time, each contestant has a round to warm up that is not counted."""
        opened = await bench.opened(self._contestants())
        rates: dict[str, list[float]] = {name: [] for name in opened}
        for repeat in bench.rounds:
            for name, (contestant, stage) in opened.items():
                bench.tell(f"{name}, {repeat} of {bench.repeats}" if repeat else f"{name}, warming up")
                await stage.checkpoint()
                rate = await self.act(contestant)
                if repeat:
                    rates[name].append(rate)
        return self._figures(rates)

    def _contestants(self) -> dict[str, Contestant[T]]:
        all_three = {OURS: self.ours, FLOOR: self.floor, FIRST_BUILD: self.first_build}
        return {name: contestant for name, contestant in all_three.items() if contestant is not None}

    def _figures(self, rates: dict[str, list[float]]) -> Sequence[Figure]:
        targets = {FLOOR: self.floor_target, FIRST_BUILD: self.first_build_target}
        return [
            *(Figure(name=name, values=values, unit=self.unit) for name, values in rates.items()),
            *(
                ratio(f"{OURS} ÷ {name}", rates[OURS], rates[name], target)
                for name, target in targets.items()
                if name in rates
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Figures that are no race: `record` measures them on a stage of its own."""

    name: str
    what: str
    record: Callable[[Bench, Stage], Awaitable[Sequence[Figure]]]

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """See `Workload.measure`."""
        opened = await bench.opened({OURS: self._on_its_stage})
        ((stage, _),) = opened.values()
        return await self.record(bench, stage)

    @asynccontextmanager
    async def _on_its_stage(self, stage: Stage) -> AsyncIterator[Stage]:
        yield stage
