"""Following a subject for people: `billing events tail`."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.consumer import inbound
from billing_adapters.nats.pull import ConsumerGone, Pull
from billing_core.errors import PublishingUnavailable
from billing_core.messages import InboundMessage

BATCH = 200
WAIT_S = 2.0
# The server forgets the consumer of a reader that was killed after this time.
FORGOTTEN_AFTER_S = 60.0


async def tail(
    connection: NatsConnection, subject: str, *, since_s: float | None, follow: bool
) -> AsyncIterator[InboundMessage]:
    """This will yield the messages of `subject` (wildcards allowed) in order: those of the last `since_s` seconds,
    or with None only new ones. It ends with the last one there is, unless it shall `follow`: then it goes on, over
    outages of NATS too. Nobody's consumer is touched.

    Raises PublishingUnavailable when NATS is away at first, or no stream has the subject.
    """
    start = _Start(since_s)
    try:
        stream = await connection.jetstream.find_stream_name_by_subject(subject)
        pull = await _open(connection, stream, subject, start)
    except NotFoundError as missing:
        raise PublishingUnavailable(f"no stream has the subject {subject}; see `billing doctor`") from missing
    except NATS_FAILURES as failure:
        raise PublishingUnavailable(f"NATS cannot be read right now: {failure}") from failure
    while True:
        try:
            found = await (pull.messages(BATCH, WAIT_S) if follow else pull.waiting_messages(BATCH))
        except (ConsumerGone, PublishingUnavailable, *NATS_FAILURES) as failure:
            if not follow:
                raise PublishingUnavailable(f"NATS cannot be read right now: {failure}") from failure
            connection.warn("reading events interrupted", failure)
            pull = await _reopen(connection, stream, subject, start) or pull
            continue
        for each in found:
            start.after = each.metadata.sequence.stream
            yield inbound(each)
        if not found and not follow:
            return


class _Start:
    """Where to read on: after the last message seen, or from a time."""

    def __init__(self, since_s: float | None) -> None:
        # New ones only, too, start at a time: so those that come while NATS is away are not missed.
        self._from = datetime.now(UTC) - timedelta(seconds=since_s or 0)
        self.after = 0

    def config(self, subject: str) -> ConsumerConfig:
        config = ConsumerConfig(
            name=f"billing-tail-{secrets.token_hex(8)}",
            filter_subject=subject,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=FORGOTTEN_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
        if self.after:
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, self.after + 1
        else:
            config.deliver_policy, config.opt_start_time = DeliverPolicy.BY_START_TIME, self._from
        return config


async def _open(connection: NatsConnection, stream: str, subject: str, start: _Start) -> Pull:
    config = start.config(subject)
    await connection.jetstream.add_consumer(stream, config)
    return Pull(connection, stream=stream, consumer=str(config.name))


async def _reopen(connection: NatsConnection, stream: str, subject: str, start: _Start) -> Pull | None:
    await asyncio.sleep(1)  # whatever it was, it is not asked again in a hot loop
    await connection.wait_connected(WAIT_S)
    try:
        return await _open(connection, stream, subject, start)
    except (PublishingUnavailable, *NATS_FAILURES) as failure:
        connection.warn("reading events interrupted", failure)
        return None
