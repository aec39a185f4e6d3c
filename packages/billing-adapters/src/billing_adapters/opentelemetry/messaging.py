"""Spans of what is sent to NATS (semantic conventions for messaging)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.trace import Span, SpanKind

from billing_adapters.logs import get_logger
from billing_adapters.nats.streams import BILLING
from billing_adapters.opentelemetry.tracing import Tracing, context_of, note_error
from billing_adapters.tracing import trace_id_of
from billing_core.ports.publishing import EventPublisher, MessageSender, OutboxEvent

# How `encode_event` writes it. In no text of an event can this stand: there a quotation mark is escaped.
_SAMPLED: Final = re.compile(rb'"traceparent":"([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf])"')
_SENDING: Final = {
    "messaging.system": "nats",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
}

log = get_logger("relay")


class TracedPublisher:
    """Publishes, with a span for each event of a sampled trace, in that trace, and one for the batch with links to all
    of them."""

    def __init__(self, publisher: EventPublisher, tracing: Tracing) -> None:
        self._publisher, self._tracing = publisher, tracing

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """See `EventPublisher.publish`."""
        traced = [(each, found[1].decode()) for each in events if (found := _SAMPLED.search(each.body))]
        if not traced:
            await self._publisher.publish(events)
            return
        batch = self._tracing.begin(
            f"publish {BILLING}",
            kind=SpanKind.CLIENT,
            attributes={
                **_SENDING, "messaging.destination.name": BILLING, "messaging.batch.message_count": len(events)
            },
            links=[context_of(traceparent) for _, traceparent in traced],
        )  # fmt: skip
        spans = [self._begin(event, traceparent, batch) for event, traceparent in traced]
        try:
            with self._tracing.alone(batch):
                await self._publisher.publish(events)
        except BaseException as failure:
            for span in spans:
                note_error(span, failure)
            raise
        finally:
            for span in spans:
                span.end()
        for event, traceparent in traced:
            log.info("event.published", type=event.type, event_id=str(event.event_id), merchant_id=event.merchant_id,
                     trace_id=trace_id_of(traceparent))  # fmt: skip

    def _begin(self, event: OutboxEvent, traceparent: str, batch: Span) -> Span:
        attributes = {
            **_SENDING, "messaging.destination.name": event.type, "messaging.message.id": str(event.event_id),
            "billing.merchant_id": event.merchant_id,
        }  # fmt: skip
        span = self._tracing.inside(traceparent, f"publish {event.type}", kind=SpanKind.PRODUCER, attributes=attributes)
        span.add_link(batch.get_span_context())
        return span


class TracedSender:
    """Sends, with a span for each message."""

    def __init__(self, sender: MessageSender, tracing: Tracing) -> None:
        self._sender, self._tracing = sender, tracing

    async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """See `MessageSender.send`."""
        message_id = headers.get("Nats-Msg-Id", "")
        attributes = {**_SENDING, "messaging.destination.name": subject, "messaging.message.id": message_id}
        span = self._tracing.child(f"publish {subject}", kind=SpanKind.PRODUCER, attributes=attributes)
        with self._tracing.during(span):
            await self._sender.send(subject, body, headers)
