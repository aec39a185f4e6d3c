"""The contract of what merchants used over all processes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from billing_core.ports.rate_limits import SharedUsage

# Charges are told in hours and begun ones counted: what time a test takes is no part of what it says.
HOUR_US = 3_600_000_000
Wait = Callable[[int], Awaitable[None]]


class SharedUsageContract:
    """Every promise of `SharedUsage`. Give the fixtures `usage`, empty and in working order; `another`, the same as
    another process has it; and `wait`, which lets at least so many microseconds pass."""

    async def test_nobody_owes_anything_at_first(self, usage: SharedUsage) -> None:
        """Asking for nothing at all is fine too."""
        assert await usage.charge({"merchant-1": 0}, 0) == {"merchant-1": 0}
        assert await usage.charge({}, 0) == {}

    async def test_charges_of_all_processes_add_up(self, usage: SharedUsage, another: SharedUsage) -> None:
        """Each is told the sum, its own charge included."""
        first = await usage.charge({"merchant-1": 2 * HOUR_US}, 0)
        second = await another.charge({"merchant-1": HOUR_US}, 0)
        asked = await usage.charge({"merchant-1": 0}, 0)

        assert [_begun_hours(each) for each in (first, second, asked)] == [
            {"merchant-1": 2},
            {"merchant-1": 3},
            {"merchant-1": 3},
        ]

    async def test_merchants_are_apart(self, usage: SharedUsage) -> None:
        """However their ids look, and however many are charged at once, each has its own account."""
        longest = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code).isalnum() or chr(code) in "._:-") + "m"
        ids = ["merchant-1", "merchant-10", "merchant:1", "Merchant-1", "m", (longest * 2)[:128]]
        await usage.charge({each: number * HOUR_US for number, each in enumerate(ids)}, 0)

        owed = await usage.charge(dict.fromkeys(reversed(ids), 0), 0)

        assert _begun_hours(owed) == {each: number for number, each in enumerate(ids)}

    async def test_no_charge_is_lost_where_two_come_at_once(self, usage: SharedUsage, another: SharedUsage) -> None:
        """The sum is exact."""
        told = list[Mapping[str, int]]()
        for _ in range(16):
            told += await asyncio.gather(*(each.charge({"merchant-1": HOUR_US}, 0) for each in (usage, another)))

        assert sorted(_begun_hours(each)["merchant-1"] for each in told) == list(range(1, 33))

    async def test_what_is_owed_is_earned_as_time_passes(self, usage: SharedUsage, wait: Wait) -> None:
        """A microsecond each microsecond."""
        await usage.charge({"merchant-1": HOUR_US}, 0)
        await wait(20_000)

        owed = await usage.charge({"merchant-1": 0}, 0)

        assert 0 < owed["merchant-1"] <= HOUR_US - 20_000

    async def test_what_was_used_a_while_ago_is_earned_in_part(self, usage: SharedUsage) -> None:
        """As if all of it had been used then; nobody is owed anything for it."""
        told = [
            await usage.charge({"merchant-1": 4 * HOUR_US}, 2 * HOUR_US),
            await usage.charge({"merchant-1": HOUR_US}, 2 * HOUR_US),  # while something was owed all the time
            await usage.charge({"merchant-2": HOUR_US}, 2 * HOUR_US),
            await usage.charge({"merchant-2": HOUR_US}, 0),
        ]

        assert [_begun_hours(each) for each in told] == [
            {"merchant-1": 2},
            {"merchant-1": 3},
            {"merchant-2": 0},
            {"merchant-2": 1},
        ]

    async def test_nothing_is_saved_up(self, usage: SharedUsage, wait: Wait) -> None:
        """Whoever has earned everything owes nothing, however long ago, and the next charge counts whole."""
        await usage.charge({"merchant-1": 20_000}, 0)
        await wait(20_000)

        earned = await usage.charge({"merchant-1": 0}, 0)
        charged = await usage.charge({"merchant-1": HOUR_US}, 0)

        assert earned == {"merchant-1": 0}
        assert _begun_hours(charged) == {"merchant-1": 1}


def _begun_hours(owed_us: Mapping[str, int]) -> Mapping[str, int]:
    return {merchant_id: -(-each // HOUR_US) for merchant_id, each in owed_us.items()}
