"""Messages of other services, as they are delivered to one of our durable consumers."""

import asyncio
import time
from collections.abc import Awaitable, Sequence

from nats.aio.msg import Msg

from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import ConsumerPlan
from billing_adapters.nats.pull import ConsumerGone, Pull
from billing_adapters.nats.streams import ensure_consumer
from billing_core.errors import MalformedMessage, PublishingUnavailable
from billing_core.messages import InboundMessage

# How soon a server that is there but refuses is asked again.
TRY_AGAIN_AFTER_S = 0.5
_OUTAGE = (PublishingUnavailable, ConsumerGone, *NATS_FAILURES)


class Delivery:
    """A message and the answers to its delivery.

    An answer that cannot be sent is logged and forgotten: then the message comes again, and is known by its id.
    """

    __slots__ = ("_connection", "_delivered", "message")

    def __init__(self, connection: NatsConnection, delivered: Msg) -> None:
        """This will take a message as nats-py delivered it."""
        self._connection = connection
        self._delivered = delivered
        self.message = inbound(delivered)

    async def ack(self) -> None:
        """This will tell the broker that the message is done. Only after the commit."""
        await self._answer(self._delivered.ack())

    async def nak(self, delay_s: float) -> None:
        """This will ask for the message again after `delay_s` seconds."""
        # Without a delay it would come back at once, over and over.
        await self._answer(self._delivered.nak(max(delay_s, 0.001)))

    async def in_progress(self) -> None:
        """This will say that the work goes on: the time until the message is delivered again starts anew."""
        await self._answer(self._delivered.in_progress())

    async def _answer(self, answer: Awaitable[None]) -> None:
        try:
            await answer
        except NATS_FAILURES as failure:
            self._connection.warn("NATS was not told the outcome of a message; it will come again", failure)


class NatsConsumer:
    """One of our durable consumers, shared by all workers."""

    def __init__(self, connection: NatsConnection, *, stream: str, durable: str, subject: str) -> None:
        """This will consume `subject` from `stream`; the consumer is made when it is missing."""
        self._connection = connection
        self._plan = ConsumerPlan(stream=stream, durable=durable, subject=subject)
        self._pull = Pull(connection, stream=stream, consumer=durable)

    async def fetch(self, batch: int, timeout_s: float) -> Sequence[Delivery]:
        """This will return up to `batch` deliveries, as soon as there are any; none when none came within
        `timeout_s` seconds, or while NATS, the stream or the consumer is missing. Never raises for an outage, but
        tries again until the time is over, so it may be called in a loop. Handle what it returned within the
        `ack_wait` of 30 s or say `in_progress`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return await self._fetch(batch, deadline)
            except _OUTAGE as failure:
                self._connection.warn(f"no messages from {self._plan.durable}", failure)
            if not await self._worth_another_try(deadline):
                return ()

    async def pending(self) -> int | None:
        """How many messages are not done yet, delivered or not; None where that cannot be told now."""
        return await pending(self._connection, self._plan)

    async def _fetch(self, batch: int, deadline: float) -> Sequence[Delivery]:
        try:
            found = await self._pull.messages(batch, deadline - time.monotonic())
        except ConsumerGone:
            await ensure_consumer(self._connection, self._plan)
            found = await self._pull.messages(batch, deadline - time.monotonic())
        return tuple(delivery for each in found if (delivery := self._delivery(each)) is not None)

    def _delivery(self, found: Msg) -> Delivery | None:
        try:
            return Delivery(self._connection, found)
        except MalformedMessage as stray:  # whoever may publish to our inbox may send anything there
            self._connection.warn(f"a message that {self._plan.durable} did not deliver is passed over", stray)
            return None

    async def _worth_another_try(self, deadline: float) -> bool:
        """This will wait for the connection, or, where NATS answers but refuses (it may still be clearing a deleted
        consumer away), for a moment; False when the time is over."""
        left_s = deadline - time.monotonic()
        if not self._connection.is_connected:
            return await self._connection.wait_connected(left_s)
        await asyncio.sleep(max(min(left_s, TRY_AGAIN_AFTER_S), 0))
        return left_s > TRY_AGAIN_AFTER_S


async def pending(connection: NatsConnection, plan: ConsumerPlan) -> int | None:
    """How many messages of a consumer are not done yet, delivered or not; None where that cannot be told now."""
    try:
        info = await connection.jetstream.consumer_info(plan.stream, plan.durable)
    except _OUTAGE as failure:
        connection.warn(f"no figures of {plan.durable}", failure)
        return None
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


def inbound(delivered: Msg) -> InboundMessage:
    """The core's view of a message that JetStream delivered. Raises MalformedMessage where it was not JetStream."""
    return InboundMessage(
        subject=delivered.subject,
        body=delivered.data,
        headers=dict(delivered.headers or {}),
        attempt=_attempt(delivered.reply),
    )


def _attempt(reply: str) -> int:
    """How often the message was delivered, from the subject it is answered on. nats-py reads the same from it, but all
    the rest too, moments included, which takes longer than everything else here."""
    # $JS.ACK.<stream>.<consumer>.<delivered>.… with 9 parts; with 11 or 12 there are a domain and an account before.
    parts = reply.split(".")
    try:
        attempt = int(parts[4 if len(parts) == 9 else 6])
    except (IndexError, ValueError):
        attempt = 0
    if attempt < 1:
        raise MalformedMessage("it is not answered where deliveries are")
    return attempt
