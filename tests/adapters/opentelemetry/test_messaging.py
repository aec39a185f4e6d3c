"""Spans of what is published: one for each event of a sampled trace, and one for the batch."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs
from tests.tracing_kit import SAMPLED, UNSAMPLED, Traces, linked, own, place

from billing_adapters.opentelemetry.messaging import TracedPublisher, TracedSender
from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import InMemoryBilling
from billing_core.testing.memory import InMemorySender


class Publisher:
    """A publisher that takes everything, or nothing."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.taken: list[OutboxEvent] = []
        self._failure = failure

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        if self._failure is not None:
            raise self._failure
        self.taken.extend(events)


def event(traceparent: str, **more: str) -> OutboxEvent:
    """An event of that trace."""
    body = f'{{"id":"1","correlationid":"c","traceparent":"{traceparent}","data":{{}}}}'.encode()
    kind = more.get("type", "evt.billing.trial.started")
    return OutboxEvent(event_id=uuid4(), merchant_id="m-1", sequence=1, type=kind, body=body)


class TestPublishing:
    async def test_each_sampled_event_has_a_span_in_its_trace(self) -> None:
        """Below the span it was decided under, linked to the batch; those not sampled have none, and all are sent."""
        traces, inner = Traces(), Publisher()
        events = [event(SAMPLED), event(UNSAMPLED), event(SAMPLED, type="evt.billing.credits.purchased")]

        with capture_logs() as logged:
            await TracedPublisher(inner, traces.tracing).publish(events)

        assert inner.taken == events
        batch, first = traces.named("publish BILLING"), traces.named("publish evt.billing.trial.started")
        assert len(traces.spans) == 3
        assert place(first) == place(traces.named("publish evt.billing.credits.purchased"))
        assert place(first) == (SAMPLED[3:35], SAMPLED[36:52])
        assert (first.kind, batch.kind) == (SpanKind.PRODUCER, SpanKind.CLIENT)
        assert place(batch)[1] == ""
        assert linked(batch) == {SAMPLED[36:52]}
        assert linked(first) == {own(batch)[36:52]}
        assert [(line["event"], line["trace_id"]) for line in logged] == 2 * [("event.published", SAMPLED[3:35])]

    async def test_where_none_is_sampled_there_is_none(self) -> None:
        """Publishing what nobody follows costs a look at each."""
        traces, inner = Traces(), Publisher()

        await TracedPublisher(inner, traces.tracing).publish([event(UNSAMPLED)])

        assert len(inner.taken) == 1
        assert traces.spans == ()

    async def test_what_was_not_confirmed_is_told_as_an_error(self) -> None:
        """Of the events and of the batch; the outage is the relay's to handle."""
        traces = Traces()
        publisher = TracedPublisher(Publisher(PublishingUnavailable("secret words")), traces.tracing)

        with capture_logs() as logged, pytest.raises(PublishingUnavailable):
            await publisher.publish([event(SAMPLED)])

        assert [each.status.status_code for each in traces.spans] == 2 * [StatusCode.ERROR]
        assert logged == []

    async def test_the_trace_is_found_in_our_own_events(self) -> None:
        """As the outbox has them, byte for byte."""
        billing, traces = InMemoryBilling(), Traces()
        caller = await billing.register()
        await billing.activate_trial(replace(caller, traceparent=SAMPLED), "key")
        await billing.relay_events()

        await TracedPublisher(Publisher(), traces.tracing).publish(billing.published)

        assert place(traces.named("publish evt.billing.trial.started")) == (SAMPLED[3:35], SAMPLED[36:52])


async def test_a_message_is_sent_in_a_span_of_whoever_sends_it() -> None:
    """Below the request; nothing of its body is told."""
    traces, sender = Traces(), InMemorySender()
    span = traces.tracing.begin("job x")

    with traces.tracing.alone(span):
        await TracedSender(sender, traces.tracing).send("evt.webhook.x", b"secret", {"Nats-Msg-Id": "1"})

    sent = traces.named("publish evt.webhook.x")
    assert place(sent)[1] == own(traces.named("job x"))[36:52]
    assert sent.attributes is not None
    assert sent.attributes["messaging.message.id"] == "1"
    assert "secret" not in sent.to_json()
    assert len(sender.sent) == 1
