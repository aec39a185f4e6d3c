"""Where spans go: in batches to a collector, by a thread of their own, over OTLP as JSON.

A collector that is away costs a line in the log for each batch that is lost; nobody waits for it.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final
from uuid import uuid4

from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from billing_adapters.opentelemetry.sampling import TraceIds, sampler
from billing_adapters.opentelemetry.tracing import Tracing
from billing_adapters.settings import Settings

PATH: Final = "/v1/traces"  # OTLP/HTTP §Request
QUEUE_SPANS: Final = 4096  # beyond these the oldest are dropped
BATCH_SPANS: Final = 512
EVERY_S: Final = 2.0
EXPORT_TIMEOUT_S: Final = 5.0
# How long a stopping process waits for its last spans to be taken.
FLUSH_S: Final = 5.0
LONGEST_ATTRIBUTE: Final = 2048


@asynccontextmanager
async def exporting(settings: Settings, endpoint: str, *, app: str) -> AsyncIterator[Tracing]:
    """This will export what is traced while the block runs, and at its end what is left, within `FLUSH_S` seconds."""
    # It warns of every attempt and tells as an error what was lost: the latter is enough.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    ids = TraceIds()
    provider = TracerProvider(
        sampler=sampler(settings.otel_sample_ratio),
        resource=_resource(settings, app),
        id_generator=ids,
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attribute_length=LONGEST_ATTRIBUTE),
    )
    exporter = OTLPSpanExporter(endpoint=_address(endpoint), timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS,
            max_export_batch_size=BATCH_SPANS,
            schedule_delay_millis=EVERY_S * 1000,
        )
    )
    try:
        yield Tracing(provider.get_tracer("billing", version("billing-adapters")), ids)
    finally:
        await _within(FLUSH_S, provider)


async def _within(limit_s: float, provider: TracerProvider) -> None:
    # A thread that dies with the process: what the library waits for has no bound of ours.
    flush = threading.Thread(target=provider.shutdown, name="traces-flush", daemon=True)
    flush.start()
    await asyncio.to_thread(flush.join, limit_s)


def _address(endpoint: str) -> str:
    return endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH


def _resource(settings: Settings, app: str) -> Resource:
    return Resource.create(
        {
            "service.name": f"billing-{app}",
            "service.version": version("billing-adapters"),
            "service.instance.id": str(uuid4()),
            "deployment.environment.name": settings.env,
        }
    )
