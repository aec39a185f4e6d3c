"""The simulated loop: the same seed is the same run, another one another run, and time passes without waiting."""

import asyncio

import pytest
from tests.faults.simulation.loop import Stuck, simulate


async def _race(runners: int) -> list[tuple[int, int, float]]:
    """Who took which step when, of some that take three steps each and sleep in between."""
    course: list[tuple[int, int, float]] = []

    async def run(who: int) -> None:
        for step in range(3):
            course.append((who, step, asyncio.get_running_loop().time()))
            await asyncio.sleep(0 if step else who % 2)

    async with asyncio.TaskGroup() as group:
        for who in range(runners):
            group.create_task(run(who))
    return course


def test_a_seed_replays_exactly() -> None:
    """The same seed gives the same course, twice."""
    assert simulate(_race(8), seed=7) == simulate(_race(8), seed=7)


def test_seeds_differ_in_the_order_alone() -> None:
    """Twenty seeds give many courses, of the same steps."""
    courses = [tuple(simulate(_race(4), seed=seed)) for seed in range(20)]

    assert len(set(courses)) > 15
    assert {tuple(sorted(each)) for each in courses} == {tuple(sorted(courses[0]))}


def test_time_passes_without_waiting() -> None:
    """A year of sleeping is over at once, and the loop's clock shows it."""

    async def sleep_for_a_year() -> float:
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    assert simulate(sleep_for_a_year(), seed=1) == 365 * 86_400


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Chance decides among those who are due at once, never between sooner and later."""

    async def sleepers() -> list[int]:
        woken = []

        async def sleep(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleep(seconds) for seconds in (3, 1, 2, 5, 4)))
        return woken

    assert all(simulate(sleepers(), seed=seed) == [1, 2, 3, 4, 5] for seed in range(20))


def test_deadlines_and_cancellations_work() -> None:
    """asyncio's own tools keep their promises: a timeout strikes at its time, and a timer cancelled never runs."""

    async def too_slow() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1, pytest.fail, "this was cancelled").cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(12):
                await asyncio.sleep(30)
        return loop.time()

    assert simulate(too_slow(), seed=1) == 12


def test_who_waits_for_ever_is_told() -> None:
    """A program that nothing can wake ends in an error, not in a hang."""

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        simulate(wait(), seed=1)


def test_who_goes_round_in_circles_is_told() -> None:
    """A program that never ends is ended."""

    async def turn() -> None:
        while True:  # noqa: ASYNC110 - it shall never end
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="did not end"):
        simulate(turn(), seed=1)
