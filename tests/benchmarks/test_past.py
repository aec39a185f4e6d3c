"""The past that benchmarks and plans are measured on is one that Billing could have had."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from benchmarks.past import merchant_id, write_past
from tests.adapters.postgres.test_migrations import catalog
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import Database, open_database
from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import FixedClock, InMemoryBilling
from billing_core.testing.builders import a_caller, a_merchant

PURCHASES = 1000
MERCHANTS = 20


@pytest.fixture
async def past(empty_database_url: str) -> AsyncIterator[Database]:
    """A database with a thousand purchases, open."""
    await migrations.upgrade(empty_database_url)
    before = await catalog(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await write_past(connection, PURCHASES)
    await connection.close()
    assert await catalog(empty_database_url) == before
    async with open_database(
        empty_database_url, pool_size=2, application_name="tests", every_merchant=True
    ) as database:
        yield database


def billing_on(database: Database) -> InMemoryBilling:
    """The use cases on the database, now."""
    storage: Any = PostgresStorage.over(database)
    return InMemoryBilling(clock=FixedClock(datetime.now(UTC)), storage=storage)


async def test_every_merchant_can_read_what_it_bought(past: Database) -> None:
    """Each row is one the domain takes, and the figures are those of the rows."""
    read = billing_on(past).read
    counts: dict[str, int] = {}
    for number in range(1, MERCHANTS + 1):
        caller = a_caller(a_merchant(merchant_id=merchant_id(number)))
        overview = await read.overview(caller)
        page = await read.purchases(caller, status=None, archived=False, cursor=None, limit=100)
        for status, many in overview.purchases.counts.items():
            counts[status] = counts.get(status, 0) + many
        for purchase in page.data:
            history = await read.purchase_history(caller, purchase.id)
            assert history.data[-1].status_after == purchase.status

    assert sum(counts.values()) == PURCHASES * 11 / 10
    assert counts[PurchaseStatus.COMPLETED] > PURCHASES / 2
    assert counts[PurchaseStatus.PENDING] == 5


async def test_no_job_finds_anything_to_do(past: Database) -> None:
    """Nothing runs beside what is measured."""
    billing = billing_on(past)

    outcomes = await billing.jobs()

    assert {outcome.name: outcome.report.done if outcome.report else outcome.error for outcome in outcomes} == {
        outcome.name: 0 for outcome in outcomes
    }
    assert len(outcomes) > 5
    assert (await billing.relay_events()).done == 0
