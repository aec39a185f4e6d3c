"""The whole of Billing on PostgreSQL through any course of events: the same machine as in memory, fewer steps."""

import asyncio
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.billing_machine import BillingMachine
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import metadata

_EMPTY = [Statement(table.delete()) for table in reversed(metadata.sorted_tables)]


def test_the_contract_holds_on_postgres_after_every_step(database_url: str) -> None:
    """Whatever merchants, platforms, the relay, jobs and operators do, money and credits never part ways."""
    with asyncio.Runner() as runner:
        database = open_database(
            database_url, pool_size=4, application_name="machine", every_merchant=True, patience=PATIENT
        )
        opened = runner.run(database.__aenter__())
        try:
            run_state_machine_as_test(
                _machines(runner, opened),  # type: ignore[arg-type] # a function will do, as documented
                settings=settings(
                    max_examples=20,
                    stateful_step_count=30,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(database.__aexit__(None, None, None))


def _machines(runner: asyncio.Runner, database: Database) -> Callable[[], BillingMachine]:
    async def emptied() -> PostgresStorage:
        for statement in _EMPTY:
            await database.run(statement)
        return PostgresStorage.over(database)

    def machine() -> BillingMachine:
        storage = runner.run(emptied())
        return BillingMachine(runner, lambda _: storage)

    return machine
