"""Where contestants stand: real, durable servers, the same for each, with nothing of another's on them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from billing_adapters.embedded import EmbeddedServers, ServerUrls
from billing_adapters.postgres import migrations
from billing_cli.local_service import clean_environment
from billing_cli.processes import AppProcess

ROOT = Path(__file__).parents[1]
TEMPLATE = "bench_template"
REDIS_DATABASES = 16
# The share of the machine's memory that PostgreSQL's manual (§19.4.1) advises as `shared_buffers`; its own default of
# 128 MB is for the smallest machine there is.
BUFFERS_SHARE = 1 / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One contestant's own: a migrated and empty database, a NATS server, a Redis database and a folder.
    `quick` asks for small amounts of everything."""

    name: str
    folder: Path
    urls: ServerUrls
    quick: bool

    async def checkpoint(self) -> None:
        """This will have Postgres write down what waits in memory now, so that nobody pays for it in a round."""
        connection = await asyncpg.connect(self.urls.postgres_admin)
        try:
            await connection.execute("checkpoint")
        finally:
            await connection.close()

    @asynccontextmanager
    async def running(self, module: str, environment: Mapping[str, str]) -> AsyncIterator[AppProcess]:
        """This will run `python -m MODULE` until the block ends; it logs to a file of this folder. Whoever starts it
        waits until it is ready. Raises RuntimeError where it ended before the block did."""
        whole = {**clean_environment(), "PYTHONPATH": str(ROOT), **environment}
        log = self.folder / f"{module}.log"
        process = AppProcess(module, module, environment=whole, folder=self.folder, log=log)
        process.start()
        try:
            yield process
            if process.exit_code is not None:
                raise RuntimeError(f"{module} ended with {process.exit_code}: {process.last_words()}")
        finally:
            process.ask_to_stop()
            await asyncio.to_thread(process.wait_until_stopped)


class Theatre:
    """The servers of a whole run; gives each contestant a stage of its own."""

    def __init__(self, folder: Path, urls: ServerUrls, *, quick: bool) -> None:
        self._folder, self._urls, self._quick = folder, urls, quick
        self._numbers = count(1)

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[Stage]:
        """This will make a stage, and clear it away when the block ends."""
        number = next(self._numbers)
        database = f"bench_{number}"
        folder = self._folder / f"{number}-{name.replace(' ', '-')}"
        folder.mkdir()
        await self._command(f"create database {database} template {TEMPLATE} strategy wal_log")
        nats = EmbeddedServers(folder / "servers", durable=True, which=frozenset({"nats"}))
        try:
            its_own = await asyncio.to_thread(nats.start)
            urls = replace(
                self._urls,
                postgres=_with_path(self._urls.postgres, database),
                postgres_admin=_with_path(self._urls.postgres_admin, database),
                redis=_with_path(self._urls.redis, str(number % REDIS_DATABASES)),
                nats=its_own.nats,
            )
            yield Stage(name=name, folder=folder, urls=urls, quick=self._quick)
        finally:
            await asyncio.to_thread(nats.stop)
            if not self._quick:  # which takes a checkpoint; small ones may stay until the run is over
                await self._command_as_admin(f"drop database {database} with (force)")  # vacuuming may be under way

    async def give_memory(self) -> None:
        """This will have Postgres use its share of the machine's memory from its next start on."""
        megabytes = int(psutil.virtual_memory().total * BUFFERS_SHARE / 2**20)
        await self._command_as_admin(f"alter system set shared_buffers = '{megabytes}MB'")

    async def raise_template(self) -> None:
        """This will make the database that the stages' databases are copies of."""
        await self._command(f"create database {TEMPLATE}")
        await migrations.upgrade(_with_path(self._urls.postgres, TEMPLATE))

    async def _command(self, text: str) -> None:
        await _execute(self._urls.postgres, text)

    async def _command_as_admin(self, text: str) -> None:
        await _execute(self._urls.postgres_admin, text)


@asynccontextmanager
async def open_theatre(folder: Path, *, quick: bool) -> AsyncIterator[Theatre]:
    """This will start Postgres (with `fsync`) and Redis, until the block ends."""
    servers = EmbeddedServers(folder / "servers", durable=True, which=frozenset({"postgres", "redis"}))
    try:
        theatre = Theatre(folder, await asyncio.to_thread(servers.start), quick=quick)
        await theatre.give_memory()
        await asyncio.to_thread(servers.stop_server, "postgres")
        await asyncio.to_thread(servers.start_server, "postgres")
        await theatre.raise_template()
        yield theatre
    finally:
        await asyncio.to_thread(servers.stop)


async def _execute(url: str | None, text: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
    finally:
        await connection.close()


def _with_path(url: str | None, path: str) -> str:
    return urlunsplit(urlsplit(str(url))._replace(path=f"/{path}"))
