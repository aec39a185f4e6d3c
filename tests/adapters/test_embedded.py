"""The embedded servers: they keep what they acknowledged, and stay on loopback."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
import redis.asyncio
from anyio import to_thread
from nats.aio.client import Client
from tests.adapters.embedding import (
    DEADLINE_S,
    connects,
    family,
    fetch_row,
    ignore,
    is_alive,
    ports,
    present,
    read_everywhere,
    wait_until,
    without_password,
    write_everywhere,
)

from billing_adapters.embedded import ALL_SERVERS, EmbeddedServers, EmbeddedServersError, ServerUrls

NAMES = sorted(ALL_SERVERS)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """asyncpg and nats-py know asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Durable servers for the whole module, in a folder with spaces and a quote in its name."""
    with EmbeddedServers(tmp_path_factory.mktemp('a "data" folder')) as running:
        yield running


class TestRoundTrip:
    async def test_all_three_keep_what_they_are_given(self, servers: EmbeddedServers) -> None:
        """What is written through the URLs is read back through them."""
        await write_everywhere(servers.urls, "round-trip")

        assert await read_everywhere(servers.urls, "round-trip") == dict.fromkeys(NAMES, "round-trip")

    async def test_restart_keeps_data_and_urls(self, servers: EmbeddedServers) -> None:
        """After a stop and a start of the same folder, the URLs are the same and lead to the same data."""
        before = servers.urls
        await write_everywhere(before, "restart")

        servers.stop()
        after = servers.start()

        assert before == after
        assert await read_everywhere(after, "restart") == dict.fromkeys(NAMES, "restart")

    def test_servers_not_asked_for_have_no_url(self, tmp_path: Path) -> None:
        """Only the servers asked for are started, and the URLs of the others are None."""
        with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"})) as alone:
            assert alone.pids().keys() == {"supervisor", "redis"}
            assert (alone.urls.postgres, alone.urls.postgres_admin, alone.urls.nats) == (None, None, None)
            assert alone.urls.redis is not None


class TestAccess:
    async def test_owner_is_no_superuser_and_may_create_databases(self, servers: EmbeddedServers) -> None:
        """The role that is handed out owns its database and may create others, but is no superuser."""
        row = await fetch_row(servers.urls.postgres, "select * from pg_roles where rolname = current_user")
        owner = await fetch_row(
            servers.urls.postgres,
            "select pg_get_userbyid(datdba) as name from pg_database where datname = current_database()",
        )

        assert (row["rolname"], row["rolsuper"], row["rolcreatedb"]) == ("billing", False, True)
        assert owner["name"] == "billing"

    async def test_admin_is_superuser_of_the_same_database(self, servers: EmbeddedServers) -> None:
        """The admin URL leads to the same database as a superuser."""
        row = await fetch_row(
            servers.urls.postgres_admin,
            "select current_database() as name, rolsuper from pg_roles where rolname = current_user",
        )

        assert (row["name"], row["rolsuper"]) == ("billing", True)

    async def test_durable_servers_sync(self, servers: EmbeddedServers) -> None:
        """Durable servers sync to disk, and two hundred sessions are allowed."""
        row = await fetch_row(
            servers.urls.postgres,
            "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit, "
            "current_setting('max_connections') as sessions",
        )

        assert (row["fsync"], row["commit"], row["sessions"]) == ("on", "on", "200")

    async def test_without_password_nobody_gets_in(self, servers: EmbeddedServers) -> None:
        """Each server refuses a client that does not know its password or token."""
        urls = {name: without_password(url) for name, url in present(servers.urls).items()}

        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(urls["postgres"], password="wrong")
        async with redis.asyncio.from_url(urls["redis"]) as client:
            with pytest.raises(redis.AuthenticationError):
                await client.ping()
        messaging = Client()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await messaging.connect(urls["nats"], allow_reconnect=False, error_cb=ignore)
        await messaging.close()  # nats-py leaves the refused connection open

    def test_only_loopback_is_bound(self, servers: EmbeddedServers) -> None:
        """No process of the servers listens anywhere but on 127.0.0.1, and each server on one port."""
        listening = [
            connection.laddr
            for process in family(servers.pids()["supervisor"])
            for connection in process.net_connections(kind="all")
            if connection.status == psutil.CONN_LISTEN
        ]

        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert sorted({address.port for address in listening}) == sorted(ports(servers.urls).values())

    def test_passwords_are_closed_to_others(self, servers: EmbeddedServers) -> None:
        """No command line shows a password, and only the owner can read the files that hold them."""
        commands = " ".join(" ".join(p.cmdline()) for p in family(servers.pids()["supervisor"]))
        files = [servers.data / "access.json", *(servers.data / "conf").iterdir()]

        assert not [
            password for password in json.loads(files[0].read_text())["passwords"].values() if password in commands
        ]
        assert {file.stat().st_mode & 0o077 for file in files} == {0}


class TestOneOwner:
    def test_second_opener_is_refused(self, servers: EmbeddedServers) -> None:
        """A folder in use is refused, naming the process that has it, and its owner is not disturbed."""
        pids = servers.pids()

        with pytest.raises(EmbeddedServersError, match=f"in use by supervisor process {pids['supervisor']}$"):
            EmbeddedServers(servers.data).start()

        assert pids == servers.pids()

    def test_unknown_server_is_refused(self, servers: EmbeddedServers, tmp_path: Path) -> None:
        """A name that is none of the servers is refused where it is given."""
        with pytest.raises(EmbeddedServersError, match="mysql"):
            EmbeddedServers(tmp_path, which=frozenset({"mysql"}))
        with pytest.raises(EmbeddedServersError, match="mysql"):
            servers.stop_server("mysql")

    def test_told_program_that_is_missing_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that the environment names and that is not there is an error, not a reason to guess."""
        monkeypatch.setenv("BILLING_EMBEDDED_NATS", "/nowhere/nats-server")

        with pytest.raises(EmbeddedServersError, match="BILLING_EMBEDDED_NATS names no file: /nowhere"):
            EmbeddedServers(tmp_path).start()

    def test_taken_port_is_replaced(self, tmp_path: Path) -> None:
        """When another program took a port between two starts, the server gets another one."""
        only = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}))
        with only:
            kept = ports(only.urls)["redis"]

        with socket.create_server(("127.0.0.1", kept)), only:
            assert ports(only.urls)["redis"] != kept


