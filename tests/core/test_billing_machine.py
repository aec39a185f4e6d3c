"""The whole of Billing in memory through any course of events: duplicates, disorder, lost answers, late jobs."""

import asyncio

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.billing_machine import BillingMachine

from billing_core.testing import InMemoryStorage


def test_the_contract_holds_in_memory_after_every_step() -> None:
    """Whatever merchants, platforms, the relay, jobs and operators do, money and credits never part ways."""
    with asyncio.Runner() as runner:
        run_state_machine_as_test(
            lambda: BillingMachine(runner, InMemoryStorage),  # type: ignore[arg-type] # a function will do, as documented
            # Forty steps shrink for longer than a test may take; add Phase.shrink when one has failed.
            settings=settings(
                max_examples=50, stateful_step_count=40, phases=[Phase.explicit, Phase.reuse, Phase.generate]
            ),
        )
