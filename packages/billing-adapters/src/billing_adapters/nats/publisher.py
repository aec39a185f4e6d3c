"""Publishing to JetStream: our events in order and once, and messages of another service's kind."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from nats.js.api import PubAck
from nats.js.errors import APIError

from billing_adapters.nats.connection import NATS_FAILURES, REQUEST_TIMEOUT_S, NatsConnection
from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent

MAX_BATCH = 1000  # the server's limit for an atomic batch
CONTENT_TYPE: Final = "application/cloudevents+json"
_MESSAGE_ID: Final = "Nats-Msg-Id"
_COMMIT: Final = {"Nats-Batch-Commit": "1"}


class NatsEventPublisher:
    """Publishes events to the stream BILLING."""

    def __init__(self, connection: NatsConnection) -> None:
        """This will publish over the connection."""
        self._connection = connection

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """This will publish all events in the order given, each under its own id, and return when JetStream stored
        every one; those published before, within the stream's duplicate window, are dropped by it.

        Raises PublishingUnavailable where that is not certain; all may be published again.
        """
        await self.publish_again(events)

    async def publish_again(self, events: Sequence[OutboxEvent]) -> int:
        """This will publish the events as `publish` does, and say how many of them the stream did not know."""
        stored = 0
        for start in range(0, len(events), MAX_BATCH):
            chunk = events[start : start + MAX_BATCH]
            try:
                together = await self._publish_together(chunk)
                stored += len(chunk) if together else await self._publish_singly(chunk)
            except NATS_FAILURES as failure:
                raise PublishingUnavailable(f"NATS did not confirm {len(chunk)} events: {failure!r}") from failure
        return stored

    async def _publish_together(self, events: Sequence[OutboxEvent]) -> bool:
        """This will publish an atomic batch: some ten times as many events a second as one by one, at the same
        safety. False where the server refused it and so stored nothing, or does not know batches."""
        if len(events) < 2:
            return False
        client, batch_id = self._connection.client, secrets.token_hex(16)
        for number, event in enumerate(events[:-1], start=1):
            await client.publish(event.type, event.body, headers=_headers(event, batch_id, number))
        try:
            ack = await self._store(events[-1], _headers(events[-1], batch_id, len(events)) | _COMMIT)
        except APIError:
            # One id the stream has seen refuses the whole batch, and so does a stream without `allow_atomic`.
            return False
        return ack.batch_id == batch_id and ack.batch_size == len(events)

    async def _publish_singly(self, events: Sequence[OutboxEvent]) -> int:
        # Each waits for the one before: were two on their way at once, a lost one would end up behind its successor.
        acks = [await self._store(event, _headers(event)) for event in events]
        return sum(not ack.duplicate for ack in acks)

    async def _store(self, event: OutboxEvent, headers: dict[str, str]) -> PubAck:
        return await self._connection.jetstream.publish(
            event.type, event.body, headers=headers, timeout=REQUEST_TIMEOUT_S
        )


class NatsMessageSender:
    """Sends messages of another service's kind into the stream of their subject."""

    def __init__(self, connection: NatsConnection) -> None:
        """This will send over the connection."""
        self._connection = connection

    async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """This will put the message into the stream of its subject and return when JetStream stored it. Of headers
        that tell the server what to do only the message id is kept: those of a parked message told it long ago.

        Raises PublishingUnavailable, also where no stream takes the subject.
        """
        kept = {name: value for name, value in headers.items() if _is_kept(name)}
        try:
            await self._connection.jetstream.publish(subject, body, headers=kept, timeout=REQUEST_TIMEOUT_S)
        except NATS_FAILURES as failure:
            raise PublishingUnavailable(f"NATS did not confirm the message to {subject}: {failure!r}") from failure


def _headers(event: OutboxEvent, batch_id: str | None = None, number: int = 0) -> dict[str, str]:
    headers = {_MESSAGE_ID: str(event.event_id), "Content-Type": CONTENT_TYPE}
    if batch_id is not None:
        headers["Nats-Batch-Id"], headers["Nats-Batch-Sequence"] = batch_id, str(number)
    return headers


def _is_kept(name: str) -> bool:
    return not name.lower().startswith("nats-") or name.lower() == _MESSAGE_ID.lower()