class TestOutages:
    @pytest.mark.parametrize("name", NAMES)
    async def test_one_server_stops_and_comes_back_where_it_was(self, servers: EmbeddedServers, name: str) -> None:
        """A server stopped and started alone has its data and its URL again, and the others never noticed."""
        value = f"stopped-{name}"
        await write_everywhere(servers.urls, value)
        others = {other: pid for other, pid in servers.pids().items() if other != name}

        servers.stop_server(name)
        while_stopped = servers.pids()
        refused = connects(ports(servers.urls)[name])
        servers.start_server(name)

        assert (others, False) == (while_stopped, refused)
        assert others.items() <= servers.pids().items()
        assert await read_everywhere(servers.urls, value) == dict.fromkeys(NAMES, value)

    @pytest.mark.parametrize("name", NAMES)
    async def test_killed_server_keeps_what_it_acknowledged(self, servers: EmbeddedServers, name: str) -> None:
        """A durable server killed right after an acknowledgement has the data when it is started again."""
        value = f"killed-{name}"
        await write_everywhere(servers.urls, value)

        servers.kill_server(name)
        servers.start_server(name)

        assert await read_everywhere(servers.urls, value) == dict.fromkeys(NAMES, value)
        assert servers.exited() == {}

    async def test_unasked_death_is_told_and_the_others_live_on(self, servers: EmbeddedServers) -> None:
        """A server that dies by itself is reported with its exit code and logged, and can be started again."""
        pids = servers.pids()

        os.kill(pids.pop("postgres"), signal.SIGKILL)
        wait_until(lambda: servers.exited() == {"postgres": -signal.SIGKILL})

        assert pids == servers.pids()
        assert "postgres" in (servers.data / "log" / "supervisor.log").read_text().splitlines()[-1]
        servers.start_server("postgres")
        assert servers.exited() == {}
        assert (await fetch_row(servers.urls.postgres, "select 1 as one"))["one"] == 1

    async def test_dead_server_comes_back_though_a_session_was_busy(self, servers: EmbeddedServers) -> None:
        """Sessions busy with a query do not outlive their server and keep it from coming back."""
        busy = await asyncpg.connect(servers.urls.postgres)
        session = psutil.Process(busy.get_server_pid())
        query = asyncio.create_task(busy.execute("do 'begin loop end loop; end'"))
        await to_thread.run_sync(wait_until, lambda: session.cpu_times().user > 0.05)

        os.kill(servers.pids()["postgres"], signal.SIGKILL)
        wait_until(lambda: "postgres" in servers.exited())
        servers.start_server("postgres")

        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await query
        assert not is_alive(session.pid)

    async def test_paused_server_hangs_until_it_is_resumed(self, servers: EmbeddedServers) -> None:
        """A paused server accepts a connection and does not answer; resumed, it answers."""
        url = present(servers.urls)["redis"]
        servers.pause_server("redis")
        try:
            async with redis.asyncio.from_url(url, socket_timeout=0.2, retry=None) as client:
                with pytest.raises(redis.TimeoutError):
                    await client.ping()
        finally:
            servers.resume_server("redis")

        async with redis.asyncio.from_url(url) as client:
            assert await client.ping()

    def test_killing_what_does_not_run_is_refused(self, servers: EmbeddedServers) -> None:
        """Only a running server can be killed; stopping a stopped one changes nothing."""
        servers.stop_server("nats")
        servers.stop_server("nats")
        try:
            with pytest.raises(EmbeddedServersError, match="nats is not running"):
                servers.kill_server("nats")
        finally:
            servers.start_server("nats")


def test_up_prints_the_urls_and_runs_until_interrupted(tmp_path: Path) -> None:
    """`up` prints the URLs as one line of JSON, serves until Ctrl-C and then leaves no server."""
    command = [sys.executable, "-m", "billing_adapters.embedded", "up", str(tmp_path), "--fast"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        urls = ServerUrls(**json.loads(up.stdout.readline()))
        answered = [connects(port) for port in ports(urls).values()]

        up.send_signal(signal.SIGINT)

        assert (up.wait(DEADLINE_S), answered) == (0, [True, True, True])
    assert not [port for port in ports(urls).values() if connects(port)]
