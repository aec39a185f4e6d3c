"""The pytest plugin `billing_core`: fixtures for whoever tests against Billing.

It loads before anything else in a test run, so it imports nothing heavy until a fixture is asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from billing_core.testing.clock import FixedClock
    from billing_core.testing.in_memory_billing import InMemoryBilling
    from billing_core.testing.scripted_platform import ScriptedPlatform
    from billing_core.testing.up import RunningBilling

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


@pytest.fixture(scope="session")
def billing_up(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RunningBilling]":
    """The whole service as `billing up --json` runs it, for the session; skipped where `billing` is not installed."""
    from billing_core.testing.up import find_billing, running_billing

    command = find_billing()
    if command is None:
        pytest.skip("no `billing` command: install billing-cli, billing-http and billing-worker to run the service")
    with running_billing(command, tmp_path_factory.mktemp("billing-up")) as running:
        yield running
