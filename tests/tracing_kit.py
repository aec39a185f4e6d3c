"""Traces that stay in memory."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from billing_adapters.opentelemetry.sampling import TraceIds, sampler
from billing_adapters.opentelemetry.tracing import Tracing

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-00"


class Traces:
    """A `tracing` as processes have it, whose sampled spans can be looked at."""

    def __init__(self, ratio: float = 1.0) -> None:
        ids, self._exporter = TraceIds(), InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler(ratio), id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("tests"), ids)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that ended, in this order."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        (span,) = [each for each in self.spans if each.name == name]
        return span


def place(span: ReadableSpan) -> tuple[str, str]:
    """The trace and the parent of a span, as hexadecimal text; without a parent, empty."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{span.parent.span_id:016x}" if span.parent else ""


def own(span: ReadableSpan) -> str:
    """The span as a traceparent."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def linked(span: ReadableSpan) -> set[str]:
    """The spans it is linked to, by their ids."""
    return {f"{link.context.span_id:016x}" for link in span.links}
