"""Spans of messages and jobs. Imported only where traces are exported."""

import dataclasses
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from opentelemetry.trace import Span, SpanKind, StatusCode

from billing_adapters.logs import get_logger
from billing_adapters.opentelemetry.tracing import Tracing, is_sampled, note_error, traceparent_of
from billing_adapters.tracing import job_traceparent, trace_id_of
from billing_core.errors import MalformedMessage
from billing_core.messages import Envelope, InboundMessage, open_envelope
from billing_core.use_cases.inbound import Done, Outcome
from billing_core.use_cases.jobs import Job, JobReport, ScheduledJob
from billing_worker.consuming import Consume

_PROCESSING: Final = {
    "messaging.system": "nats", "messaging.operation.name": "process", "messaging.operation.type": "process"
}  # fmt: skip

log = get_logger("consumer")


class TracedConsume:
    """Consumes, with a span for each message of a sampled trace, in that trace: what the message brings about goes on
    from there. A message that came alone has what is asked of databases and platforms below its span; where more came
    together, that is below one span for the batch, linked to theirs."""

    def __init__(self, consume: Consume, tracing: Tracing, *, consumer: str) -> None:
        self._consume, self._tracing, self._consumer = consume, tracing, consumer

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """See `Consumption`."""
        spans = [self._begin(message) for message in messages]
        traced = [each for each in spans if each is not None]
        if not traced:
            return await self._consume(messages)
        handed_on = [_under(span, message) for span, message in zip(spans, messages, strict=True)]
        try:
            with self._around(traced, len(messages)):
                outcomes = await self._consume(handed_on)
        except BaseException as error:
            for each in traced:
                note_error(each, error)
                each.end()
            raise
        for message, span, outcome in zip(messages, spans, outcomes, strict=True):
            if span is not None:
                self._end(span, message, outcome)
        return outcomes

    def _around(self, traced: Sequence[Span], size: int) -> AbstractContextManager[object]:
        """What is done meanwhile is below the one message's span, or below one for the batch."""
        return self._tracing.current(traced[0]) if size == 1 else self._tracing.alone(self._begin_batch(traced, size))

    def _begin(self, message: InboundMessage) -> Span | None:
        try:
            envelope = open_envelope(message)
        except MalformedMessage:
            return None  # it is parked, and there is nothing to follow
        span = self._tracing.enter(
            f"process {message.subject}",
            traceparent=envelope.traceparent,
            correlation_id=envelope.correlation_id,
            kind=SpanKind.CONSUMER,
            attributes={**self._attributes(message.subject), **_ids(envelope, message)},
        )
        return span if is_sampled(span) else None

    def _begin_batch(self, traced: Iterable[Span], size: int) -> Span:
        batch = self._tracing.begin(
            f"process {self._consumer}",
            kind=SpanKind.CONSUMER,
            attributes={**self._attributes(self._consumer), "messaging.batch.message_count": size},
            links=[span.get_span_context() for span in traced],
        )
        for span in traced:
            span.add_link(batch.get_span_context())
        return batch

    def _attributes(self, destination: str) -> dict[str, str]:
        return {
            **_PROCESSING, "messaging.destination.name": destination, "messaging.consumer.group.name": self._consumer
        }  # fmt: skip

    def _end(self, span: Span, message: InboundMessage, outcome: Outcome) -> None:
        kind = type(outcome).__name__.lower()
        span.set_attribute("billing.outcome", kind)
        if not isinstance(outcome, Done):
            span.set_status(StatusCode.ERROR)
        span.end()
        log.info("message.traced", consumer=self._consumer, subject=message.subject, outcome=kind,
                 trace_id=trace_id_of(traceparent_of(span)))  # fmt: skip


class TracedJob:
    """A job with a span for each run. What it changes that nobody else traced is announced in that trace."""

    def __init__(self, job: ScheduledJob, tracing: Tracing, traces: MutableMapping[str, str]) -> None:
        self._run, self._name = job.run, job.name
        self._tracing, self._traces = tracing, traces

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """See `Job`."""
        span = self._tracing.begin(f"job {self._name}", attributes={"billing.job": self._name})
        traceparent = traceparent_of(span)
        self._traces[self._name] = trace_id_of(traceparent)
        token = job_traceparent.set(traceparent)
        try:
            with self._tracing.alone(span):
                report = await self._run(now)
                span.set_attribute("billing.job.done", report.done)
                return report
        finally:
            job_traceparent.reset(token)


def traced_jobs(
    jobs: Sequence[ScheduledJob], tracing: Tracing, traces: MutableMapping[str, str]
) -> tuple[ScheduledJob, ...]:
    """The jobs, each run a span. `traces` is told the trace id of each job's last run."""
    runs: Sequence[Job] = [TracedJob(job, tracing, traces) for job in jobs]
    return tuple(dataclasses.replace(job, run=run) for job, run in zip(jobs, runs, strict=True))


def _under(span: Span | None, message: InboundMessage) -> InboundMessage:
    return message if span is None else dataclasses.replace(message, traceparent=traceparent_of(span))


def _ids(envelope: Envelope, message: InboundMessage) -> dict[str, str | int]:
    return {
        "messaging.message.id": envelope.message_id,
        "billing.correlation_id": envelope.correlation_id,
        "billing.message.attempt": message.attempt,
    }
