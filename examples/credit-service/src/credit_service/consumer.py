"""The consumer: fetch a batch, take it in one transaction, and only then acknowledge it.

A process that dies in between gets the batch again and knows every event by its id. Any number of processes may share
the consumer: the store puts each merchant's events in order.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NothingThere
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from credit_service.store import CreditStore

STREAM, SUBJECT, DURABLE = "BILLING", "evt.billing.>", "credit-service"
BATCH = 100
WAIT_S = 0.5
TRY_AGAIN_AFTER_S = 0.5
CONNECT_WITHIN_S = 2
_FAILURES = (NatsError, OSError, TimeoutError)
_log = logging.getLogger("credit_service")


async def consume(nats_url: str, store: CreditStore, stop: asyncio.Event, *, ack_wait_s: float = 30) -> None:
    """This will take every event, those of the past first, until `stop` is set; over outages of NATS and of the store
    it goes on."""
    while not stop.is_set():
        try:
            async with _connection(nats_url) as client:
                events = await _subscribe(client, ack_wait_s)
                while not stop.is_set():
                    await _take_some(events, store)
        except (sqlite3.OperationalError, *_FAILURES) as failure:
            # Nothing was acknowledged: what was fetched comes again.
            _log.warning("interrupted, trying again: %s: %s", type(failure).__name__, failure)
            await asyncio.sleep(TRY_AGAIN_AFTER_S)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[Client]:
    """A connection for as long as nothing interrupts: closed with its subscription, so that none is left behind."""
    client = await _connect(url)
    try:
        yield client
    finally:
        with suppress(*_FAILURES):
            await client.close()


async def _connect(url: str) -> Client:
    return await nats.connect(
        url, name=DURABLE, connect_timeout=CONNECT_WITHIN_S, max_reconnect_attempts=-1, error_cb=_told
    )


async def _subscribe(client: Client, ack_wait_s: float) -> JetStreamContext.PullSubscription:
    """Raises nats-py's NotFoundError until Billing has made its stream."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,  # giving up is our decision: such a message is parked
    )
    return await client.jetstream().pull_subscribe(SUBJECT, durable=DURABLE, stream=STREAM, config=config)


async def _take_some(events: JetStreamContext.PullSubscription, store: CreditStore) -> None:
    try:
        messages = await events.fetch(BATCH, timeout=WAIT_S)
    except NothingThere:
        return
    store.take(each.data for each in messages)
    for each in messages:
        await _acknowledge(each)


async def _acknowledge(message: Msg) -> None:
    # Where it does not arrive the message comes again, which is harmless.
    await message.ack()


async def _told(failure: Exception) -> None:
    _log.warning("NATS: %s: %s", type(failure).__name__, failure)
