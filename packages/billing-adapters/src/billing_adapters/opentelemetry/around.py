"""Our own objects with spans around their calls: each adapter as its conventions want it, all else by its name."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.opentelemetry.messaging import TracedPublisher, TracedSender
from billing_adapters.opentelemetry.replays import TracedReplays
from billing_adapters.opentelemetry.tracing import Tracing
from billing_adapters.redis.replay_cache import RedisReplayCache

T = TypeVar("T")


def around(act: T, tracing: Tracing) -> T:
    """What does as the act does, in spans."""
    make: Callable[[Any, Tracing], Any] = _OF_ADAPTERS.get(type(act), _Around)
    traced: T = make(act, tracing)
    return traced


class _Around:
    """Stands before an act and looks like it: a span for each call, of itself or of a method that is awaited."""

    def __init__(self, act: Any, tracing: Tracing) -> None:
        self._act, self._tracing, self._name = act, tracing, type(act).__name__

    async def __call__(self, *given: Any, **named: Any) -> Any:
        with self._tracing.during(self._tracing.child(self._name)):
            return await self._act(*given, **named)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._act, name)
        return self._traced(name, found) if inspect.iscoroutinefunction(found) else found

    def _traced(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def traced(*given: Any, **named: Any) -> Any:
            with self._tracing.during(self._tracing.child(f"{self._name}.{name}")):
                return await method(*given, **named)

        return traced


_OF_ADAPTERS: Final[Mapping[type, Callable[[Any, Tracing], Any]]] = {
    NatsEventPublisher: TracedPublisher,
    NatsMessageSender: TracedSender,
    RedisReplayCache: TracedReplays,
}
