"""Consuming, as the first build does: one message, one transaction, one acknowledgement."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

Handle = Callable[[dict[str, Any]], Awaitable[None]]


async def consume(client: Client, subject: str, durable: str, stream: str, handle: Handle) -> None:
    """This will handle the messages of a consumer, one after the other, until it is cancelled."""
    subscription = await client.jetstream().pull_subscribe(subject, durable=durable, stream=stream)
    while True:
        try:
            messages = await subscription.fetch(10, timeout=1)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            await handle(json.loads(message.data))
            await message.ack()
