"""Whether traces are exported, and what of them is there without: W3C Trace Context in one line of text.

Only where `BILLING_OTEL_ENDPOINT` is set is anything of OpenTelemetry imported, opened, or stood between two of our
objects; elsewhere each of these functions gives back what it was given.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from billing_adapters.settings import Settings

if TYPE_CHECKING:
    from billing_adapters.opentelemetry.tracing import Tracing

T = TypeVar("T")

# The traceparent of the traced job that is running: changes that nobody else traced are announced under it.
job_traceparent: Final[ContextVar[str | None]] = ContextVar("job_traceparent", default=None)


def trace_id_of(traceparent: str) -> str:
    """The trace a traceparent belongs to, as logs and collectors show it."""
    return traceparent[3:35]


@asynccontextmanager
async def open_tracing(settings: Settings, *, app: str) -> AsyncIterator["Tracing | None"]:
    """This will export traces while the block runs, and what is left of them at its end; None where none are wanted.
    Never raises for a collector that is away."""
    if settings.otel_endpoint is None:
        yield None
        return
    from billing_adapters.opentelemetry.exporting import exporting

    async with exporting(settings, settings.otel_endpoint, app=app) as tracing:
        yield tracing


def traced(tracing: "Tracing | None", act: T) -> T:
    """The act (a use case, an adapter) with a span around each call, where traces are exported; else the act itself."""
    if tracing is None:
        return act
    from billing_adapters.opentelemetry.around import around

    return around(act, tracing)


def spans_of_queries(tracing: "Tracing | None") -> Any:
    """What is told each query, to make a span of it; None where no traces are exported."""
    if tracing is None:
        return None
    from billing_adapters.opentelemetry.queries import QuerySpans

    return QuerySpans(tracing)
