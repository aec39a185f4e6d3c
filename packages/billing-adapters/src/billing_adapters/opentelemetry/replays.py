"""Spans of what is asked of Redis (semantic conventions for Redis)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from billing_adapters.opentelemetry.tracing import Tracing
from billing_core.domain.idempotency import RequestKey
from billing_core.ports.idempotency import RememberedAnswer, ReplayCache


class TracedReplays:
    """The replay cache with a span for each command."""

    def __init__(self, replays: ReplayCache, tracing: Tracing) -> None:
        self._replays, self._tracing = replays, tracing

    async def get(self, key: RequestKey) -> RememberedAnswer | None:
        """See `ReplayCache.get`."""
        with self._command("GET"):
            return await self._replays.get(key)

    async def put(self, key: RequestKey, remembered: RememberedAnswer) -> None:
        """See `ReplayCache.put`."""
        with self._command("SET"):
            await self._replays.put(key, remembered)

    async def forget(self, keys: Sequence[RequestKey]) -> None:
        """See `ReplayCache.forget`."""
        with self._command("UNLINK"):
            await self._replays.forget(keys)

    def _command(self, name: str) -> AbstractContextManager[Span]:
        attributes = {"db.system.name": "redis", "db.operation.name": name}
        return self._tracing.during(self._tracing.child(name, kind=SpanKind.CLIENT, attributes=attributes))
