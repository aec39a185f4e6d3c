"""The user of `deploy/redis/users.acl` on a real server: it may do what Billing needs and nothing else."""

import hashlib
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from structlog.testing import capture_logs

from billing_adapters import redis as redis_adapter
from billing_adapters.embedded.binaries import find_programs
from billing_adapters.redis.client import is_up, open_redis
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.redis.shared_usage import RedisUsage
from billing_core.domain.idempotency import Answer, RequestKey
from billing_core.errors import SharedUsageUnavailable
from billing_core.ports.idempotency import RememberedAnswer

SHIPPED: Final = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
ADAPTER: Final = Path(redis_adapter.__file__).parent
# How commands are written there: by the cache, by a client's method, and inside a script.
SENT: Final = (r'_attempt\("(\w+)"', r"client\.(\w+)\(", r"redis\.call\('(\w+)'")
NO_COMMANDS: Final = {"aclose", "pipeline", "look_again"}
PLACEHOLDER: Final = "REPLACE_BY_THE_SHA256_OF_A_PASSWORD"
PASSWORD: Final = "sample: p@ss/w%rd"
READY_S: Final = 30.0
KEY: Final = RequestKey(merchant_id="m-1", route="POST /x", key="k")
ANSWER: Final = RememberedAnswer(fingerprint="f", answer=Answer(outcome="201", document=b"{}"))


class Server:
    """A server with the shipped users, and an administrator of the test's."""

    def __init__(self, port: int) -> None:
        self.place = f"127.0.0.1:{port}"
        self.url = f"redis://billing:{quote(PASSWORD, safe='')}@{self.place}/0"
        self.administrator = BlockingRedis(host="127.0.0.1", port=port, username="administrator", password="sample")

    def permit(self, *rules: str) -> None:
        """This will give the user these rules, beside those it has."""
        self.administrator.execute_command("ACL", "SETUSER", "billing", *rules)  # type: ignore[no-untyped-call]

    def denied(self) -> list[Any]:
        """What the server denied since it was asked last."""
        told: list[Any] = self.administrator.execute_command("ACL", "LOG")  # type: ignore[no-untyped-call]
        self.administrator.execute_command("ACL", "LOG", "RESET")  # type: ignore[no-untyped-call]
        return told


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The running server."""
    folder = tmp_path_factory.mktemp("users")
    text = SHIPPED.read_text("utf-8").replace(PLACEHOLDER, hashlib.sha256(PASSWORD.encode()).hexdigest())
    (folder / "users.acl").write_text(f"{text}user administrator on >sample ~* &* +@all\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = find_programs(frozenset({"redis"}))["redis"]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--aclfile", str(folder / "users.acl")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--save", ""], stdout=log, stderr=log, cwd=folder)
    server = Server(port)
    try:
        _wait_for(server, folder / "log")
        yield server
    finally:
        server.administrator.close()
        process.terminate()
        process.wait()


@pytest.fixture
def acl_server(shipped: Server) -> Iterator[Server]:
    """The server with nothing denied yet, and the user as it is shipped, also when the test changed it."""
    before = shipped.administrator.execute_command("ACL", "LIST")  # type: ignore[no-untyped-call]
    shipped.denied()
    yield shipped
    (mine,) = [each for each in map(bytes.decode, before) if each.startswith("user billing ")]
    shipped.permit("reset", *mine.split()[2:])


@pytest.fixture
async def client(acl_server: Server) -> AsyncIterator[Redis]:
    """A client, as a process has it."""
    async with open_redis(acl_server.url) as client:
        assert isinstance(client, Redis)
        yield client


class TestShippedUser:
    def test_every_command_in_our_source_is_permitted(self) -> None:
        """A command that is used from now on needs its word in the file, and its line here."""
        source = "".join(path.read_text("utf-8") for path in ADAPTER.glob("*.py"))
        used = {name.lower() for pattern in SENT for name in re.findall(pattern, source)} - NO_COMMANDS

        permitted = {each.partition("|")[0] for each in re.findall(r"\+(\S+)", SHIPPED.read_text("utf-8"))}

        assert {"get", "set", "unlink", "ping"} <= used
        assert used <= permitted

    async def test_everything_billing_does_is_permitted(self, acl_server: Server, client: Redis) -> None:
        """Connecting, remembering, answering, forgetting, and being asked whether it is up; the server denies nothing
        of it, not even what the library says of itself."""
        cache = RedisReplayCache(client)

        up = await is_up(client)
        await cache.put(KEY, ANSWER)
        found = await cache.get(KEY)
        await cache.forget([KEY])
        owed = await RedisUsage(client).charge({"m-1": 1_000_000, "m-2": 0}, 0)

        assert (up, found, await cache.get(KEY)) == (True, ANSWER, None)
        assert owed == {"m-1": 1_000_000, "m-2": 0}
        assert acl_server.denied() == []

    @pytest.mark.parametrize(
        "command",
        [
            "GET other:key",
            "SET other:key x",
            "GET billing",
            "KEYS *",
            "SCAN 0",
            "FLUSHALL",
            "FLUSHDB",
            "CONFIG GET *",
            "CONFIG SET maxmemory 1",
            "SHUTDOWN",
            "ACL LIST",
            "ACL SETUSER x on",
            "CLIENT LIST",
            "CLIENT KILL TYPE normal",
            "MONITOR",
            "SUBSCRIBE x",
            "PUBLISH x y",
            "EVALSHA x 0",
            "SCRIPT FLUSH",
            "FUNCTION LIST",
            "MODULE LIST",
            "REPLICAOF NO ONE",
            "SAVE",
            "INFO",
            "DEL billing:replay:x",
            "RENAME billing:x billing:y",
            "COPY billing:x other:y",
        ],
    )
    async def test_anything_else_is_refused(self, acl_server: Server, client: Redis, command: str) -> None:
        """Whoever has the password reads and writes Billing's keys, and that is all."""
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command.split())  # type: ignore[no-untyped-call]

    @pytest.mark.parametrize(
        "script",
        ["redis.call('FLUSHALL')", "redis.call('GET', 'other:key')", "redis.call('KEYS', '*')", "redis.call('INFO')"],
    )
    async def test_a_script_may_do_no_more(self, acl_server: Server, client: Redis, script: str) -> None:
        """It runs with the permissions of whoever sends it."""
        with pytest.raises(ResponseError, match="ACL failure"):
            await client.eval(script, 0)

    async def test_nobody_else_gets_in(self, acl_server: Server) -> None:
        """Neither anonymously nor with another password; that is told as what it is."""
        for url in (f"redis://{acl_server.place}", f"redis://billing:wrong@{acl_server.place}"):
            with capture_logs() as logs:
                async with open_redis(url) as client:
                    assert not await is_up(client)

            (told,) = logs
            assert (told["code"], "BILLING_REDIS_URL" in told["error"]) == ("REDIS_DENIED", True)
            assert "wrong" not in str(logs).replace("WRONGPASS", "")


