"""(h) Trials that are due, few and many, among many that are not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure, Target, at_least, ratio
from benchmarks.pipeline import Works, added, check, seconds_of, works
from benchmarks.stage import Stage
from benchmarks.stock import due_trials, running_trials
from benchmarks.workload import FIRST_BUILD, FLOOR, OURS, Bench, Contestant

TRIALS, FEW_TRIALS = 1_000_000, 6_000
DUE, FEW_DUE = (10_000, 200_000), (500, 4_000)
FIRST_BUILD_DUE, FEW_FIRST_BUILD_DUE = 1_000, 200
EXPIRED: Final = "evt.billing.trial.expired"


@dataclass(frozen=True, slots=True)
class Expiry:
    """A contestant with its trials."""

    works: Works
    command: tuple[str, ...]

    async def rate(self, due: int) -> float:
        """This will have so many trials be due, let them be expired, and say how many were a second."""
        await due_trials(self.works.database, due)
        await self.works.database.execute("vacuum analyze")
        await self.works.stage.checkpoint()
        before = await self.works.standing()
        seconds = await seconds_of(self.works.stage, self.works.environment, *self.command)
        found = added(before, await self.works.standing())
        check(found, rows={"history": due, "outbox": due}, events={}, waiting=due)
        return due / seconds


def _contestant(*command: str) -> Contestant[Expiry]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Expiry]:
        async with works(stage) as its_works:
            await running_trials(its_works.database, FEW_TRIALS if stage.quick else TRIALS)
            yield Expiry(its_works, command)

    return opened


CONTESTANTS: Final = {
    OURS: _contestant("benchmarks.jobs", "expire-trials"),
    FLOOR: _contestant("benchmarks.floors.expire"),
    FIRST_BUILD: _contestant("benchmarks.baselines.expire"),
}


@dataclass(frozen=True, kw_only=True)
class ExpireTrials:
    """Two sizes by ours and the floor, and a small one by the first build."""

    name: str = "h expire"
    what: str = f"expire due trials: {DUE[0]:,} and {DUE[1]:,} among {TRIALS:,}"

    async def measure(self, bench: Bench) -> Sequence[Figure]:
        """See `Workload.measure`."""
        opened = await bench.opened(CONTESTANTS)
        few, many = FEW_DUE if bench.quick else DUE
        first_build_due = FEW_FIRST_BUILD_DUE if bench.quick else FIRST_BUILD_DUE
        turns = [
            *[(name, due) for due in (few, many) for name in (OURS, FLOOR)],
            (FIRST_BUILD, first_build_due),
        ]
        rates: dict[tuple[str, int], list[float]] = {turn: [] for turn in turns}
        for repeat in range(bench.repeats):
            for name, due in turns:
                bench.tell(f"{name}, {due:,} due, {repeat + 1} of {bench.repeats}")
                rates[name, due].append(await opened[name][0].rate(due))
        return [
            *(Figure(name=f"{name}, {due:,} due", values=rates[name, due], unit="trials/s") for name, due in turns),
            *(_against_floor(due, rates) for due in (few, many)),
            ratio(f"{OURS} ÷ {FIRST_BUILD}", rates[OURS, few], rates[FIRST_BUILD, first_build_due], at_least(20)),
            ratio(
                f"cost of one of {many:,} ÷ cost of one of {few:,}",
                rates[OURS, few],
                rates[OURS, many],
                Target(at_least=0.75, at_most=1.25),
            ),
        ]


def _against_floor(due: int, rates: dict[tuple[str, int], list[float]]) -> Figure:
    return ratio(f"{OURS} ÷ {FLOOR}, {due:,} due", rates[OURS, due], rates[FLOOR, due], at_least(0.4))


EXPIRE = ExpireTrials()
