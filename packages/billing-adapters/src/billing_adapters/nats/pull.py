"""Pulling messages from a consumer: what is there at once, or else the first one that comes."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from billing_adapters.nats.connection import NatsConnection

# How long the answer to "give me what you have" may take; the server answers at once, full or empty.
ANSWER_TIMEOUT_S = 2.0
# A pull that waits ends on the server before we stop listening, so that it takes no message nobody reads.
SERVER_ENDS_EARLIER_S = 0.05
_NANOSECONDS = 1_000_000_000
_HEARTBEAT = "100"
# Where deliveries are answered. Whoever may publish to our inbox may send anything there.
_DELIVERED = "$JS.ACK."


class ConsumerGone(Exception):
    """The server knows no such consumer (any more), or no such stream."""


class Pull:
    """Pulls from one consumer.

    nats-py's own `fetch` waits for a full batch once it had to wait for the first message, so that a single message
    would be handled as late as the time-out allows. One pull at a time.
    """

    def __init__(self, connection: NatsConnection, *, stream: str, consumer: str) -> None:
        """This will pull from the consumer of the stream; nothing happens before the first pull."""
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._client: Client | None = None
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._numbers = itertools.count(1)

    async def messages(self, batch: int, timeout_s: float) -> Sequence[Msg]:
        """This will return up to `batch` messages: those that are there, or else, within `timeout_s` seconds, the
        first that comes and those with it. Empty when none came.

        Raises ConsumerGone, PublishingUnavailable or what nats-py raises. Cancelled, it leaves what it received to
        be delivered again after the consumer's `ack_wait`.
        """
        deadline = time.monotonic() + timeout_s
        found = await self.waiting_messages(batch)
        left_s = deadline - time.monotonic()
        if found or left_s <= 2 * SERVER_ENDS_EARLIER_S:
            return found
        expires = {"expires": int((left_s - SERVER_ENDS_EARLIER_S) * _NANOSECONDS)}
        first = await self._request({"batch": 1, **expires}, 1, left_s)
        if not first or batch == 1:
            return first
        return [*first, *await self.waiting_messages(batch - 1)]

    async def waiting_messages(self, batch: int) -> Sequence[Msg]:
        """This will return up to `batch` messages that are there now. Raises as `messages` does."""
        return await self._request({"batch": batch, "no_wait": True}, batch, ANSWER_TIMEOUT_S)

    async def close(self) -> None:
        """This will stop listening."""
        subscription, self._subscription, self._client = self._subscription, None, None
        if subscription is not None and self._connection.is_connected:
            await subscription.unsubscribe()

    async def _request(self, request: dict[str, object], batch: int, timeout_s: float) -> Sequence[Msg]:
        arrived = await self._listening()
        reply = f"{self._inbox}.{next(self._numbers)}"
        messages: list[Msg] = []
        async with self._connection.asking(self._subject):
            await self._connection.client.publish(self._subject, json.dumps(request).encode(), reply=reply)
            with suppress(TimeoutError):  # a restarted server has forgotten the pull
                async with asyncio.timeout(timeout_s):
                    while len(messages) < batch:
                        message = await arrived.get()
                        if message.reply.startswith(_DELIVERED):
                            messages.append(message)
                        elif message.reply:
                            self._connection.warn("a message that no consumer delivered is passed over")
                        elif message.subject == reply and self._is_end(message):  # not the end of an earlier pull
                            break
        return messages

    async def _listening(self) -> asyncio.Queue[Msg]:
        client = self._connection.client
        if self._client is not client:
            # What comes is put here by nats-py; asking it for one message after the other makes a task and a timer for
            # each.
            self._arrived, self._inbox = asyncio.Queue(), client.new_inbox()
            self._subscription = await client.subscribe(f"{self._inbox}.*", cb=self._arrived.put)
            self._client = client
        return self._arrived

    @staticmethod
    def _is_end(message: Msg) -> bool:
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == "503" or "consumer deleted" in headers.get("Description", "").lower():
            raise ConsumerGone(f"{status} {headers.get('Description', 'no such consumer')}")
        return status != _HEARTBEAT
