"""A NATS cluster of three real servers, as the tests that take its nodes away look at it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from anyio import to_thread
from nats.js.errors import APIError

from billing_adapters.embedded import EmbeddedServers, Layout
from billing_adapters.nats.advisories import ensure_advisories
from billing_adapters.nats.api import ask, stream_info
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection, open_nats
from billing_adapters.nats.plan import CONSUMERS
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_core.errors import PublishingUnavailable

NODES: Final = ("nats-1", "nats-2", "nats-3")
# An election takes some five seconds, and a machine that is busy with other tests more.
DEADLINE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1


def cluster_servers(folder: Path) -> EmbeddedServers:
    """The three servers, not started yet."""
    return EmbeddedServers(folder, durable=False, which=frozenset({"nats"}), layout=Layout(nats_nodes=len(NODES)))


class NatsCluster:
    """The running servers. Who takes a node away gives it back."""

    def __init__(self, servers: EmbeddedServers) -> None:
        """This will look at servers that are started."""
        self.servers = servers
        self.url = servers.urls.nats or ""

    async def kill(self, node: str) -> None:
        """This will end the node as a power cut would."""
        await to_thread.run_sync(self.servers.kill_server, node)

    async def start(self, node: str) -> None:
        """This will have the node running."""
        await to_thread.run_sync(self.servers.start_server, node)

    async def mend(self) -> None:
        """This will have every node running, whatever a test did, and no stream left."""
        for node in NODES:
            if node in self.servers.pids():
                await to_thread.run_sync(self.servers.resume_server, node)
            await self.start(node)
        async with open_nats(self.url, name="clean-up") as connection, asyncio.timeout(DEADLINE_S):
            while not await _emptied(connection):  # noqa: ASYNC110 - of an election nobody tells
                await asyncio.sleep(LOOK_EVERY_S)

    def node_of(self, connection: NatsConnection) -> str:
        """The node the connection goes to."""
        place = connection.client.connected_url
        ports = [urlsplit(each).port for each in self.url.split(",")]
        return NODES[ports.index(place.port if place else None)]


async def leader_of(connection: NatsConnection, stream: str, *, other_than: str = "") -> str:
    """The node that leads the stream, once another one than `other_than` does and answers for it."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                cluster = (await stream_info(connection, stream)).get("cluster") or {}
            except (PublishingUnavailable, *NATS_FAILURES):
                cluster = {}
            if (leader := str(cluster.get("leader") or other_than)) != other_than:
                return leader
            await asyncio.sleep(LOOK_EVERY_S)


async def make_streams(connection: NatsConnection, *, replicas: int) -> None:
    """This will make every stream and consumer, as a worker does: again and again until the cluster can, which takes a
    server that was just started for away a little longer."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await ensure_streams(connection, manage_all=True, replicas=replicas)
                await ensure_consumers(connection)
                return await ensure_advisories(connection, replicas=replicas)
            except PublishingUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)


async def all_follow(connection: NatsConnection, streams: Sequence[str]) -> None:
    """This will return once every replica of the streams has what the leader has."""
    async with asyncio.timeout(DEADLINE_S):
        while not all([await _is_followed(connection, each) for each in streams]):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(LOOK_EVERY_S)


async def consumers_are_kept_on(connection: NatsConnection, many: int) -> None:
    """This will return once each of our consumers has a leader and as many followers as that makes."""
    async with asyncio.timeout(DEADLINE_S):
        for plan in CONSUMERS:
            found = 0
            while found != many:
                info = await connection.jetstream.consumer_info(plan.stream, plan.durable)
                found = 1 + len(info.cluster.replicas or ()) if info.cluster and info.cluster.leader else 0
                await asyncio.sleep(LOOK_EVERY_S)


async def _is_followed(connection: NatsConnection, stream: str) -> bool:
    try:
        cluster = (await stream_info(connection, stream)).get("cluster") or {}
    except (PublishingUnavailable, *NATS_FAILURES):
        return False
    followers = cluster.get("replicas") or ()
    return bool(followers) and all(each.get("current") and not each.get("offline") for each in followers)


async def _emptied(connection: NatsConnection) -> bool:
    try:
        names = (await ask(connection, "STREAM.NAMES", {})).get("streams") or ()
        for name in names:
            await ask(connection, f"STREAM.DELETE.{name}", {})
    except (PublishingUnavailable, APIError, *NATS_FAILURES):
        return False
    return not names
