"""Every port in memory, with the promises of the real ones: tests hold both to the same contract suites."""

from billing_core.testing.clock import FixedClock, SequentialIds
from billing_core.testing.memory.publishing import InMemoryPublisher, InMemoryReplayCache, InMemorySender, SentMessage
from billing_core.testing.memory.rate_limits import InMemoryUsage
from billing_core.testing.memory.storage import InMemoryStorage, InMemoryUnitOfWork

__all__ = [
    "FixedClock",
    "InMemoryPublisher",
    "InMemoryReplayCache",
    "InMemorySender",
    "InMemoryStorage",
    "InMemoryUnitOfWork",
    "InMemoryUsage",
    "SentMessage",
    "SequentialIds",
]
