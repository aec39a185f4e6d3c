"""Embedded servers that are several processes: they come together, keep what they acknowledged, and leave nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from tests.adapters.embedding import family, is_alive, wait_until
from tests.nats_cluster import leader_of

from billing_adapters.embedded import EmbeddedServers, EmbeddedServersError, Layout
from billing_adapters.embedded.layout import RedisKind
from billing_adapters.nats.api import stream_info
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.plan import BILLING
from billing_adapters.nats.streams import ensure_streams
from billing_adapters.redis.client import open_redis

OWNER: Final = """
import sys, json, pathlib
from billing_adapters.embedded import EmbeddedServers, Layout
layout = Layout(nats_nodes=3, redis="sentinel")
servers = EmbeddedServers(pathlib.Path(sys.argv[1]), durable=False, which=frozenset({"nats", "redis"}), layout=layout)
servers.start()
print(servers.pids()["supervisor"], flush=True)
sys.stdin.read()
"""
PROCESSES: Final = {"single": 1, "sentinel": 5, "cluster": 3}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """nats-py and redis-py know asyncio only."""
    return "asyncio"


class TestNatsCluster:
    async def test_three_nodes_keep_a_stream_over_a_restart_of_all(self, tmp_path: Path) -> None:
        """The URL names every node; after a stop and a start it is the same, and what was acknowledged is there."""
        servers = EmbeddedServers(tmp_path, durable=False, which=frozenset({"nats"}), layout=Layout(nats_nodes=3))
        with servers:
            url, pids = str(servers.urls.nats), servers.pids()
            async with open_nats(url, name="test") as connection:
                await ensure_streams(connection, manage_all=False, replicas=3)
                await connection.jetstream.publish("evt.billing.kept", b"1")
        with servers:
            again = str(servers.urls.nats)
            async with open_nats(again, name="test") as connection:
                await leader_of(connection, BILLING)
                info = await stream_info(connection, BILLING)

        assert again == url
        assert pids.keys() == {"supervisor", "nats-1", "nats-2", "nats-3"}
        assert (info["state"]["messages"], info["config"]["num_replicas"]) == (1, 3)


class TestRedis:
    @pytest.mark.parametrize("kind", ["sentinel", "cluster"])
    async def test_it_starts_again_where_it_was(self, tmp_path: Path, kind: RedisKind) -> None:
        """Under the same URL and with its part of the work for each; only on loopback, and not without the password."""
        servers = EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}), layout=Layout(redis=kind))
        with servers:
            url = str(servers.urls.redis)
        with servers:
            async with open_redis(str(servers.urls.redis), timeout_s=30) as client:
                await client.set("billing:kept", "1")
                kept = await client.get("billing:kept")
            listening = [
                connection.laddr
                for process in family(servers.pids()["supervisor"])
                for connection in process.net_connections(kind="all")
                if connection.status == psutil.CONN_LISTEN
            ]
            for each in {each.port for each in listening}:
                async with redis.asyncio.Redis(port=each, retry=Retry(NoBackoff(), 0)) as anybody:
                    with pytest.raises(redis.exceptions.RedisError):
                        await anybody.ping()

            assert str(servers.urls.redis) == url
        assert kept == b"1"
        assert {each.ip for each in listening} == {"127.0.0.1"}
        assert len({each.port for each in listening}) == PROCESSES[kind] * (2 if kind == "cluster" else 1)

    def test_its_processes_are_named_apart(self, tmp_path: Path) -> None:
        """Of several, one is stopped by its own name, and the name of all is none of theirs."""
        layout = Layout(redis="sentinel")
        with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}), layout=layout) as servers:
            with pytest.raises(EmbeddedServersError, match="redis-2"):
                servers.stop_server("redis")

            servers.stop_server("redis-2")

            assert servers.pids().keys() == {"supervisor", *layout.members("redis")} - {"redis-2"}


class TestNothingIsLeft:
    @pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
    @pytest.mark.parametrize("victim", ["owner", "supervisor"])
    def test_sigkill_leaves_no_process(self, tmp_path: Path, victim: str) -> None:
        """SIGKILL of the owner, or of the supervisor, ends every process of every server."""
        command = [sys.executable, "-c", OWNER, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            supervisor = int(owner.stdout.readline())
            everything = [process.pid for process in family(supervisor)]

            os.kill(owner.pid if victim == "owner" else supervisor, signal.SIGKILL)

            wait_until(lambda: not [pid for pid in everything if is_alive(pid)])
            owner.kill()
        assert len(everything) == 1 + 3 + PROCESSES["sentinel"]

    def test_passwords_are_closed_to_others(self, tmp_path: Path) -> None:
        """No command line shows one, and only the owner can read the files that hold them."""
        layout = Layout(redis="sentinel")
        with EmbeddedServers(tmp_path, durable=False, which=frozenset({"redis"}), layout=layout) as servers:
            commands = " ".join(" ".join(each.cmdline()) for each in family(servers.pids()["supervisor"]))
            password = str(servers.urls.redis).rpartition("=")[2]

            assert password not in commands
            # Sentinels write theirs anew, as the supervisor's mask has it.
            assert {each.stat().st_mode & 0o077 for each in (tmp_path / "conf").iterdir()} == {0}
