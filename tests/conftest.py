"""The real servers, for the tests that ask for them.

Nothing of ours but the core's own test kit may be needed to run `tests/core`, so every import of an adapter stands
inside the fixture that wants it.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest

if TYPE_CHECKING:
    import asyncpg

    from billing_adapters.embedded import EmbeddedServers
    from billing_adapters.nats.connection import NatsConnection
    from billing_adapters.postgres.database import Database
    from tests.nats_cluster import NatsCluster
    from tests.redis_ensembles import AnyRedis

DEADLINE_S = 60
WaitFor = Callable[[Coroutine[Any, Any, Any]], Any]
_numbers = itertools.count(1)


# What takes longest begins first, so that no process is left alone with it at the end.
LONGEST = ("tests/faults/simulation/", "tests/faults/chaos/", "tests/faults/drills/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """This will put the longest tests first; within them and the others the order stays random."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((number for number, part in enumerate(LONGEST) if part in path), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncpg and nats-py know asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def _servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def servers(_servers_folder: Path) -> "Iterator[EmbeddedServers]":
    """PostgreSQL, Valkey and NATS for the whole run of this test process. Who stops one starts it again."""
    from billing_adapters.embedded import EmbeddedServers

    with EmbeddedServers(_servers_folder, durable=False) as running:
        yield running


@pytest.fixture(scope="session")
def _wait_for() -> Iterator[WaitFor]:
    """Runs a coroutine to its end on a loop of its own: where a fixture runs, another loop may be running already
    (the test's, Playwright's)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fixtures", daemon=True)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def empty_database_url(servers: "EmbeddedServers", _wait_for: WaitFor) -> Iterator[str]:
    """A database of this test alone, without any schema."""
    url, name = _owner_url(servers), f"empty_{next(_numbers)}"
    _wait_for(_execute(url, f"create database {name} template template0 strategy wal_log"))
    yield _of_database(url, name)
    _wait_for(_execute(url, f"drop database {name} with (force)"))


@pytest.fixture(scope="session")
def _tidied(servers: "EmbeddedServers", _wait_for: WaitFor) -> "Iterator[_TidiedDatabase]":
    """The one database with the newest schema that tests use one after the other."""
    url, name = _owner_url(servers), "billing_tests"
    _wait_for(_execute(url, f"create database {name} template template0 strategy wal_log"))
    tidied = _TidiedDatabase(_of_database(url, name))
    _wait_for(tidied.upgrade())
    yield tidied
    _wait_for(tidied.close())


@pytest.fixture
def database_url(_tidied: "_TidiedDatabase", _wait_for: WaitFor) -> str:
    """A database with the newest schema, without rows and without sessions of the test before."""
    _wait_for(_tidied.tidy())
    return _tidied.url


@pytest.fixture
async def database(database_url: str) -> "AsyncIterator[Database]":
    """A database of this test alone, open."""
    from billing_adapters.postgres.database import open_database
    from billing_adapters.postgres.patience import PATIENT

    async with open_database(
        database_url, pool_size=10, application_name="tests", patience=PATIENT, every_merchant=True
    ) as opened:
        yield opened


@pytest.fixture
def redis_url(servers: "EmbeddedServers") -> str:
    """Valkey with nothing in it."""
    import redis

    url = servers.urls.redis
    assert url is not None
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="session")
def redises(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[AnyRedis]":
    """A Redis of every kind: one server, one behind sentinels, a cluster; each started when it is first asked for."""
    from tests.redis_ensembles import running_redises

    with running_redises(tmp_path_factory.mktemp("redises")) as running:
        yield running


@pytest.fixture
def nats_url(servers: "EmbeddedServers", _servers_folder: Path, _wait_for: WaitFor) -> str:
    """NATS with JetStream and without any stream."""
    url = servers.urls.nats
    assert url is not None
    _wait_for(_delete_streams(url))
    _wait_until_cleared(_servers_folder / "nats")
    return url


@pytest.fixture(scope="session")
def _cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[EmbeddedServers]":
    from tests.nats_cluster import cluster_servers

    with cluster_servers(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def nats_cluster(_cluster_servers: "EmbeddedServers") -> "NatsCluster":
    """Three NATS servers, all of them running, and without any stream."""
    from tests.nats_cluster import NatsCluster

    cluster = NatsCluster(_cluster_servers)
    await cluster.mend()
    return cluster


@pytest.fixture
async def watcher(database_url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """A session beside those of the processes under test."""
    import asyncpg

    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def broker(nats_url: str) -> "AsyncIterator[NatsConnection]":
    """NATS with every stream and consumer."""
    from billing_adapters.nats.connection import open_nats
    from billing_adapters.nats.streams import ensure_consumers, ensure_streams

    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, manage_all=True)
        await ensure_consumers(connection)
        yield connection


class _TidiedDatabase:
    """A database whose rows are deleted between tests: cheaper than a new one, twenty times over."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: asyncpg.Connection | None = None

    async def upgrade(self) -> None:
        from billing_adapters.postgres import migrations

        await migrations.upgrade(self.url)

    async def tidy(self) -> None:
        import asyncpg

        from billing_adapters.postgres.tables import metadata

        if self._connection is None or self._connection.is_closed():  # a test may have restarted the server
            self._connection = await asyncpg.connect(self.url)
        await self._connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        deletes = [str(table.delete()) for table in reversed(metadata.sorted_tables)]
        await self._connection.execute("; ".join(deletes))

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


def _owner_url(servers: "EmbeddedServers") -> str:
    url = servers.urls.postgres
    assert url is not None
    return url


def _of_database(url: str, name: str) -> str:
    # The embedded server speaks no TLS; asking for it first costs every connection a round trip and a context.
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}", query="sslmode=disable"))


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _wait_until_cleared(store: Path) -> None:
    """NATS clears deleted streams away after it has said so, and refuses a stream whose folder is still going."""
    deadline_s = time.monotonic() + DEADLINE_S
    while any(store.glob("jetstream/*/streams/*")):
        assert time.monotonic() < deadline_s, f"NATS keeps {list(store.glob('jetstream/*/streams/*'))}"
        time.sleep(0.01)


async def _delete_streams(url: str) -> None:
    import nats

    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(stream.config.name or "")
    finally:
        await client.close()
