"""Commands that are asked for at once go together, and each asker hears its own answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from billing_adapters.redis.client import REDIS_FAILURES, open_redis
from billing_adapters.redis.together import MOST_TOGETHER, CommandsTogether

TIMEOUT_S = 10.0


class CountedPipelines:
    """A client, of which nothing but pipelines is asked; it counts them and what each was given."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.opened: list[Any] = []

    def pipeline(self, *, transaction: bool) -> Any:
        """This will open one."""
        self.opened.append(self._client.pipeline(transaction=transaction))
        return self.opened[-1]


@pytest.fixture
async def client(server: Any) -> AsyncIterator[Redis]:
    """A client of the empty server."""
    async with open_redis(server.url) as client:
        assert isinstance(client, Redis)
        await client.flushall()
        yield client


@pytest.fixture
def counted(client: Redis) -> CountedPipelines:
    """The same client, its pipelines counted."""
    return CountedPipelines(client)


@pytest.fixture
def commands(counted: CountedPipelines) -> CommandsTogether:
    """Commands through it."""
    return CommandsTogether(counted, timeout_s=TIMEOUT_S)  # type: ignore[arg-type]  # all that is asked of it


async def test_what_is_asked_at_once_goes_together(commands: CommandsTogether, counted: CountedPipelines) -> None:
    """As many as one pipeline takes, and each asker hears the answer to its own command."""
    many = MOST_TOGETHER + 3

    await asyncio.gather(*(commands.send("SET", f"key-{each}", each) for each in range(many)))
    told = await asyncio.gather(*(commands.send("GET", f"key-{each}") for each in range(many)))

    assert told == [str(each).encode() for each in range(many)]
    assert len(counted.opened) == 4


async def test_what_is_asked_meanwhile_goes_with_the_next(
    commands: CommandsTogether, counted: CountedPipelines
) -> None:
    """While one pipeline is under way others gather, and there is never a second one beside it."""

    async def later(number: int) -> Any:
        for _ in range(number):
            await asyncio.sleep(0)
        return await commands.send("INCR", "counter")

    told = await asyncio.gather(*(later(number) for number in range(20)))

    assert sorted(told) == list(range(1, 21))
    assert len(counted.opened) < 20


async def test_one_commands_error_is_its_own(commands: CommandsTogether) -> None:
    """The others in its pipeline are answered."""
    await commands.send("RPUSH", "list", 1)

    told = await asyncio.gather(*(commands.send(each, "list") for each in ("GET", "LLEN")), return_exceptions=True)

    assert isinstance(told[0], ResponseError)
    assert told[1] == 1


async def test_whoever_stops_waiting_stops_nobody_else(commands: CommandsTogether) -> None:
    """Its command is sent all the same."""
    impatient = asyncio.ensure_future(commands.send("SET", "key", "value"))
    patient = commands.send("GET", "key")
    impatient.cancel()

    assert await patient == b"value"


async def test_an_outage_is_told_to_everybody_who_waits(commands: CommandsTogether, server: Any) -> None:
    """Also to those who wait for the pipeline after; and afterwards commands are answered again."""
    await server.stop()

    told = await asyncio.gather(
        *(commands.send("GET", "key") for _ in range(MOST_TOGETHER + 3)), return_exceptions=True
    )
    await server.start()

    assert all(isinstance(each, REDIS_FAILURES) for each in told)
    assert await commands.send("SET", "key", "value")


async def test_what_nobody_foresaw_is_told_to_everybody_who_waits(client: Redis) -> None:
    """It looks like the fault it is and not as if the askers had been cancelled, which ends loops in silence; and the
    next command is sent as if nothing was."""

    class Falling(CountedPipelines):
        def pipeline(self, *, transaction: bool) -> Any:
            if not self.opened:
                self.opened.append(None)
                raise RuntimeError("nobody foresaw this")
            return super().pipeline(transaction=transaction)

    commands = CommandsTogether(Falling(client), timeout_s=TIMEOUT_S)  # type: ignore[arg-type]  # all that is asked
    waiting = [asyncio.ensure_future(commands.send("GET", "key")) for _ in range(3)]

    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(each) for each in told] == ["nobody foresaw this"] * 3
    assert await commands.send("SET", "key", "value")


async def test_nobody_waits_for_ever_where_sending_is_cancelled(commands: CommandsTogether) -> None:
    """At the end of the process, whoever still waits is cancelled, too."""
    waiting = [asyncio.ensure_future(commands.send("GET", "key")) for _ in range(MOST_TOGETHER + 3)]
    assert commands._sending is not None
    await asyncio.sleep(0)
    commands._sending.cancel()

    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(each, asyncio.CancelledError) for each in told)
