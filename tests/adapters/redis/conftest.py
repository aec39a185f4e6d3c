"""A Valkey of this module's own, because tests here stop and freeze it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from anyio import to_thread

from billing_adapters.embedded import EmbeddedServers


class RedisServer:
    """A server that can be taken away and given back."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self.url = servers.urls.redis or ""

    async def stop(self) -> None:
        """This will stop it; what it remembered is gone."""
        await to_thread.run_sync(self._servers.stop_server, "redis")

    async def start(self) -> None:
        """This will have it running, whatever a test did."""
        if "redis" in self._servers.pids():
            await to_thread.run_sync(self._servers.resume_server, "redis")
        await to_thread.run_sync(self._servers.start_server, "redis")

    async def freeze(self) -> None:
        """This will make it accept everything and answer nothing."""
        await to_thread.run_sync(self._servers.pause_server, "redis")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """redis-py knows asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A Valkey for the module."""
    with EmbeddedServers(tmp_path_factory.mktemp("redis"), durable=False, which=frozenset({"redis"})) as running:
        yield running


@pytest.fixture
async def server(own_servers: EmbeddedServers) -> AsyncIterator[RedisServer]:
    """The module's server, running."""
    server = RedisServer(own_servers)
    await server.start()
    yield server
    await server.start()
