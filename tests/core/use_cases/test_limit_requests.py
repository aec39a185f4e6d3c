"""Rate limits in several processes: each judges by itself, and they learn of each other when they settle."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.rate_limits import RateLimit
from billing_core.errors import SharedUsageUnavailable
from billing_core.testing import InMemoryUsage
from billing_core.use_cases.limit_requests import LimitRequests

SECOND_US = 1_000_000
A_SECOND_EACH = RateLimit(per_minute=60, burst=5)


class Hand:
    """A clock hand that moves when told."""

    def __init__(self) -> None:
        self.at_us = 7 * SECOND_US

    def __call__(self) -> int:
        """Where it stands."""
        return self.at_us

    def move_s(self, seconds: float) -> None:
        """This will move it on."""
        self.at_us += round(seconds * SECOND_US)


class World:
    """Processes that share what was used, and the clock they all go by."""

    def __init__(self, processes: int = 2, limit: RateLimit = A_SECOND_EACH, most_merchants: int = 100) -> None:
        self.hand = Hand()
        self.usage = InMemoryUsage(self.hand)
        self.processes = [
            LimitRequests(limit=limit, usage=self.usage, now_us=self.hand, most_merchants=most_merchants)
            for _ in range(processes)
        ]

    def admitted(self, process: int, times: int, merchant_id: str = "merchant-1") -> int:
        """How many of so many requests at once a process admits."""
        return sum(self.processes[process].admit(merchant_id).is_admitted for _ in range(times))

    async def settle(self) -> None:
        """Every process settles, twice: what the last one told the first hears with the second."""
        for process in [*self.processes, *self.processes]:
            await process.settle()


class TestOneProcess:
    def test_a_burst_is_admitted_and_then_what_is_earned(self) -> None:
        """The limit holds before anybody else was asked."""
        world = World()

        at_once = world.admitted(0, 20)
        world.hand.move_s(2.5)

        assert (at_once, world.admitted(0, 20)) == (5, 2)

    def test_another_merchant_is_untouched(self) -> None:
        """Each has a limit of its own."""
        world = World()
        world.admitted(0, 20)

        assert world.admitted(0, 20, "merchant-2") == 5

    def test_a_refusal_costs_nothing(self) -> None:
        """Asking on does not make the wait longer."""
        world = World()
        world.admitted(0, 1000)

        assert world.processes[0].admit("merchant-1").wait_us == SECOND_US

    async def test_settling_takes_nothing_away_nor_gives_any(self) -> None:
        """Alone, what the process knows is all there is."""
        world = World(1)
        told = []
        for _ in range(7):
            told.append(world.processes[0].admit("merchant-1").left)
            await world.settle()

        assert told == [4, 3, 2, 1, 0, 0, 0]

    @given(pauses_ms=st.lists(st.integers(0, 2_000), max_size=30), late_ms=st.integers(0, 400))
    async def test_whoever_settles_is_as_generous_as_whoever_does_not(self, pauses_ms: list[int], late_ms: int) -> None:
        """However long after a request it is told: a process with nobody beside it admits the same."""
        settling, alone = World(1), World(1)
        for pause_ms in pauses_ms:
            told = [world.processes[0].admit("merchant-1") for world in (settling, alone)]
            assert told[0] == told[1]
            for world in (settling, alone):
                world.hand.move_s(late_ms / 1000)
            await settling.processes[0].settle()
            for world in (settling, alone):
                world.hand.move_s(pause_ms / 1000)


class TestSeveralProcesses:
    async def test_one_limit_is_shared(self) -> None:
        """What one admitted the other has heard of, once it has asked about the merchant."""
        world = World()
        first = world.admitted(0, 3)
        await world.settle()
        unaware = world.admitted(1, 1)
        await world.settle()

        aware = world.admitted(1, 10)

        assert (first, unaware, aware) == (3, 1, 1)

    async def test_what_was_admitted_at_the_same_time_is_heard_of(self) -> None:
        """Whoever settled first asks once more, and then no more."""
        world = World()
        world.admitted(0, 2)
        world.admitted(1, 2)
        await world.processes[0].settle()
        await world.processes[1].settle()

        early = world.processes[0].admit("merchant-1").left
        await world.settle()

        assert early == 2
        assert world.admitted(0, 10) == 0

    async def test_one_that_refuses_hears_of_the_others(self) -> None:
        """A merchant that is refused is asked about too, so that it is known whether it still must be."""
        world = World()
        world.admitted(0, 5)
        world.admitted(1, 5)
        await world.settle()
        world.hand.move_s(6)  # of ten, at a second each, four are left to be earned
        world.admitted(0, 1)
        world.admitted(1, 1)
        await world.settle()

        told = [process.admit("merchant-1") for process in world.processes]

        assert [(each.is_admitted, each.wait_us) for each in told] == [(False, 2 * SECOND_US)] * 2

    async def test_too_much_is_earned_before_more_is_admitted(self) -> None:
        """Processes that did not see each other admit a burst each; together they then admit nothing until the limit
        is kept again."""
        world = World(4)
        at_once = sum(world.admitted(each, 10) for each in range(4))
        await world.settle()

        later = []
        for _ in range(20):
            world.hand.move_s(1)
            later.append(world.admitted(0, 1))
            await world.settle()

        assert at_once == 4 * 5
        assert later == [0] * 15 + [1] * 5

    async def test_what_is_admitted_while_settling_is_told_next_time(self) -> None:
        """Nothing falls between two settlements."""
        world = World()
        world.admitted(0, 2)
        charge = world.usage.charge

        async def slow(used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
            told = await charge(used_us, within_us)
            world.admitted(0, 2)  # after it was told, before it is heard
            return told

        world.usage.charge = slow  # type: ignore[method-assign]  # the moment in between
        await world.processes[0].settle()
        world.usage.charge = charge  # type: ignore[method-assign]
        left = world.processes[0].admit("merchant-1").left
        await world.processes[0].settle()
        world.admitted(1, 1)
        await world.processes[1].settle()

        assert left == 0
        assert world.admitted(1, 1) == 0

    async def test_a_quiet_process_asks_nobody(self) -> None:
        """Without requests there is nothing to settle, but for what others may tell of the last ones."""
        world = World(1)
        world.admitted(0, 1)
        await world.settle()
        world.usage.is_down = True

        await world.settle()

        assert world.processes[0].is_shared

    @given(
        turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12), st.integers(0, 3_000)), max_size=40),
        settles_after=st.integers(1, 4),
    )
    async def test_together_they_admit_no_more_than_is_promised(
        self, turns: list[tuple[int, int, int]], settles_after: int
    ) -> None:
        """The limit, and beyond it a burst for each of the other processes, and what is earned between two settlements
        for each, in any course of events."""
        world, admitted, begun_us = World(3), 0, 7 * SECOND_US
        settled_us, longest_us = begun_us, 0
        for turn, (process, many, pause_ms) in enumerate(turns):
            admitted += world.admitted(process, many)
            world.hand.move_s(pause_ms / 1000)
            longest_us = max(longest_us, world.hand.at_us - settled_us)
            if turn % settles_after == 0:
                await world.settle()
                settled_us = world.hand.at_us

            limit = 5 + (world.hand.at_us - begun_us) // SECOND_US
            assert admitted <= limit + 2 * 5 + 3 * longest_us // SECOND_US


class TestOutages:
    async def test_each_goes_on_by_itself(self) -> None:
        """While nobody can be told, each process keeps to the limit by what it knows."""
        world = World()
        world.admitted(0, 3)
        await world.settle()
        world.usage.is_down = True

        admitted = [world.admitted(0, 10), world.admitted(1, 10)]
        for process in world.processes:
            with pytest.raises(SharedUsageUnavailable):
                await process.settle()

        assert admitted == [2, 5]
        assert [process.is_shared for process in world.processes] == [False, False]
        assert [world.admitted(0, 10), world.admitted(1, 10)] == [0, 0]

    async def test_back_they_share_again(self) -> None:
        """It is looked for also while nobody asks anything. What was admitted meanwhile is not told afterwards."""
        world = World(1)
        world.usage.is_down = True
        world.admitted(0, 3)
        for _ in range(2):
            with pytest.raises(SharedUsageUnavailable):
                await world.processes[0].settle()
        world.usage.is_down = False

        await world.settle()

        assert world.processes[0].is_shared
        assert len(world.usage) == 0
        assert world.admitted(0, 10) == 2

    async def test_what_the_others_forgot_is_not_forgotten_here(self) -> None:
        """A cache that was emptied gives nobody a second burst where it had the first."""
        world = World()
        world.admitted(0, 5)
        await world.settle()
        world.usage.lose_everything()
        world.hand.move_s(1)

        again = world.admitted(0, 10)
        await world.settle()

        assert (again, world.admitted(0, 10)) == (1, 0)


class TestMemory:
    async def test_whoever_owes_nothing_is_forgotten(self) -> None:
        """Also what is remembered together."""
        world = World()
        for number in range(50):
            world.admitted(0, 1, f"merchant-{number}")
        await world.settle()
        kept = len(world.processes[0])
        world.hand.move_s(1)

        await world.settle()
        await world.usage.charge({}, 0)

        assert kept == 50
        assert (len(world.processes[0]), len(world.usage)) == (0, 0)

    async def test_it_is_bounded_by_the_least_recent(self) -> None:
        """With more merchants at once than are remembered, those who asked longest ago are forgotten, until they are
        heard of again."""
        world = World(most_merchants=10)
        world.admitted(0, 5, "first")
        await world.settle()
        for number in range(9):
            world.admitted(0, 5, f"merchant-{number}")
        world.hand.move_s(1)
        world.admitted(0, 1, "first")
        world.admitted(0, 5, "one too many")

        assert len(world.processes[0]) == 10
        assert world.admitted(0, 10, "first") == 0
        assert world.admitted(0, 10, "merchant-1") == 1
        assert world.admitted(0, 10, "merchant-0") == 5
        await world.settle()
        assert len(world.processes[0]) == 10

    async def test_what_is_heard_of_is_bounded_too(self) -> None:
        """More merchants in one settlement than are remembered."""
        world = World(most_merchants=10)
        for number in range(30):
            world.admitted(0, 5, f"merchant-{number}")

        await world.settle()

        assert len(world.processes[0]) == 10
