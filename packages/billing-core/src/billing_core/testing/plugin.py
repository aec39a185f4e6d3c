"""The pytest plugin `billing_core`: fixtures for whoever tests against Billing.

It loads before anything else in a test run, so it imports nothing heavy until a fixture is asked for.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from billing_core.testing.clock import FixedClock
    from billing_core.testing.in_memory_billing import InMemoryBilling
    from billing_core.testing.scripted_platform import ScriptedPlatform

pytest.register_assert_rewrite("billing_core.testing.contracts", "billing_core.testing.events")


@pytest.fixture
def clock() -> "FixedClock":
    """A clock that stands still until it is advanced."""
    from billing_core.testing.clock import FixedClock

    return FixedClock()


@pytest.fixture
def scripted_platform() -> "ScriptedPlatform":
    """A payment platform that does what the test says."""
    from billing_core.testing.scripted_platform import ScriptedPlatform

    return ScriptedPlatform()


@pytest.fixture
def billing(clock: "FixedClock", scripted_platform: "ScriptedPlatform") -> "InMemoryBilling":
    """The whole of Billing in memory, on the test's clock and platform."""
    from billing_core.testing.in_memory_billing import InMemoryBilling

    return InMemoryBilling(clock=clock, platforms=[scripted_platform])
