"""Spans: begun, made the current one, ended with what became of them.

No attribute holds what a caller, a platform or a person wrote, beside ids that logs have too: of an error its kind is
told, never its words.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)

from billing_adapters.opentelemetry.sampling import TraceIds
from billing_adapters.tracing import trace_id_of
from billing_core.errors import BillingError, PlatformError, PublishingUnavailable, StorageUnavailable
from billing_core.messages import untraced

Attributes = Mapping[str, str | int | float | bool]

_NOWHERE: Final = Context()
# Of our own errors those that are no refusal of what was asked.
_TROUBLE: Final = (PlatformError, StorageUnavailable, PublishingUnavailable)


class Tracing:
    """Makes spans. A span that is not sampled costs its making and nothing after."""

    def __init__(self, tracer: Tracer, ids: TraceIds) -> None:
        self._tracer, self._ids = tracer, ids

    def enter(
        self,
        name: str,
        *,
        traceparent: str | None,
        correlation_id: str,
        kind: SpanKind,
        attributes: Attributes | None = None,
    ) -> Span:
        """A span for what came from outside: in the caller's trace, else in one that begins here, under the trace id
        that its events have where nobody traced it."""
        if traceparent is None:
            self._ids.name(trace_id_of(untraced(correlation_id)))
            return self._tracer.start_span(name, _NOWHERE, kind, attributes)
        return self._tracer.start_span(name, _inside(traceparent), kind, attributes)

    def begin(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Iterable[SpanContext] = (),
    ) -> Span:
        """A span that begins a trace of its own, always sampled, linked to spans of others."""
        return self._tracer.start_span(name, _NOWHERE, kind, attributes, [Link(each) for each in links])

    def child(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        started_ns: int | None = None,
    ) -> Span:
        """A span below the current one; one that records nothing where there is none or it is not sampled."""
        if not is_sampled(trace.get_current_span()):
            return trace.INVALID_SPAN
        return self._tracer.start_span(name, None, kind, attributes, start_time=started_ns)

    def inside(self, traceparent: str, name: str, *, kind: SpanKind, attributes: Attributes) -> Span:
        """A span below the one the traceparent names."""
        return self._tracer.start_span(name, _inside(traceparent), kind, attributes)

    @contextmanager
    def during(self, span: Span) -> Iterator[Span]:
        """The span is the current one while the block runs and ends with it, noting the kind of what was raised."""
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield span
        except BaseException as error:
            note_error(span, error)
            raise
        finally:
            span.end()

    @contextmanager
    def current(self, span: Span) -> Iterator[None]:
        """The span is the current one while the block runs, and what is logged meanwhile has its trace id."""
        logged = structlog.contextvars.bound_contextvars(trace_id=trace_id_of(traceparent_of(span)))
        with logged, trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    @contextmanager
    def alone(self, span: Span) -> Iterator[None]:
        """As `during`, for a span nothing of ours is above: what is logged meanwhile has its trace id."""
        with self.current(span), self.during(span):
            yield

    def calling(self, platform: str, call: str) -> AbstractContextManager[Span]:
        """A span around one call to a payment platform."""
        attributes = {"billing.platform": platform, "billing.platform.call": call}
        return self.during(self.child(f"{platform} {call}", kind=SpanKind.CLIENT, attributes=attributes))


def is_sampled(span: Span) -> bool:
    """Whether the span is exported, also after its end."""
    return span.get_span_context().trace_flags.sampled


def traceparent_of(span: Span) -> str:
    """The span as W3C Trace Context writes it."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str) -> SpanContext:
    """The span that a traceparent names, somewhere else."""
    return SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:55], 16)),
    )


def note_error(span: Span, error: BaseException) -> None:
    """This will note the kind of an error, and that something went wrong unless it refuses what was asked."""
    span.set_attribute("error.type", type(error).__name__)
    if not isinstance(error, BillingError) or isinstance(error, _TROUBLE):
        span.set_status(StatusCode.ERROR)


def _inside(traceparent: str) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(context_of(traceparent)), _NOWHERE)
