"""On a cluster of three real servers: streams that survive one of them, and a connection that finds another."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest
from nats.js.api import ConsumerConfig
from tests.nats_cluster import NODES, NatsCluster, all_follow, consumers_are_kept_on, leader_of, make_streams

from billing_adapters.nats.api import stream_info
from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.plan import ADVISORIES, CONSUMERS, SUBJECTS
from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.nats.replicas import keepers_of_streams
from billing_adapters.nats.streams import (
    BILLING,
    MERCHANT,
    MERCHANT_CREATED,
)
from billing_adapters.nats.tail import tail
from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent

DEADLINE_S = 60.0
log = logging.getLogger(__name__)


@pytest.fixture
async def connection(nats_cluster: NatsCluster) -> AsyncIterator[NatsConnection]:
    """A connection to one of the nodes, which knows all of them; there is no stream yet."""
    async with open_nats(nats_cluster.url, name="test") as connection:
        assert await connection.wait_connected(DEADLINE_S)
        yield connection


@pytest.fixture
async def streams(connection: NatsConnection) -> Sequence[str]:
    """Every stream of Billing's, on three servers."""
    await make_streams(connection, replicas=3)
    await all_follow(connection, [*SUBJECTS, ADVISORIES])
    return [*SUBJECTS, ADVISORIES]


class TestReplicas:
    async def test_streams_and_their_consumers_are_kept_on_as_many_servers_as_configured(
        self, connection: NatsConnection, streams: Sequence[str]
    ) -> None:
        """Each has a leader and two that follow, and the doctor has nothing to say."""
        kept = {name: await keepers_by_name(await stream_info(connection, name)) for name in streams}
        await consumers_are_kept_on(connection, 3)

        assert kept == {name: set(NODES) for name in streams}
        assert await check_streams(connection, replicas=3) == []
        assert {each.many for each in await keepers_of_streams(connection)} == {3}

    async def test_more_are_made_of_one_and_never_fewer(self, connection: NatsConnection) -> None:
        """What was made for one server is told, and widened with its messages and consumers; the other way round
        nothing happens."""
        await make_streams(connection, replicas=1)
        await NatsMessageSender(connection).send(MERCHANT_CREATED.subject, b"before", {})

        told = await check_streams(connection, replicas=3)
        for replicas in (3, 1):
            await make_streams(connection, replicas=replicas)
        await all_follow(connection, [*SUBJECTS, ADVISORIES])
        await consumers_are_kept_on(connection, 3)

        assert [each.partition(":")[0] for each in told] == [
            f"The stream {name} is kept on one server and BILLING_NATS_REPLICAS is 3" for name in SUBJECTS
        ]
        assert await check_streams(connection, replicas=3) == []
        assert [each.message.body for each in await a_consumer(connection).fetch(9, 5)] == [b"before"]

    async def test_a_consumer_that_is_kept_on_fewer_is_told(self, connection: NatsConnection) -> None:
        """Somebody made it so by hand, for it follows its stream by itself."""
        await make_streams(connection, replicas=3)
        await connection.jetstream.delete_consumer(MERCHANT, MERCHANT_CREATED.durable)
        by_hand = {**vars(MERCHANT_CREATED.config()), "num_replicas": 1}
        await connection.jetstream.add_consumer(MERCHANT, ConsumerConfig(**by_hand))

        (told,) = await check_streams(connection, replicas=3)

        assert "billing-merchant-created is kept on one server" in told

    async def test_a_stream_without_most_of_its_servers_is_told(
        self, nats_cluster: NatsCluster, connection: NatsConnection
    ) -> None:
        """By the one server that is left of three."""
        await make_streams(connection, replicas=3)
        await all_follow(connection, list(SUBJECTS))
        ours = nats_cluster.node_of(connection)

        for each in NODES:
            if each != ours:
                await nats_cluster.kill(each)
        # Each is told of in its own time.
        await complaints(
            connection,
            *(f"The stream {name} has no leader" for name in SUBJECTS),
            *(f"The consumer {plan.durable} has no leader" for plan in CONSUMERS),
        )

    async def test_a_stream_whose_only_server_is_away_hides_no_other(
        self, nats_cluster: NatsCluster, connection: NatsConnection
    ) -> None:
        """It does not answer, and the others are looked at all the same."""
        await make_streams(connection, replicas=1)
        leaders = {name: await leader_of(connection, name) for name in SUBJECTS}

        await nats_cluster.kill(leaders[BILLING])

        gone = [name for name, leader in leaders.items() if leader == leaders[BILLING]]
        consumers = [each.durable for each in CONSUMERS if each.stream in gone]
        await complaints(
            connection,
            *(f"The stream {name} does not answer" for name in gone),
            *(f"The consumer {name} does not answer" for name in consumers),
        )

    async def test_a_server_that_is_away_is_told(
        self, nats_cluster: NatsCluster, connection: NatsConnection, streams: Sequence[str]
    ) -> None:
        """By its name, with the streams it follows; they go on meanwhile."""
        leader = await leader_of(connection, BILLING)
        bystander = next(each for each in NODES if each not in (leader, nats_cluster.node_of(connection)))

        await nats_cluster.kill(bystander)
        await leader_of(connection, BILLING)

        async with asyncio.timeout(DEADLINE_S):
            while not (away := await who_is_away(connection)).get(BILLING):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.1)
        assert away[BILLING] == (bystander,)


