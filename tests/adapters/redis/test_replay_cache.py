"""The replay cache: right or silent, and cheap when Redis is away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from billing_adapters.redis.client import open_redis
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_core.domain.idempotency import Answer, RequestKey
from billing_core.ports.idempotency import RememberedAnswer

DEADLINE_S = 30.0


@pytest.fixture
async def client(server: Any) -> AsyncIterator[Redis]:
    """A client of the empty server."""
    async with open_redis(server.url) as client:
        assert isinstance(client, Redis)
        await client.flushall()
        yield client


class TestRemembering:
    @pytest.mark.parametrize("document", [b"", b"{}", b'{"a":1}\n\n[]', b"\x00\xff", b"x" * 100_000])
    async def test_gives_back_what_it_was_given(self, client: Redis, document: bytes) -> None:
        """An answer comes back byte for byte, whatever is in it."""
        cache, remembered = RedisReplayCache(client), an_answer(document, fingerprint='f"\n', outcome="créé\n")

        await cache.put(a_key(), remembered)

        assert await cache.get(a_key()) == remembered

    async def test_knows_nothing_of_a_new_key(self, client: Redis) -> None:
        """A key that was not used has no answer."""
        assert await RedisReplayCache(client).get(a_key()) is None

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("m", "r", "k"), ("m2", "r", "k")),
            (("m", "r", "k"), ("m", "r2", "k")),
            (("m", "r", "k"), ("m", "r", "k2")),
            (("ab", "c", "k"), ("a", "bc", "k")),
            (("m", "r|k", ""), ("m", "r", "|k")),
            (("m", 'r","k', "x"), ("m", "r", 'k","x')),
        ],
    )
    async def test_keys_never_run_together(
        self, client: Redis, one: tuple[str, str, str], other: tuple[str, str, str]
    ) -> None:
        """The same text at another border between merchant, route and key is another key."""
        cache = RedisReplayCache(client)

        await cache.put(a_key(*one), an_answer())

        assert await cache.get(a_key(*other)) is None

    async def test_key_is_not_readable(self, client: Redis) -> None:
        """A client's key stands nowhere in Redis."""
        await RedisReplayCache(client).put(a_key(key="secret-of-the-client"), an_answer())

        (name,) = await client.keys("*")

        assert b"secret" not in name

    async def test_forgets_after_24_hours(self, client: Redis) -> None:
        """An answer is kept for a day and no longer."""
        await RedisReplayCache(client).put(a_key(), an_answer())

        (name,) = await client.keys("*")

        assert 86_000 < await client.ttl(name) <= 86_400

    async def test_forgets_when_its_time_is_over(self, client: Redis) -> None:
        """An answer whose time is over is gone."""
        cache = RedisReplayCache(client, remembered_for=timedelta(milliseconds=1))
        await cache.put(a_key(), an_answer())

        async with asyncio.timeout(DEADLINE_S):
            while await cache.get(a_key()):  # noqa: ASYNC110 - Redis has no event for it
                await asyncio.sleep(0.01)

    async def test_damaged_value_is_no_answer(self, client: Redis) -> None:
        """Whatever byte of a remembered answer was changed, cut or added, it is not given out."""
        cache = RedisReplayCache(client)
        await cache.put(a_key(), an_answer(b'{"id":"1"}'))
        (name,) = await client.keys("*")
        whole = await client.get(name)
        assert isinstance(whole, bytes)
        flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
        cut = [whole[:length] for length in range(len(whole))]

        for damaged in [*flipped, *cut, whole + b" ", b"null", b"2" + whole[1:]]:
            await client.set(name, damaged)
            assert await cache.get(a_key()) is None

        await client.set(name, whole)
        assert await cache.get(a_key()) == an_answer(b'{"id":"1"}')

    async def test_value_of_another_kind_is_no_answer(self, client: Redis) -> None:
        """A value that is no text at all (somebody else's) is no answer and no error."""
        cache = RedisReplayCache(client)
        await cache.put(a_key(), an_answer())
        (name,) = await client.keys("*")
        await client.delete(name)
        await client.lpush(name, b"list")

        assert await cache.get(a_key()) is None


class TestOutages:
    async def test_away_it_knows_nothing_and_back_it_remembers(self, server: Any, client: Redis) -> None:
        """While Redis is stopped nothing is raised; started again, the same cache works."""
        cache = RedisReplayCache(client)
        await server.stop()

        await cache.put(a_key(), an_answer())
        away = await cache.get(a_key())
        await server.start()

        assert away is None
        assert await remembered_again(cache) == an_answer()

    async def test_silent_redis_is_not_waited_for(self, server: Any, client: Redis) -> None:
        """A Redis that takes everything and answers nothing counts as away, and then comes back."""
        cache = RedisReplayCache(client)
        await cache.put(a_key(), an_answer())
        await server.freeze()

        async with asyncio.timeout(DEADLINE_S):
            frozen = [await cache.get(a_key()) for _ in range(100)]
        await server.start()

        assert set(frozen) == {None}
        assert await remembered_again(cache) == an_answer()

    async def test_outage_costs_one_request_not_each(self) -> None:
        """While Redis does not answer, most requests do not even ask it."""
        asked: list[asyncio.StreamWriter] = []

        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(writer)

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        async with open_redis(f"redis://127.0.0.1:{port}/0") as client:
            cache = RedisReplayCache(client)
            await cache.get(a_key())

            for _ in range(20):  # one after the other: at once, the pool alone would keep most of them away
                await cache.get(a_key())

        for writer in asked:
            writer.close()
        silent.close()
        assert len(asked) < 10

    async def test_outage_is_logged_once(self, server: Any, client: Redis) -> None:
        """An outage is one warning, not one for each request."""
        cache = RedisReplayCache(client)
        await server.stop()

        with capture_logs() as logs:
            for _ in range(50):
                await cache.get(a_key())

        assert [each["log_level"] for each in logs] == ["warning"]

    async def test_full_redis_is_no_error(self, client: Redis) -> None:
        """A Redis that takes no more writes is missed, not obeyed."""
        cache = RedisReplayCache(client)
        await client.config_set("maxmemory", "1")

        try:
            await cache.put(a_key(), an_answer())
        finally:
            await client.config_set("maxmemory", "0")

        assert await client.keys("*") == []

    async def test_wrong_password_is_no_error(self, server: Any) -> None:
        """A Redis that does not let us in is an outage like others."""
        place = server.url.rpartition("@")[2]
        async with open_redis(f"redis://:wrong@{place}") as client:
            assert await RedisReplayCache(client).get(a_key()) is None


async def remembered_again(cache: RedisReplayCache) -> RememberedAnswer | None:
    """What the cache gives back once it works again."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await cache.put(a_key(), an_answer())
            if (found := await cache.get(a_key())) is not None:
                return found
            await asyncio.sleep(0.05)


def a_key(merchant_id: str = "m", route: str = "POST /trials", key: str = "k") -> RequestKey:
    """An idempotency key."""
    return RequestKey(merchant_id=merchant_id, route=route, key=key)


def an_answer(document: bytes = b"{}", *, fingerprint: str = "f", outcome: str = "created") -> RememberedAnswer:
    """A finished answer."""
    return RememberedAnswer(fingerprint=fingerprint, answer=Answer(outcome=outcome, document=document))
