"""Pulling batches from a consumer by hand."""

import asyncio
import itertools
import json
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg

WAIT_NS = 1_000_000_000


class Pulling:
    """Pulls from one consumer, one batch at a time; a callback is by far nats-py's fastest way to be told."""

    def __init__(self, client: Client, *, stream: str, consumer: str) -> None:
        self._client, self._inbox = client, client.new_inbox()
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._numbers = itertools.count(1)

    @classmethod
    async def begin(cls, client: Client, *, stream: str, consumer: str) -> Self:
        """This will listen, and ask for nothing yet."""
        pulling = cls(client, stream=stream, consumer=consumer)
        await client.subscribe(f"{pulling._inbox}.*", cb=pulling._arrived.put)
        return pulling

    async def batch(self, size: int) -> list[Msg]:
        """This will return up to `size` messages, as soon as there are some."""
        while True:
            reply = f"{self._inbox}.{next(self._numbers)}"
            for request in ({"batch": size, "no_wait": True}, {"batch": 1, "expires": WAIT_NS}):
                await self._client.publish(self._subject, json.dumps(request).encode(), reply=reply)
                messages: list[Msg] = []
                while len(messages) < request["batch"]:
                    message = await self._arrived.get()
                    if not message.reply:
                        break  # the end of the pull
                    messages.append(message)
                if messages:
                    return messages
