"""(i) Purchases that ended long ago are archived; keys, events and message ids past their time are forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from benchmarks.pipeline import Works, added, check, seconds_of, works
from benchmarks.stage import Stage
from benchmarks.stock import old_rows
from benchmarks.workload import Contestant, Race, Round

ROWS, FEW_ROWS = 20_000, 2_000
FIRST_BUILD_ROWS, FEW_FIRST_BUILD_ROWS = 1_000, 200
KINDS = 4  # purchases, keys, events, message ids
GAP = 60


def _contestant(command: tuple[str, ...], rows: int, few: int) -> Contestant[Round]:
    @asynccontextmanager
    async def opened(stage: Stage) -> AsyncIterator[Round]:
        async with works(stage) as its_works:
            rounds = count()
            many = few if stage.quick else rows
            yield lambda: _round(its_works, command, many, next(rounds))

    return opened


async def _round(its: Works, command: tuple[str, ...], many: int, number: int) -> float:
    await old_rows(its.database, number * (2 * many + GAP), many)
    await its.database.execute("vacuum analyze")
    before = await its.standing()
    seconds = await seconds_of(its.stage, its.environment, *command)
    moved = {"purchases": -many, "archived_purchases": many}
    forgotten = dict.fromkeys(("idempotency_keys", "outbox", "inbox"), -many)
    check(added(before, await its.standing()), rows=moved | forgotten, events={})
    return KINDS * many / seconds


ARCHIVE = Race(
    name="i archive",
    what="archive old purchases, and forget old keys, events and message ids, as many of each",
    unit="rows/s",
    ours=_contestant(("benchmarks.jobs", "archive-purchases", "purge-idempotency"), ROWS, FEW_ROWS),
    floor=_contestant(("benchmarks.floors.archive",), ROWS, FEW_ROWS),
    first_build=_contestant(("benchmarks.baselines.archive",), FIRST_BUILD_ROWS, FEW_FIRST_BUILD_ROWS),
)
