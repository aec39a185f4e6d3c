"""Consuming: everything comes at least once, as soon as it is there, over restarts and deletions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.consumer import Delivery, NatsConsumer
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.nats.streams import MERCHANT, MERCHANT_CREATED, ensure_consumers, ensure_streams

DEADLINE_S = 30.0
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
SUBJECT = "evt.merchant.created"


@pytest.fixture
async def consumer(connection: NatsConnection) -> NatsConsumer:
    """The consumer of announced merchants, with its stream."""
    await ensure_streams(connection, manage_all=True)
    await ensure_consumers(connection)
    return a_consumer(connection)


class TestFetch:
    async def test_gives_what_is_there_in_order(self, connection: NatsConnection, consumer: NatsConsumer) -> None:
        """What waits is delivered in order, up to a batch at a time, with subject, headers and first attempt."""
        await send(connection, b"1", b"2", b"3", headers={"X": "y"})

        first, second = await fetched(consumer, 2), await fetched(consumer, 1)

        assert [each.message.body for each in [*first, *second]] == [b"1", b"2", b"3"]
        message = first[0].message
        assert (message.subject, message.headers, message.attempt) == (SUBJECT, {"X": "y"}, 1)

    async def test_single_message_does_not_wait_for_a_batch(
        self, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """A message that comes while a fetch waits ends the wait, though the batch is not full."""
        waiting = asyncio.create_task(consumer.fetch(100, 10 * DEADLINE_S))
        await until_waiting(connection)

        await send(connection, b"1")
        deliveries = await asyncio.wait_for(waiting, DEADLINE_S)

        assert [each.message.body for each in deliveries] == [b"1"]

    async def test_nothing_there_is_nothing_fetched(self, consumer: NatsConsumer) -> None:
        """Without messages a fetch ends empty at its time-out."""
        assert await consumer.fetch(10, 0.2) == ()

    async def test_every_message_once_among_many_workers(
        self, server: Any, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """Workers that share the consumer get each message once between them."""
        await send(connection, *(b"%d" % number for number in range(60)))
        async with open_nats(server.url, name="second") as second:
            workers = [consumer, a_consumer(second)]

            parts = await asyncio.gather(*(fetched(worker, 30) for worker in workers))

        assert sorted(int(each.message.body) for part in parts for each in part) == list(range(60))

    async def test_odd_messages_are_delivered_whole(self, connection: NatsConnection, consumer: NatsConsumer) -> None:
        """An empty body, no text and large ones are messages like others: judging them is the core's."""
        odd = [b"", b"\xff\x00", b"x" * 500_000]
        await send(connection, *odd)

        deliveries = await fetched(consumer, 3)

        assert [each.message.body for each in deliveries] == odd

    async def test_what_nobody_delivered_is_passed_over(
        self, server: Any, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """Who may publish to our inbox can send anything there: it is no delivery, and the next one is there."""
        waiting = asyncio.create_task(fetched(consumer, 1))
        await until_waiting(connection)
        async with open_nats(server.url, name="stranger") as stranger:
            for reply in ("somewhere", "$JS.ACK.x", "$JS.ACK.MERCHANT.c.0.1.1.1.1", "$JS.ACK.MERCHANT.c.x.1.1.1.1"):
                await stranger.client.publish(f"{consumer._pull._inbox}.1", b"{}", reply=reply)
            await stranger.client.flush()
        await send(connection, b"1")

        assert [each.message.body for each in await asyncio.wait_for(waiting, DEADLINE_S)] == [b"1"]


class TestAnswers:
    async def test_acknowledged_is_done(
        self, connection: NatsConnection, consumer: NatsConsumer, eventually: Eventually
    ) -> None:
        """An acknowledged message does not count as pending any more, and does not come again."""
        await send(connection, b"1")
        (delivery,) = await fetched(consumer, 1)
        before = await consumer.pending()

        await delivery.ack()

        async def is_done() -> bool:
            return await consumer.pending() == 0

        assert before == 1
        await eventually(is_done)
        assert await consumer.fetch(10, 0.2) == ()

    async def test_nak_brings_it_again_and_counts(self, connection: NatsConnection, consumer: NatsConsumer) -> None:
        """A message that is refused comes again, and says how often it came."""
        await send(connection, b"1")
        attempts = []

        for _ in range(3):
            (delivery,) = await fetched(consumer, 1)
            attempts.append(delivery.message.attempt)
            await delivery.nak(0.05)

        assert attempts == [1, 2, 3]

    async def test_nak_lets_the_next_one_pass(self, connection: NatsConnection, consumer: NatsConsumer) -> None:
        """A message that waits for its next attempt is not in the way of those behind it."""
        await send(connection, b"later", b"now")
        (first,) = await fetched(consumer, 1)

        await first.nak(3600)
        (second,) = await fetched(consumer, 1)

        assert second.message.body == b"now"
        assert await consumer.fetch(10, 0.2) == ()

    async def test_never_answered_comes_again(self, connection: NatsConnection, jetstream: JetStreamContext) -> None:
        """A message whose worker died comes again after the time to acknowledge, also over `in_progress`."""
        await ensure_streams(connection, manage_all=True)
        await jetstream.add_consumer(
            MERCHANT, ConsumerConfig(durable_name=MERCHANT_CREATED.durable, filter_subject=SUBJECT, ack_wait=0.3)
        )
        consumer = a_consumer(connection)
        await send(connection, b"1")
        (delivery,) = await fetched(consumer, 1)

        await delivery.in_progress()
        (again,) = await fetched(consumer, 1)

        assert (again.message.body, again.message.attempt) == (b"1", 2)

    async def test_answer_without_nats_is_no_error(
        self, server: Any, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """An acknowledgement that cannot be sent is not raised: what was done is committed, and comes again."""
        await send(connection, b"1")
        (delivery,) = await fetched(consumer, 1)
        await server.stop()

        await delivery.ack()
        await delivery.nak(1)
        await delivery.in_progress()


class TestOutages:
    async def test_away_it_is_empty_and_back_it_goes_on(
        self, server: Any, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """While NATS is stopped a fetch waits and ends empty; started again, the same consumer goes on."""
        await send(connection, b"1")
        (delivery,) = await fetched(consumer, 1)
        await delivery.ack()
        await server.stop()

        empty, unknown = await consumer.fetch(10, 0.2), await consumer.pending()
        await server.start()
        assert await connection.wait_connected(DEADLINE_S)
        await send(connection, b"2")

        assert (empty, unknown) == ((), None)
        assert [each.message.body for each in await fetched(consumer, 1)] == [b"2"]

    async def test_fetch_over_a_restart_ends_and_the_next_works(
        self, server: Any, connection: NatsConnection, consumer: NatsConsumer
    ) -> None:
        """A fetch that waits while NATS restarts ends at its time-out at the latest."""
        waiting = asyncio.create_task(consumer.fetch(10, 2))
        await until_waiting(connection)
        await server.stop()
        await server.start()
        assert await connection.wait_connected(DEADLINE_S)
        await send(connection, b"1")

        found = [*await asyncio.wait_for(waiting, DEADLINE_S)] or await fetched(consumer, 1)

        assert [each.message.body for each in found] == [b"1"]

    async def test_outlives_its_client(self, connection: NatsConnection, consumer: NatsConsumer) -> None:
        """When the connection gets a new client, the consumer listens through it."""
        await consumer.fetch(1, 0.2)
        await connection.client.close()
        assert await reconnected(connection)
        await send(connection, b"1")

        assert [each.message.body for each in await fetched(consumer, 1)] == [b"1"]

    async def test_deleted_consumer_is_made_again(
        self, connection: NatsConnection, jetstream: JetStreamContext, consumer: NatsConsumer
    ) -> None:
        """A consumer somebody deleted is made again and starts over: nothing is lost, repeats are known by id."""
        await send(connection, b"1")
        (delivery,) = await fetched(consumer, 1)
        await delivery.ack()
        await jetstream.delete_consumer(MERCHANT, MERCHANT_CREATED.durable)
        await send(connection, b"2")

        deliveries = await fetched(consumer, 2)

        assert [each.message.body for each in deliveries] == [b"1", b"2"]

    async def test_consumer_deleted_under_a_waiting_fetch(
        self, connection: NatsConnection, jetstream: JetStreamContext, consumer: NatsConsumer
    ) -> None:
        """A fetch that waits when its consumer is deleted makes it again and gets the next message."""
        waiting = asyncio.create_task(consumer.fetch(10, DEADLINE_S))
        await until_waiting(connection)
        await jetstream.delete_consumer(MERCHANT, MERCHANT_CREATED.durable)
        await send(connection, b"1")

        found = await asyncio.wait_for(waiting, 2 * DEADLINE_S)

        assert [each.message.body for each in found] == [b"1"]

    async def test_stream_that_comes_late_is_consumed(self, connection: NatsConnection) -> None:
        """Without the other service's stream a fetch is empty; once it is there the consumer is made."""
        consumer = a_consumer(connection)
        before = await consumer.fetch(10, 0.2)

        await ensure_streams(connection, manage_all=True)
        await send(connection, b"1")

        assert before == ()
        assert [each.message.body for each in await fetched(consumer, 1)] == [b"1"]

    async def test_works_before_nats_was_ever_there(self, server: Any) -> None:
        """A consumer made while NATS is away fetches nothing, and works when NATS comes."""
        await server.stop()
        async with open_nats(server.url, name="test") as connection:
            consumer = a_consumer(connection)
            before = await consumer.fetch(10, 0.1)
            await server.start()
            assert await connection.wait_connected(DEADLINE_S)
            await ensure_streams(connection, manage_all=True)
            await send(connection, b"1")

            assert before == ()
            assert [each.message.body for each in await fetched(consumer, 1)] == [b"1"]


def a_consumer(connection: NatsConnection) -> NatsConsumer:
    """The consumer as the worker makes it."""
    plan = MERCHANT_CREATED
    return NatsConsumer(connection, stream=plan.stream, durable=plan.durable, subject=plan.subject)


async def send(connection: NatsConnection, *bodies: bytes, headers: dict[str, str] | None = None) -> None:
    """This will put messages into the stream."""
    for body in bodies:
        await NatsMessageSender(connection).send(SUBJECT, body, headers or {})


async def fetched(consumer: NatsConsumer, count: int) -> list[Delivery]:
    """That many deliveries, in as many fetches as it takes."""
    found: list[Delivery] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            found += await consumer.fetch(count - len(found), 1)
    return found


async def until_waiting(connection: NatsConnection) -> None:
    """This will return once a pull waits on the server."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            info = await connection.jetstream.consumer_info(MERCHANT, MERCHANT_CREATED.durable)
            if info.num_waiting:
                return
            await asyncio.sleep(0.02)


async def reconnected(connection: NatsConnection) -> bool:
    """Whether the connection comes back with a client that is connected."""
    before = connection.connections
    async with asyncio.timeout(DEADLINE_S):
        while connection.connections == before:  # noqa: ASYNC110 - a counter, no event
            await asyncio.sleep(0.02)
    return await connection.wait_connected(DEADLINE_S)