class TestConnection:
    async def test_another_node_is_found_where_ours_dies(
        self, nats_cluster: NatsCluster, connection: NatsConnection, record_property: Any
    ) -> None:
        """Killed, it takes nobody's way to the others."""
        ours, made = nats_cluster.node_of(connection), connection.connections

        await nats_cluster.kill(ours)
        began_s = time.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            while connection.connections == made or not connection.is_connected:
                await connection.wait_connected(1)
        await connection.ping()

        record_property("reconnected_after_s", round(time.monotonic() - began_s, 3))
        log.info("reconnected to %s after %.3f s", nats_cluster.node_of(connection), time.monotonic() - began_s)
        assert nats_cluster.node_of(connection) != ours

    async def test_a_node_that_falls_silent_is_left(self, nats_cluster: NatsCluster) -> None:
        """Frozen, it still takes connections; another one is tried before it again."""
        async with open_nats(nats_cluster.url, name="test", ping_interval_s=0.2) as connection:
            assert await connection.wait_connected(DEADLINE_S)
            ours, made = nats_cluster.node_of(connection), connection.connections

            nats_cluster.servers.pause_server(ours)
            async with asyncio.timeout(DEADLINE_S):
                while connection.connections == made or not connection.is_connected:
                    await connection.wait_connected(1)

            assert nats_cluster.node_of(connection) != ours

    @pytest.mark.parametrize("away", NODES)
    async def test_opens_connected_whichever_node_is_away(self, nats_cluster: NatsCluster, away: str) -> None:
        """A command that looks at NATS once must not take one dead node for an outage."""
        await nats_cluster.kill(away)

        for _ in range(6):
            async with open_nats(nats_cluster.url, name="test") as connection:
                assert connection.is_connected


