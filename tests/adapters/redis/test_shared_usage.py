"""What merchants used together, in Redis: little room, gone when earned, and an outage told at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from billing_adapters.redis.client import open_redis
from billing_adapters.redis.shared_usage import MOST_AT_ONCE, RedisUsage
from billing_core.errors import SharedUsageUnavailable

HOUR_US = 3_600_000_000
DEADLINE_S = 30.0


@pytest.fixture
async def client(server: Any) -> AsyncIterator[Redis]:
    """A client of the empty server."""
    async with open_redis(server.url) as client:
        assert isinstance(client, Redis)
        await client.flushall()
        yield client


class TestRoom:
    async def test_a_number_is_kept_no_longer_than_it_means_something(self, client: Redis) -> None:
        """It goes when the merchant owes nothing any more, and not before."""
        await RedisUsage(client).charge({"merchant-1": HOUR_US, "merchant-2": 0}, 0)

        (name,) = await client.keys("*")

        assert name == b"billing:rate:merchant-1"
        assert 3_500_000 < await client.pttl(name) <= 3_600_000
        assert isinstance(number := await client.get(name), bytes)
        assert number.isdigit()

    async def test_merchants_are_charged_in_pieces(self, client: Redis) -> None:
        """However many there are, Redis is never kept busy with all of them at once."""
        usage, many = RedisUsage(client, timeout_s=DEADLINE_S), 2 * MOST_AT_ONCE + 1
        used = {f"merchant-{number}": number * HOUR_US for number in range(many)}

        await client.config_resetstat()

        owed = await usage.charge(used, 0)

        assert {each: -(-owed_us // HOUR_US) for each, owed_us in owed.items()} == {
            f"merchant-{number}": number for number in range(many)
        }
        assert (await client.info("commandstats"))["cmdstat_eval"]["calls"] == 3


class TestOutages:
    async def test_away_it_says_so_and_back_it_tells_again(self, server: Any, client: Redis) -> None:
        """The same object works once Redis is there again, knowing nothing any more."""
        usage = RedisUsage(client)
        await usage.charge({"merchant-1": HOUR_US}, 0)
        await server.stop()

        for asked in ({"merchant-1": 0}, {}):
            with pytest.raises(SharedUsageUnavailable):
                await usage.charge(asked, 0)
        await server.start()

        assert await told_again(usage) == {"merchant-1": 0}

    async def test_a_silent_redis_is_not_waited_for(self, server: Any, client: Redis) -> None:
        """One that takes everything and answers nothing is away."""
        usage = RedisUsage(client)
        await usage.charge({}, 0)
        await server.freeze()

        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(SharedUsageUnavailable):
                await usage.charge({"merchant-1": HOUR_US}, 0)
        await server.start()

        await told_again(usage)

    @pytest.mark.parametrize("value", [b"text", b""])
    async def test_a_number_that_is_none_is_told(self, client: Redis, value: bytes) -> None:
        """As an outage: nobody is refused for what somebody else wrote there."""
        await client.set("billing:rate:merchant-1", value)

        with pytest.raises(SharedUsageUnavailable):
            await RedisUsage(client).charge({"merchant-1": 0}, 0)

    async def test_a_redis_that_takes_nothing_is_told(self, client: Redis) -> None:
        """Full memory is an outage too."""
        await client.config_set("maxmemory", "1")
        try:
            with pytest.raises(SharedUsageUnavailable):
                await RedisUsage(client).charge({"merchant-1": HOUR_US}, 0)
        finally:
            await client.config_set("maxmemory", "0")


async def told_again(usage: RedisUsage) -> Any:
    """What is told once Redis answers."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await usage.charge({"merchant-1": 0}, 0)
            except SharedUsageUnavailable:
                await asyncio.sleep(0.02)
