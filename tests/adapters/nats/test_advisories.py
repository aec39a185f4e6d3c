"""A message that NATS gives up is seen, though nobody was listening."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig

from billing_adapters.nats.advisories import (
    GivenUp,
    count_given_up,
    ensure_advisories,
    last_given_up,
)
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.keeping import keep_streams
from billing_adapters.nats.plan import ADVISORIES
from billing_adapters.nats.streams import MERCHANT, MERCHANT_CREATED, ensure_consumers, ensure_streams
from billing_core.errors import PublishingUnavailable

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
async def narrowed(connection: NatsConnection, jetstream: JetStreamContext) -> None:
    """Every stream, and a consumer that somebody edited to give up after the first delivery."""
    await ensure_streams(connection, manage_all=True)
    await ensure_advisories(connection)
    plan = MERCHANT_CREATED
    config = ConsumerConfig(durable_name=plan.durable, filter_subject=plan.subject, max_deliver=1, ack_wait=0.2)
    await jetstream.add_consumer(plan.stream, config)
    await jetstream.publish(plan.subject, b"one")


async def deliver(jetstream: JetStreamContext, *, end: bool) -> None:
    """This will take the message and end it, or leave it unanswered."""
    subscription = await jetstream.pull_subscribe_bind(MERCHANT_CREATED.durable, stream=MERCHANT)
    (message,) = await subscription.fetch(1, timeout=5)
    if end:
        await message.term()
    await subscription.unsubscribe()


class TestAdvisories:
    @pytest.mark.usefixtures("narrowed")
    @pytest.mark.parametrize("end", [False, True], ids=["delivered too often", "ended"])
    async def test_a_message_given_up_is_kept_in_mind(
        self, connection: NatsConnection, jetstream: JetStreamContext, eventually: Eventually, end: bool
    ) -> None:
        """By its consumer, its stream and its place there: the message itself is still in the stream."""

        async def seen() -> bool:
            return await count_given_up(connection) == 1

        await deliver(jetstream, end=end)
        await eventually(seen)

        (given_up,) = await last_given_up(connection)
        assert given_up == GivenUp(
            stream=MERCHANT, consumer=MERCHANT_CREATED.durable, sequence=1, deliveries=1, at=given_up.at
        )
        assert (await jetstream.get_msg(MERCHANT, seq=1)).data == b"one"

    async def test_nothing_given_up_is_none(self, connection: NatsConnection) -> None:
        """Without the stream it is not known; with it, and again after making it again, it is nothing."""
        before = await count_given_up(connection)
        await ensure_advisories(connection)
        await ensure_advisories(connection)

        assert (before, await count_given_up(connection)) == (None, 0)
        assert list(await last_given_up(connection)) == []

    async def test_other_consumers_advisories_are_left_to_others(self, connection: NatsConnection) -> None:
        """Another team may keep those of its own consumers: the subjects do not overlap."""
        await ensure_advisories(connection)
        subjects = ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.>"]

        await connection.jetstream.add_stream(StreamConfig(name="THEIRS", subjects=subjects))

        assert await count_given_up(connection) == 0

    async def test_a_stream_that_keeps_them_already_is_told_and_hinders_nothing(
        self, connection: NatsConnection, jetstream: JetStreamContext, eventually: Eventually
    ) -> None:
        """Streams and consumers are made all the same."""
        await jetstream.add_stream(StreamConfig(name="ALL", subjects=["$JS.EVENT.ADVISORY.>"]))
        stop = asyncio.Event()
        keeper = asyncio.create_task(keep_streams(connection, manage_all=True, stop=stop))

        async def consumers_are_there() -> bool:
            return {each.config.name for each in await jetstream.streams_info()} > {MERCHANT} and not (
                await ensure_consumers(connection)
            )

        await eventually(consumers_are_there)
        with pytest.raises(PublishingUnavailable, match=ADVISORIES):
            await ensure_advisories(connection)
        stop.set()
        await keeper
