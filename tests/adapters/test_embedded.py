"""The embedded servers: they keep what they acknowledged, stay on loopback, and never outlive their owner."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
import redis.asyncio
from anyio import to_thread
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from billing_adapters.embedded import ALL_SERVERS, EmbeddedServers, EmbeddedServersError, ServerUrls

DEADLINE_S = 20.0
NAMES = sorted(ALL_SERVERS)
OWNER = """
import sys, json, pathlib
from billing_adapters.embedded import EmbeddedServers
servers = EmbeddedServers(pathlib.Path(sys.argv[1]), durable=False)
servers.start()
print(json.dumps(servers.pids()), flush=True)
sys.stdin.read()
"""


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


class TestNothingIsLeft:
    def test_stop_leaves_no_process(self, tmp_path: Path) -> None:
        """When `stop` returns, the supervisor and every process below it are gone."""
        stopped = EmbeddedServers(tmp_path, durable=False)
        stopped.start()
        everything = [process.pid for process in family(stopped.pids()["supervisor"])]

        stopped.stop()

        assert len(everything) > len(NAMES)
        assert not [pid for pid in everything if is_alive(pid)]

    @pytest.mark.parametrize(
        "victim",
        [
            "owner",
            pytest.param(
                "supervisor",
                marks=pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG"),
            ),
        ],
    )
    def test_sigkill_leaves_no_process(self, tmp_path: Path, victim: str) -> None:
        """SIGKILL of the owner, or of the supervisor, ends every process of the servers."""
        with an_owner(tmp_path) as (owner, pids):
            everything = [process.pid for process in family(pids["supervisor"])]

            os.kill(owner.pid if victim == "owner" else pids["supervisor"], signal.SIGKILL)

            wait_until(lambda: not [pid for pid in everything if is_alive(pid)])
        assert len(everything) > len(NAMES)

    @pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG to end the other two")
    def test_orphan_is_ended_by_the_next_start(self, tmp_path: Path) -> None:
        """A server that outlived its supervisor is ended by the next start of the folder."""
        first = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}))
        first.start()
        orphan, supervisor = first.pids()["redis"], first.pids()["supervisor"]
        first.pause_server("redis")  # frozen, it cannot follow its supervisor
        os.kill(supervisor, signal.SIGKILL)
        first.stop()
        assert is_alive(orphan)

        with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"})):
            assert not is_alive(orphan)

    def test_recorded_number_of_another_program_is_left_alone(self, tmp_path: Path) -> None:
        """A recorded process id that now belongs to another program is not touched."""
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            (tmp_path / "processes.json").write_text(json.dumps({"redis": [stranger.pid, signal.SIGTERM]}))

            with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"})):
                assert stranger.poll() is None

            stranger.communicate(b"\n")

    def test_lost_supervisor_is_an_error_that_names_its_log(self, tmp_path: Path) -> None:
        """Asking servers whose supervisor is gone raises, and says which log to read."""
        lost = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}))
        lost.start()
        os.kill(lost.pids()["supervisor"], signal.SIGKILL)

        with pytest.raises(EmbeddedServersError, match=r"supervisor\.log"):
            wait_until(lambda: not lost.exited() and False)
        lost.stop()


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


async def write_everywhere(urls: ServerUrls, value: str) -> None:
    """This will write the value to each server and return when each has acknowledged it."""
    url = present(urls)
    connection = await asyncpg.connect(url["postgres"])
    await connection.execute("create table if not exists kept (value text)")
    await connection.execute("insert into kept values ($1)", value)
    await connection.close()
    async with redis.asyncio.from_url(url["redis"]) as client:
        await client.set(value, value)
    messaging = await nats.connect(url["nats"])
    stream = messaging.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish(f"kept.{value}", value.encode())
    await messaging.close()


async def read_everywhere(urls: ServerUrls, value: str) -> dict[str, str | None]:
    """This will return what each server has of the value."""
    url = present(urls)
    row = await fetch_row(url["postgres"], "select max(value) as value from kept where value = $1", value)
    async with redis.asyncio.from_url(url["redis"], decode_responses=True) as client:
        found = await client.get(value)
    messaging = await nats.connect(url["nats"])
    message = None
    with contextlib.suppress(NotFoundError):  # the assertion shows the None
        message = await messaging.jetstream().get_last_msg("KEPT", f"kept.{value}")
    await messaging.close()
    return {
        "postgres": row["value"],
        "redis": found,
        "nats": message.data.decode() if message and message.data else None,
    }


async def fetch_row(url: str | None, query: str, *arguments: object) -> asyncpg.Record:
    """This will return the only row of a query, asked over a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(query, *arguments)
    finally:
        await connection.close()


async def ignore(_error: Exception) -> None:
    """This will drop an error that nats-py would print besides raising it."""


def present(urls: ServerUrls) -> dict[str, str]:
    """This will return the URLs by server name, which must all be there."""
    assert urls.postgres
    assert urls.redis
    assert urls.nats
    return {"postgres": urls.postgres, "redis": urls.redis, "nats": urls.nats}


def ports(urls: ServerUrls) -> dict[str, int]:
    """This will return the port of each server that has a URL."""
    given = {"postgres": urls.postgres, "redis": urls.redis, "nats": urls.nats}
    return {name: int(url.rpartition(":")[2].partition("/")[0]) for name, url in given.items() if url is not None}


def without_password(url: str) -> str:
    """This will take the password out of a URL, and the user too unless it is Postgres."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{'billing@' if scheme == 'postgresql' else ''}{rest.partition('@')[2]}"


def connects(port: int) -> bool:
    """This will tell whether somebody accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def an_owner(data: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """This will run another Python process that owns servers, and give its process and theirs."""
    command = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        yield owner, json.loads(owner.stdout.readline())
        owner.kill()


def family(pid: int) -> list[psutil.Process]:
    """This will return the process and all below it."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def is_alive(pid: int) -> bool:
    """This will tell whether the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(fact: Callable[[], bool]) -> None:
    """This will wait until the fact is so, and fail at the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline_s, "not so within the deadline"
        time.sleep(0.01)
