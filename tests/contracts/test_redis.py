"""Redis keeps the contract of the replay cache."""

from collections.abc import AsyncIterator

import pytest

from billing_adapters.redis.client import open_redis
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_core.testing.contracts import ReplayCacheContract


class TestRedisReplayCache(ReplayCacheContract):
    """On a real server, with the patience of a test machine."""

    @pytest.fixture
    async def replay_cache(self, redis_url: str) -> AsyncIterator[RedisReplayCache]:
        """A cache with nothing in it."""
        async with open_redis(redis_url, timeout_s=10) as client:
            yield RedisReplayCache(client, timeout_s=20)
