"""Publishing: in order, once, and never said to be done when it is not certain."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.nats.streams import BILLING, MERCHANT, ensure_streams
from billing_adapters.nats.tail import tail
from billing_core.errors import PublishingUnavailable
from billing_core.messages import InboundMessage
from billing_core.ports.publishing import OutboxEvent

DEADLINE_S = 30.0


class TestNatsEventPublisher:
    async def test_keeps_the_order_and_the_bytes(self, connection: NatsConnection) -> None:
        """Events arrive byte for byte, in the order given, over more than one batch, with id and content type."""
        await ensure_streams(connection, manage_all=False)
        events = [an_event(number) for number in range(1, 2502)]

        await NatsEventPublisher(connection).publish(events)

        stored = await everything(connection)
        assert [each.body for each in stored] == [each.body for each in events]
        assert [each.headers["Nats-Msg-Id"] for each in stored] == [str(each.event_id) for each in events]
        assert {each.headers["Content-Type"] for each in stored} == {"application/cloudevents+json"}
        assert stored[0].subject == events[0].type

    async def test_many_are_one_atomic_batch(self, connection: NatsConnection) -> None:
        """Events that are published together are stored together or not at all."""
        await ensure_streams(connection, manage_all=False)

        await NatsEventPublisher(connection).publish([an_event(number) for number in range(1, 11)])

        assert len({each.headers["Nats-Batch-Id"] for each in await everything(connection)}) == 1

    async def test_published_again_are_stored_once(self, connection: NatsConnection) -> None:
        """Publishing everything again, one or many, stores nothing a second time."""
        await ensure_streams(connection, manage_all=False)
        publisher, events = NatsEventPublisher(connection), [an_event(number) for number in range(1, 6)]

        for again in (events, events, events[:1], events[2:]):
            await publisher.publish(again)

        assert bodies(await everything(connection)) == bodies(events)

    async def test_publishing_again_tells_what_was_new(self, connection: NatsConnection) -> None:
        """Together or one by one, those the stream did not know are counted, and stored."""
        await ensure_streams(connection, manage_all=False)
        publisher, events = NatsEventPublisher(connection), [an_event(number) for number in range(1, 6)]

        stored = [await publisher.publish_again(each) for each in (events[:2], events[:2], events, events[:1])]

        assert stored == [2, 0, 3, 0]
        assert bodies(await everything(connection)) == bodies(events)

    async def test_one_known_event_does_not_hold_back_the_others(self, connection: NatsConnection) -> None:
        """A batch with one event that was published before is stored but for that one, in order."""
        await ensure_streams(connection, manage_all=False)
        publisher, events = NatsEventPublisher(connection), [an_event(number) for number in range(1, 8)]
        await publisher.publish(events[3:4])

        await publisher.publish(events)

        expected = [events[3], *events[:3], *events[4:]]
        assert bodies(await everything(connection)) == bodies(expected)

    async def test_same_event_twice_in_one_call_is_stored_once(self, connection: NatsConnection) -> None:
        """An event given twice is one event."""
        await ensure_streams(connection, manage_all=False)
        event, other = an_event(1), an_event(2)

        await NatsEventPublisher(connection).publish([event, event, other])

        assert bodies(await everything(connection)) == bodies([event, other])

    async def test_stream_without_batches_takes_them_singly(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """A stream that takes no atomic batches gets the same events in the same order."""
        await jetstream.add_stream(StreamConfig(name=BILLING, subjects=["evt.billing.>"]))
        events = [an_event(number) for number in range(1, 8)]

        await NatsEventPublisher(connection).publish(events)

        assert bodies(await everything(connection)) == bodies(events)

    async def test_nothing_to_publish_needs_no_nats(self, server: Any, connection: NatsConnection) -> None:
        """No events are published without asking anybody."""
        await server.stop()

        await NatsEventPublisher(connection).publish([])

    @pytest.mark.parametrize("count", [1, 3])
    async def test_without_a_stream_it_says_so(self, connection: NatsConnection, count: int) -> None:
        """Events that no stream keeps are not said to be published."""
        with pytest.raises(PublishingUnavailable):
            await NatsEventPublisher(connection).publish([an_event(number) for number in range(1, count + 1)])

    async def test_full_stream_refuses_instead_of_losing(
        self, connection: NatsConnection, jetstream: JetStreamContext
    ) -> None:
        """At a limit an operator set, the new event is refused, and the old one stays."""
        await ensure_streams(connection, manage_all=False)
        config = (await jetstream.stream_info(BILLING)).config
        await jetstream.update_stream(config.evolve(max_msgs=1))
        publisher, kept = NatsEventPublisher(connection), an_event(1)
        await publisher.publish([kept])

        with pytest.raises(PublishingUnavailable):
            await publisher.publish([an_event(2), an_event(3)])

        assert bodies(await everything(connection)) == bodies([kept])

    async def test_away_it_fails_at_once_and_back_it_works(self, server: Any, connection: NatsConnection) -> None:
        """While NATS is stopped nothing waits; afterwards the same events go out once, and the dedupe survived."""
        await ensure_streams(connection, manage_all=False)
        publisher, events = NatsEventPublisher(connection), [an_event(number) for number in range(1, 6)]
        await publisher.publish(events[:2])
        await server.stop()

        async with asyncio.timeout(DEADLINE_S):
            for _ in range(20):
                with pytest.raises(PublishingUnavailable):
                    await publisher.publish(events)
        await server.start()
        assert await connection.wait_connected(DEADLINE_S)
        await publisher.publish(events)

        assert bodies(await everything(connection)) == bodies(events)

    async def test_without_an_answer_it_is_not_certain(self, server: Any, connection: NatsConnection) -> None:
        """When the confirmation does not come it fails; what arrived all the same is not stored again."""
        await ensure_streams(connection, manage_all=False)
        publisher, events = NatsEventPublisher(connection), [an_event(number) for number in range(1, 6)]
        await server.freeze()

        with pytest.raises(PublishingUnavailable):
            await publisher.publish(events)
        await server.thaw()
        await publisher.publish(events)

        assert bodies(await everything(connection)) == bodies(events)


class TestNatsMessageSender:
    async def test_puts_the_message_into_the_stream_of_its_subject(self, connection: NatsConnection) -> None:
        """The message arrives with its bytes and its own headers."""
        await ensure_streams(connection, manage_all=True)

        await NatsMessageSender(connection).send("evt.merchant.created", b"\x00raw", {"traceparent": "t", "X": "y"})

        (stored,) = await everything(connection, "evt.merchant.>")
        assert (stored.body, stored.headers) == (b"\x00raw", {"traceparent": "t", "X": "y"})

    async def test_keeps_of_the_brokers_headers_only_the_id(self, connection: NatsConnection) -> None:
        """A parked message that was once part of a batch, or expected a place, is sent as a message of its own."""
        await ensure_streams(connection, manage_all=True)
        headers = {
            "Nats-Msg-Id": "replay-1",
            "Nats-Batch-Id": "b",
            "Nats-Batch-Sequence": "7",
            "Nats-Expected-Last-Sequence": "99",
            "nats-ttl": "1s",
        }

        await NatsMessageSender(connection).send("evt.merchant.created", b"{}", headers)

        (stored,) = await everything(connection, "evt.merchant.>")
        assert stored.headers == {"Nats-Msg-Id": "replay-1"}

    async def test_says_when_no_stream_takes_it(self, connection: NatsConnection) -> None:
        """A message nobody keeps is not said to be sent."""
        with pytest.raises(PublishingUnavailable):
            await NatsMessageSender(connection).send("evt.merchant.created", b"{}", {})

    async def test_says_when_nats_is_away(self, server: Any, connection: NatsConnection) -> None:
        """Without NATS it fails at once, and nothing is sent later behind the caller's back."""
        await ensure_streams(connection, manage_all=True)
        await server.stop()

        with pytest.raises(PublishingUnavailable):
            await NatsMessageSender(connection).send("evt.merchant.created", b"{}", {})
        await server.start()
        assert await connection.wait_connected(DEADLINE_S)
        await connection.ping()

        assert (await connection.jetstream.stream_info(MERCHANT)).state.messages == 0


def an_event(sequence: int, event_id: UUID | None = None) -> OutboxEvent:
    """An event of a merchant."""
    return OutboxEvent(
        event_id=event_id or uuid4(),
        merchant_id="m",
        sequence=sequence,
        type="evt.billing.credits.purchased",
        body=b'{"sequence":%d}' % sequence,
    )


async def everything(connection: NatsConnection, subject: str = "evt.billing.>") -> list[InboundMessage]:
    """All messages of the subject."""
    return [each async for each in tail(connection, subject, since_s=3600, follow=False)]


def bodies(messages: list[InboundMessage] | list[OutboxEvent]) -> list[bytes]:
    """What the messages say."""
    return [each.body for each in messages]
