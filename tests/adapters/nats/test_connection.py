"""The connection: it opens without NATS, says so fast, and comes back by itself."""

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from billing_adapters.embedded.binaries import find_programs
from billing_adapters.nats.connection import open_nats
from billing_adapters.settings import InvalidConfiguration
from billing_core.errors import PublishingUnavailable

DEADLINE_S = 30.0
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


class TestOpenNats:
    async def test_is_connected_when_nats_is_there(self, server: Any) -> None:
        """With NATS running, the connection can be used as soon as it is open."""
        async with open_nats(server.url, name="test") as connection:
            await connection.ping()

            assert connection.is_connected

    async def test_a_loss_nobody_told_of_yet_is_waited_for(self, server: Any) -> None:
        """Waiting waits, or those who wait again and again would let nobody else run."""
        loop = asyncio.get_running_loop()
        async with open_nats(server.url, name="test") as connection:
            connection._client = Client()  # as between the loss and nats-py's word of it
            began = loop.time()

            found = await connection.wait_connected(0.05)

            assert (found, loop.time() - began >= 0.05) == (False, True)

    async def test_opens_without_nats_and_connects_when_it_comes(self, server: Any) -> None:
        """With NATS away at the start, everything fails at once until NATS comes, and then works."""
        await server.stop()

        async with open_nats(server.url, name="test") as connection:
            before = connection.is_connected
            with pytest.raises(PublishingUnavailable):
                await connection.ping()
            with pytest.raises(PublishingUnavailable):
                _ = connection.jetstream
            await server.start()
            after = await connection.wait_connected(DEADLINE_S)
            await connection.ping()

        assert (before, after) == (False, True)

    async def test_closes_while_nats_is_away(self, server: Any) -> None:
        """A connection whose server is gone is closed all the same."""
        async with asyncio.timeout(DEADLINE_S):
            async with open_nats(server.url, name="test") as connection:
                await connection.ping()
                await server.stop()

        assert not connection.is_connected

    async def test_a_server_gone_silent_is_given_up(self, server: Any, eventually: Eventually) -> None:
        """A frozen server hangs up on nobody: it is known by the pings it does not answer, and found again."""
        async with open_nats(server.url, name="test", ping_interval_s=0.1) as connection:
            assert await connection.wait_connected(DEADLINE_S)
            await server.freeze()

            async def lost() -> bool:
                return not connection.is_connected

            await eventually(lost)
            await server.thaw()

            assert await connection.wait_connected(DEADLINE_S)

    async def test_closes_while_nats_is_silent(self, server: Any) -> None:
        """A connection whose server does not answer is closed all the same."""
        async with asyncio.timeout(DEADLINE_S):
            async with open_nats(server.url, name="test") as connection:
                await connection.ping()
                await server.freeze()

        assert not connection.is_connected

    async def test_closes_in_the_middle_of_any_attempt(self, eventually: Eventually) -> None:
        """Whatever a failing attempt to connect is doing, closing ends it for good."""

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'INFO {"version":"2.15.1","headers":true,"max_payload":1048576}\r\n')
            await asyncio.sleep(0.05)
            writer.write(b"PONG\r\n")
            writer.close()

        async def open_for(delay_s: float, port: int) -> None:
            async with open_nats(f"nats://127.0.0.1:{port}", name="test"):
                await asyncio.sleep(delay_s)

        rude = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        ports = [closed_port(), rude.sockets[0].getsockname()[1]]

        async with asyncio.timeout(2 * DEADLINE_S):
            await asyncio.gather(*(open_for(0.01 * number, ports[number % 2]) for number in range(100)))

        rude.close()

        async def nothing_is_left() -> bool:
            names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
            return not any(name.startswith(("NatsConnection.", "Client.")) or "hang_up" in name for name in names)

        await eventually(nothing_is_left)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://127.0.0.1:4222",
            "nats://",
            "nats://127.0.0.1:port",
            "nats://127.0.0.1:4222,ftp://b",
            "nats://token-with/a-slash@127.0.0.1:4222",
        ],
    )
    async def test_refuses_a_url_that_can_never_work(self, url: str) -> None:
        """A URL that is none of NATS is refused when opening, not tried for ever."""
        with pytest.raises(InvalidConfiguration):
            async with open_nats(url, name="test"):
                pass

    async def test_takes_several_servers(self, server: Any) -> None:
        """Of several servers, the one that runs is found."""
        async with open_nats(f"nats://127.0.0.1:{closed_port()},{server.url}", name="test") as connection:
            found = await connection.wait_connected(DEADLINE_S)

        assert found


