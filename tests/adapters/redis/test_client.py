"""The client: lazy, and quick to give up."""

import asyncio
from typing import Any

import pytest

from billing_adapters.redis.client import is_up, open_redis
from billing_adapters.settings import InvalidConfiguration

DEADLINE_S = 30.0


class TestIsUp:
    async def test_tells_up_from_stopped_and_silent(self, server: Any) -> None:
        """Stopped, frozen and running again are told apart by the same client."""
        async with open_redis(server.url) as client, asyncio.timeout(DEADLINE_S):
            seen = [await is_up(client)]
            await server.freeze()
            seen.append(await is_up(client))
            await server.start()
            seen.append(await is_up(client))
            await server.stop()
            seen.append(await is_up(client))
            await server.start()
            seen.append(await is_up(client))

        assert seen == [True, False, True, False, True]

    async def test_opens_while_redis_is_away(self, server: Any) -> None:
        """A client that is opened before Redis runs works as soon as it does."""
        await server.stop()

        async with open_redis(server.url) as client:
            before = await is_up(client)
            await server.start()
            after = await is_up(client)

        assert (before, after) == (False, True)

    async def test_asks_a_silent_redis_once(self) -> None:
        """A command that is not answered is not tried again and again."""
        asked: list[asyncio.StreamWriter] = []

        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(writer)

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        async with open_redis(f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}/0") as client:
            up = await is_up(client)

        for writer in asked:
            writer.close()
        silent.close()
        assert (up, len(asked)) == (False, 1)


class TestOpenRedis:
    @pytest.mark.parametrize(
        "url", ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port", "redis://:half/other@h"]
    )
    async def test_refuses_a_url_that_can_never_work(self, url: str) -> None:
        """A URL that is none of Redis is refused when opening, and no part of it is told: it may be the password's."""
        with pytest.raises(InvalidConfiguration) as refused:
            async with open_redis(url):
                pass

        assert not any(part in str(refused.value) for part in ("half", "other", "port"))
