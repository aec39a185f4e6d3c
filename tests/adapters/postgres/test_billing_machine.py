"""The whole of Billing on PostgreSQL through any course of events: the same machine as in memory, fewer steps."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.billing_machine import BillingMachine

from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import metadata
from billing_adapters.postgres.unit_of_work import PostgresUnits

_EMPTY = [Statement(table.delete()) for table in reversed(metadata.sorted_tables)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresStorage:
    """Every storage port over one database, and numbers for ids, as `InMemoryStorage` has them."""

    units: PostgresUnits
    outbox: PostgresOutbox
    housekeeping: PostgresHousekeeping
    leadership: PostgresLeadership
    runs: PostgresJobRuns
    records: PostgresRecords
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


def test_the_contract_holds_on_postgres_after_every_step(database_url: str) -> None:
    """Whatever merchants, platforms, the relay, jobs and operators do, money and credits never part ways."""
    with asyncio.Runner() as runner:
        database = open_database(database_url, pool_size=4, application_name="machine", patience=PATIENT)
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
        return PostgresStorage(
            units=PostgresUnits(database),
            outbox=PostgresOutbox(database),
            housekeeping=PostgresHousekeeping(database),
            leadership=PostgresLeadership(database),
            runs=PostgresJobRuns(database),
            records=PostgresRecords(database),
        )

    def machine() -> BillingMachine:
        storage = runner.run(emptied())
        return BillingMachine(runner, lambda _: storage)

    return machine
