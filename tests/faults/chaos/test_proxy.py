"""The fault proxy breaks lines in the ways it names, and mends them."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.faults.chaos.proxy import DELAY_S, FaultProxy, Line

SILENCE_S = 0.2
DEADLINE_S = 20.0


@pytest.fixture
async def heard() -> list[bytes]:
    """What the server behind the proxy heard."""
    return []


@pytest.fixture
async def proxy(heard: list[bytes]) -> AsyncIterator[FaultProxy]:
    """A proxy in front of a server that says back whatever it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            heard.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    standing = FaultProxy(server.sockets[0].getsockname()[1])
    await standing.start()
    yield standing
    await standing.stop()
    server.close()
    await server.wait_closed()


class TestFaultProxy:
    async def test_a_sound_line_passes_everything(self, proxy: FaultProxy) -> None:
        """What the client says the server hears, and the other way round, also what is said before it is reached."""
        async with _client(proxy) as client:
            assert await client.ask(b"a" * 100_000) == b"a" * 100_000

    async def test_a_black_hole_is_silence_on_both_sides(self, proxy: FaultProxy, heard: list[bytes]) -> None:
        """The connection stands, nothing arrives anywhere; once it is over the connection is broken."""
        async with _client(proxy) as client:
            await client.ask(b"before")
            proxy.behave(Line.BLACK_HOLE)

            assert await client.hears_nothing_after(b"lost")
            proxy.behave(Line.PASS)

            assert await client.is_broken()
            assert heard == [b"before"]

    async def test_swallowed_replies_were_said(self, proxy: FaultProxy, heard: list[bytes]) -> None:
        """The server does what it is asked, the client never hears of it."""
        async with _client(proxy) as client:
            await client.ask(b"before")
            proxy.behave(Line.SWALLOW_REPLIES)

            assert await client.hears_nothing_after(b"done")
            proxy.behave(Line.PASS)

            assert await client.is_broken()
            assert heard == [b"before", b"done"]

    async def test_a_reset_breaks_what_stands_and_what_comes(self, proxy: FaultProxy) -> None:
        """Old and new connections end at once; after it new ones work."""
        async with _client(proxy) as old:
            await old.ask(b"before")
            proxy.behave(Line.RESET)

            assert await old.is_broken()
        async with _client(proxy) as new:
            assert await new.is_broken()
        proxy.behave(Line.PASS)
        async with _client(proxy) as after:
            assert await after.ask(b"after") == b"after"

    async def test_a_delay_keeps_the_order(self, proxy: FaultProxy) -> None:
        """Everything arrives, whole and in order, and no sooner than the delay of both ways."""
        async with _client(proxy) as client:
            proxy.behave(Line.DELAY)
            asked_at = time.monotonic()
            client.say(b"one ")
            client.say(b"two")

            answer = await client.answer(len(b"one two"))

            assert answer == b"one two"
            assert time.monotonic() - asked_at >= 2 * DELAY_S - 0.01

    async def test_a_server_that_is_not_there_is_a_broken_connection(self) -> None:
        """The proxy pretends nothing: a client of a dead server is not left waiting."""
        dead = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = dead.sockets[0].getsockname()[1]
        dead.close()
        await dead.wait_closed()
        proxy = FaultProxy(port)
        await proxy.start()

        async with _client(proxy) as client:
            broken = await client.is_broken()

        await proxy.stop()
        assert broken

    async def test_who_hangs_up_is_forgotten(self, proxy: FaultProxy) -> None:
        """A client that goes takes its connection to the server with it."""
        async with _client(proxy) as client:
            await client.ask(b"here")
            assert proxy.connections == 1

        async with asyncio.timeout(DEADLINE_S):
            while proxy.connections:  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.01)


class _client:  # noqa: N801 - reads as the act it is
    """A connection to the proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._port = proxy.port

    async def __aenter__(self) -> "_client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def ask(self, data: bytes) -> bytes:
        self.say(data)
        return await self.answer(len(data))

    async def answer(self, length: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.readexactly(length)

    async def hears_nothing_after(self, data: bytes) -> bool:
        self.say(data)
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._reader.readexactly(1)
        except TimeoutError:
            return True
        return False

    async def is_broken(self) -> bool:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._reader.read(1) == b""
        except ConnectionError:
            return True
