"""Redis keeps the contracts of the replay cache and of what merchants used together, whichever kind of Redis it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.redis_ensembles import KINDS, AnyRedis

from billing_adapters.redis.client import open_redis
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.redis.shared_usage import RedisUsage
from billing_core.testing.contracts import ReplayCacheContract, SharedUsageContract


@pytest.fixture(params=KINDS)
def redis_url(request: pytest.FixtureRequest, redises: AnyRedis) -> str:
    """One server, the primary that sentinels name, a cluster; nothing is in it."""
    return redises.of(request.param).url


class TestRedisReplayCache(ReplayCacheContract):
    """On a real server, with the patience of a test machine."""

    @pytest.fixture
    async def replay_cache(self, redis_url: str) -> AsyncIterator[RedisReplayCache]:
        """A cache with nothing in it."""
        async with open_redis(redis_url, timeout_s=10) as client:
            yield RedisReplayCache(client, timeout_s=20)


class TestRedisUsage(SharedUsageContract):
    """On a real server, where time passes by itself."""

    @pytest.fixture
    async def usage(self, redis_url: str) -> AsyncIterator[RedisUsage]:
        """Nobody owes anything."""
        async with open_redis(redis_url, timeout_s=10) as client:
            yield RedisUsage(client, timeout_s=20)

    @pytest.fixture
    async def another(self, redis_url: str) -> AsyncIterator[RedisUsage]:
        """Another process on the same server."""
        async with open_redis(redis_url, timeout_s=10) as client:
            yield RedisUsage(client, timeout_s=20)

    @pytest.fixture
    def wait(self) -> Callable[[int], Awaitable[None]]:
        """Waits: at least so long passes at the server too."""
        return lambda by_us: asyncio.sleep(by_us / 1_000_000)
