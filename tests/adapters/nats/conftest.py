"""A NATS server of this module's own, because tests here stop it, freeze it and delete its streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from anyio import to_thread
from nats.js import JetStreamContext

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.nats.connection import NatsConnection, open_nats

DEADLINE_S: Final = 30.0


class NatsServer:
    """A durable server that can be taken away and given back."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self.url = servers.urls.nats or ""

    async def stop(self) -> None:
        """This will stop it in order; clients are cut off."""
        await to_thread.run_sync(self._servers.stop_server, "nats")

    async def start(self) -> None:
        """This will have it running, whatever a test did."""
        if "nats" in self._servers.pids():
            await to_thread.run_sync(self._servers.resume_server, "nats")
        await to_thread.run_sync(self._servers.start_server, "nats")

    async def freeze(self) -> None:
        """This will make it accept everything and answer nothing."""
        await to_thread.run_sync(self._servers.pause_server, "nats")

    async def thaw(self) -> None:
        """This will let it go on."""
        await to_thread.run_sync(self._servers.resume_server, "nats")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """nats-py knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A durable NATS for the module."""
    folder: Path = tmp_path_factory.mktemp("nats")
    with EmbeddedServers(folder, which=frozenset({"nats"})) as running:
        yield running


@pytest.fixture
async def server(own_servers: EmbeddedServers) -> AsyncIterator[NatsServer]:
    """The module's server, running and without any stream."""
    server = NatsServer(own_servers)
    await server.start()
    async with open_nats(server.url, name="clean-up") as connection:
        assert await connection.wait_connected(DEADLINE_S)
        for stream in await connection.jetstream.streams_info():
            await connection.jetstream.delete_stream(str(stream.config.name))
    yield server
    await server.start()


@pytest.fixture
async def connection(server: NatsServer) -> AsyncIterator[NatsConnection]:
    """A connection to the module's server."""
    async with open_nats(server.url, name="test") as connection:
        assert await connection.wait_connected(DEADLINE_S)
        yield connection


@pytest.fixture
def jetstream(connection: NatsConnection) -> JetStreamContext:
    """What another program would use, to look at what ours did."""
    return connection.jetstream


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Asks again and again until the answer is true; fails at the deadline."""

    async def wait(question: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not await question():  # noqa: ASYNC110 - what is asked has no event to wait for
                await asyncio.sleep(0.02)

    return wait