class TestLeaders:
    async def test_events_go_out_in_order_and_once_while_leaders_die(
        self, nats_cluster: NatsCluster, connection: NatsConnection, streams: Sequence[str]
    ) -> None:
        """Publishing fails while there is no leader, and tried again as the relay does it loses and doubles nothing:
        whether it was an atomic batch or one by one that the leader took with it."""
        stop = asyncio.Event()
        publishing = asyncio.create_task(relayed(connection, stop))

        for _ in range(2):
            leader = await leader_of(connection, BILLING)
            await nats_cluster.kill(leader)
            await leader_of(connection, BILLING, other_than=leader)
            await nats_cluster.start(leader)
            await all_follow(connection, [BILLING])
        stop.set()
        events, tried_again = await publishing

        stored = [each.body async for each in tail(connection, "evt.billing.>", since_s=3600, follow=False)]
        log.info("%d of the publishings were tried again", tried_again)
        assert stored == [each.body for each in events]

    async def test_a_pull_goes_on_with_the_next_leader(
        self, nats_cluster: NatsCluster, connection: NatsConnection, streams: Sequence[str]
    ) -> None:
        """Whoever leads the consumer: what was sent comes, and what was acknowledged does not come again."""
        sender, consumer, seen = NatsMessageSender(connection), a_consumer(connection), list[bytes]()
        for number in range(2):
            info = await connection.jetstream.consumer_info(MERCHANT, MERCHANT_CREATED.durable)
            leader = str(info.cluster.leader if info.cluster else "")
            await nats_cluster.kill(leader)
            await until_sent(sender, f"{number}".encode())
            async with asyncio.timeout(DEADLINE_S):
                while len(seen) <= number:
                    for each in await consumer.fetch(9, 1):
                        seen.append(each.message.body)
                        await each.ack()
            await nats_cluster.start(leader)
            await all_follow(connection, [MERCHANT])

        assert seen == [b"0", b"1"]


async def keepers_by_name(info: Mapping[str, Any]) -> set[str]:
    """The servers that keep a stream."""
    cluster = info["cluster"]
    return {cluster["leader"], *(each["name"] for each in cluster["replicas"])}


async def who_is_away(connection: NatsConnection) -> Mapping[str, tuple[str, ...]]:
    """The servers each stream misses."""
    try:
        return {each.stream: each.away for each in await keepers_of_streams(connection)}
    except PublishingUnavailable:  # ours was it, or an election is on
        return {}


async def complaints(connection: NatsConnection, *wanted: str) -> None:
    """This will return once these are the complaints, and no others."""
    async with asyncio.timeout(DEADLINE_S):
        while [each.partition(":")[0] for each in await check_streams(connection)] != list(wanted):
            await connection.wait_connected(1)
            await asyncio.sleep(0.1)


async def relayed(connection: NatsConnection, stop: asyncio.Event) -> tuple[Sequence[OutboxEvent], int]:
    """This will publish events in order until told to stop, some together and some alone, each until it is confirmed;
    which they were, and how often that failed."""
    publisher, draw, failed = NatsEventPublisher(connection), random.Random(7), 0
    published: list[OutboxEvent] = []
    while not stop.is_set():
        some = [an_event(len(published) + ahead) for ahead in range(draw.choice((1, 2, 9)))]
        while not await is_confirmed(publisher, some):
            failed += 1
            await asyncio.sleep(0.1)
        published += some
        await asyncio.sleep(0.05)
    return published, failed


async def is_confirmed(publisher: NatsEventPublisher, events: Sequence[OutboxEvent]) -> bool:
    """This will publish them, and say whether that is certain."""
    try:
        await publisher.publish(events)
    except PublishingUnavailable:
        return False
    return True


async def until_sent(sender: NatsMessageSender, body: bytes) -> None:
    """This will send the message until the stream has it, under one id."""
    message_id = str(uuid4())
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await sender.send(MERCHANT_CREATED.subject, body, {"Nats-Msg-Id": message_id})
            except PublishingUnavailable:
                await asyncio.sleep(0.1)


def a_consumer(connection: NatsConnection) -> NatsConsumer:
    """The consumer of announced merchants."""
    plan = MERCHANT_CREATED
    return NatsConsumer(connection, stream=plan.stream, durable=plan.durable, subject=plan.subject)


def an_event(number: int) -> OutboxEvent:
    """An event of one merchant."""
    return OutboxEvent(
        event_id=uuid4(),
        merchant_id="merchant-1",
        sequence=number,
        type="evt.billing.purchase.created",
        body=b'{"sequence": %d}' % number,
    )
