"""Looking after the streams and consumers for as long as a worker runs."""

import asyncio
import time
from contextlib import suppress

from billing_adapters.nats.advisories import ensure_advisories
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_core.errors import PublishingUnavailable

LOOK_AGAIN_AFTER_S = 2.0
CHECK_EVERY_S = 60.0


async def keep_streams(connection: NatsConnection, *, manage_all: bool, replicas: int = 1, stop: asyncio.Event) -> None:
    """This will do `ensure_streams` and `ensure_consumers` when NATS comes, until the streams of the other services are
    there too, and every minute. It ends when `stop` is set (a cancellation nats-py may swallow), and never raises for
    an outage."""
    done_for, done_at = 0, 0.0
    while not stop.is_set():
        connected = connection.connections
        due = connected != done_for or time.monotonic() - done_at > CHECK_EVERY_S
        if connection.is_connected and due:
            try:
                await ensure_streams(connection, manage_all=manage_all, replicas=replicas)
                if not await ensure_consumers(connection):
                    done_for, done_at = connected, time.monotonic()
                await ensure_advisories(connection, replicas=replicas)  # last: nothing of Billing needs it
            except PublishingUnavailable as failure:
                connection.warn("streams not ready", failure)
        with suppress(TimeoutError):  # nobody stopped us: look again
            await asyncio.wait_for(stop.wait(), LOOK_AGAIN_AFTER_S)