class TestPing:
    async def test_late_answer_leaves_the_connection_whole(self, server: Any) -> None:
        """A ping that is answered too late fails, and the answer does not break what follows."""
        async with open_nats(server.url, name="test") as connection:
            await server.freeze()
            with pytest.raises(PublishingUnavailable):
                await connection.ping()
            await server.thaw()

            async with asyncio.timeout(DEADLINE_S):
                await connection.jetstream.account_info()
                await connection.ping()

            assert connection.connections == 1

    async def test_answers_again_after_a_restart(self, server: Any) -> None:
        """After a restart of NATS the same connection pings again."""
        async with open_nats(server.url, name="test") as connection:
            await connection.ping()
            await server.stop()
            with pytest.raises(PublishingUnavailable):
                await connection.ping()
            await server.start()
            assert await connection.wait_connected(DEADLINE_S)

            await connection.ping()

            assert connection.connections == 2


class TestRecovery:
    async def test_client_closed_for_good_is_replaced(self, server: Any, eventually: Eventually) -> None:
        """When nats-py closes its client, as it does on some errors of the server, another one takes its place."""
        async with open_nats(server.url, name="test") as connection:
            first = connection.client
            await first.close()

            async def replaced() -> bool:
                return connection.is_connected and connection.client is not first

            await eventually(replaced)
            await connection.ping()

    async def test_outage_is_not_logged_over_and_over(self, eventually: Eventually) -> None:
        """However often connecting fails in an outage, the same warning is logged once in half a minute."""
        attempts: list[None] = []

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            attempts.append(None)
            writer.close()

        rude = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = rude.sockets[0].getsockname()[1]
        with capture_logs() as logs:
            async with open_nats(f"nats://127.0.0.1:{port}", name="test"):

                async def tried_three_times() -> bool:
                    return len(attempts) >= 3

                await eventually(tried_three_times)

        rude.close()
        assert len([each for each in logs if each["log_level"] == "warning"]) == 1

    async def test_token_is_never_logged(self, server: Any) -> None:
        """No log line of an outage tells the token in the URL."""
        token = server.url.removeprefix("nats://").partition("@")[0]
        with capture_logs() as logs:
            async with open_nats(server.url, name="test") as connection:
                await server.stop()
                await server.start()
                await connection.wait_connected(DEADLINE_S)

        assert logs
        assert token not in str(logs)


class TestPermissions:
    async def test_violation_is_logged(self, restricted_url: str, eventually: Eventually) -> None:
        """What the server does not permit is told in the log, also where nobody waits for an answer."""
        with capture_logs() as logs:
            async with open_nats(restricted_url, name="test") as connection:
                await connection.client.publish("forbidden", b"")

                async def told() -> bool:
                    return any("permit Billing to publish to forbidden" in str(each.get("error")) for each in logs)

                await eventually(told)
                await connection.ping()


@pytest.fixture
async def restricted_url(tmp_path: Path, eventually: Eventually) -> Any:
    """A server whose only user may publish to `allowed`."""
    port = closed_port()
    (tmp_path / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\n'
        'authorization { users: [{ user: "u", password: "p", permissions: { publish: "allowed", subscribe: ">" } }] }\n'
    )
    program = find_programs(frozenset({"nats"}))["nats"]
    with running([str(program), "-c", str(tmp_path / "nats.conf")], tmp_path / "log"):

        async def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        await eventually(listens)
        yield f"nats://u:p@127.0.0.1:{port}"


class running:  # noqa: N801 - reads as a statement
    """Runs a program for the length of a block."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log

    def __enter__(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def closed_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