class TestRefusals:
    async def test_a_missing_permission_is_not_told_as_an_outage(self, acl_server: Server, client: Redis) -> None:
        """The database answers meanwhile, and the log names the command and the file with the permissions."""
        acl_server.permit("-get")

        with capture_logs() as logs:
            found = await RedisReplayCache(client).get(KEY)

        (told,) = logs
        assert found is None
        assert told["event"].startswith("Redis refuses Billing")
        assert ("'get'" in told["error"], "deploy/redis/users.acl" in told["error"]) == (True, True)

    async def test_a_limit_that_is_not_shared_says_why(self, acl_server: Server, client: Redis) -> None:
        """The processes go on by themselves, and the reason is no outage."""
        acl_server.permit("-eval")

        with pytest.raises(SharedUsageUnavailable, match=r"'eval'.*deploy/redis/users\.acl"):
            await RedisUsage(client).charge({"m-1": 1}, 0)

    async def test_once_it_is_mended_answers_are_remembered_again(self, acl_server: Server, client: Redis) -> None:
        """Without a restart."""
        acl_server.permit("-set")
        cache = RedisReplayCache(client)
        await cache.put(KEY, ANSWER)
        acl_server.permit("+set")
        cache._left_alone_until = 0.0  # as after a second

        await cache.put(KEY, ANSWER)

        assert await cache.get(KEY) == ANSWER


def _wait_for(server: Server, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            server.administrator.ping()
        except RedisError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return
