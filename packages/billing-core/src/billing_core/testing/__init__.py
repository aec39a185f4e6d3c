"""What other services and the adapters' tests import.

Names are loaded when they are first asked for: the pytest plugin lives in this package and must not drag the whole
core in before coverage is measured, nor Hypothesis into a run that does not use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing_core.testing.builders import (
        a_caller,
        a_merchant,
        a_merchant_created,
        a_purchase,
        a_purchase_updated,
        a_report,
        a_trial,
        an_offer,
        an_origin,
    )
    from billing_core.testing.clock import MOMENT, FixedClock, SequentialIds
    from billing_core.testing.event_builders import MerchantEvents, an_event
    from billing_core.testing.events import assert_event, assert_sequence, decode, event_faults
    from billing_core.testing.in_memory_billing import InMemoryBilling
    from billing_core.testing.memory import (
        InMemoryPublisher,
        InMemoryReplayCache,
        InMemorySender,
        InMemoryStorage,
        InMemoryUsage,
    )
    from billing_core.testing.scripted_platform import ScriptedPlatform
    from billing_core.testing.up import RunningBilling, running_billing

_HOME = {
    "MOMENT": "clock",
    "FixedClock": "clock",
    "InMemoryBilling": "in_memory_billing",
    "InMemoryPublisher": "memory",
    "InMemoryReplayCache": "memory",
    "InMemorySender": "memory",
    "InMemoryStorage": "memory",
    "InMemoryUsage": "memory",
    "MerchantEvents": "event_builders",
    "RunningBilling": "up",
    "ScriptedPlatform": "scripted_platform",
    "SequentialIds": "clock",
    "a_caller": "builders",
    "a_merchant": "builders",
    "a_merchant_created": "builders",
    "a_purchase": "builders",
    "a_purchase_updated": "builders",
    "a_report": "builders",
    "a_trial": "builders",
    "an_event": "event_builders",
    "an_offer": "builders",
    "an_origin": "builders",
    "assert_event": "events",
    "assert_sequence": "events",
    "decode": "events",
    "event_faults": "events",
    "running_billing": "up",
}

__all__ = [
    "MOMENT",
    "FixedClock",
    "InMemoryBilling",
    "InMemoryPublisher",
    "InMemoryReplayCache",
    "InMemorySender",
    "InMemoryStorage",
    "InMemoryUsage",
    "MerchantEvents",
    "RunningBilling",
    "ScriptedPlatform",
    "SequentialIds",
    "a_caller",
    "a_merchant",
    "a_merchant_created",
    "a_purchase",
    "a_purchase_updated",
    "a_report",
    "a_trial",
    "an_event",
    "an_offer",
    "an_origin",
    "assert_event",
    "assert_sequence",
    "decode",
    "event_faults",
    "running_billing",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
