"""What is forgotten and what never is, by the real jobs on a real database, long after a purchase ended."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.support import PostgresSupport
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import FixedClock, InMemoryBilling
from billing_core.use_cases.inbound import Done
from billing_core.views import PurchaseView

DAY = timedelta(days=1)


@pytest.fixture
def billing(database: Database) -> InMemoryBilling:
    """The use cases on the real database, with a platform that follows a script."""
    storage: Any = PostgresStorage.over(database)
    return InMemoryBilling(clock=FixedClock(), storage=storage)


@pytest.fixture
async def archived(billing: InMemoryBilling) -> PurchaseView:
    """A paid purchase on day 91: archived, its events, its key and its messages forgotten."""
    caller = await billing.register()
    purchase = await billing.buy(caller, key="key-1")
    await billing.pay(purchase)
    await billing.relay_events()
    billing.clock.advance(91 * DAY)
    assert (await billing.archive_purchases()).done == 1
    await billing.purge_idempotency()
    return purchase


async def changes(database: Database, purchase: PurchaseView) -> Sequence[str]:
    """What happened to the purchase, in order."""
    return [each.what for each in await PostgresSupport(database).find_history(purchase.id)]


async def count(database: Database, table: str) -> int:
    """How many rows the table has."""
    async with database.transaction() as transaction:
        number: int = await transaction._connection.fetchval(f"select count(*) from {table}")  # noqa: S608
        return number


class TestRetention:
    async def test_the_hot_tables_are_empty_and_the_truth_is_kept(
        self, database: Database, archived: PurchaseView
    ) -> None:
        """What only saves work is gone; the purchase, its history and its claims are there."""
        tables = ("purchases", "idempotency_keys", "inbox", "outbox", "archived_purchases", "payment_claims")

        rows = {table: await count(database, table) for table in tables}

        assert rows == {
            "purchases": 0,
            "idempotency_keys": 0,
            "inbox": 0,
            "outbox": 0,
            "archived_purchases": 1,
            "payment_claims": 2,  # the platform's reference and the short one
        }
        assert await changes(database, archived) == ["created", "pending", "completed"]

    async def test_a_dispute_finds_the_archived_purchase(
        self, billing: InMemoryBilling, database: Database, archived: PurchaseView
    ) -> None:
        """It comes back, and its credits are reversed under the next sequence number."""
        reference = str(archived.platform_reference)
        billing.platform.dispute(reference, DisputeStatus.OPEN)

        outcome = await billing.notify(reference)

        found = await PostgresSupport(database).find_purchase(archived.id)
        (event,) = await billing.storage.outbox.unpublished(10)
        assert outcome == Done()
        assert found is not None
        assert found.status is PurchaseStatus.DISPUTED
        assert (event.type, event.sequence) == ("evt.billing.credits.reversed", 3)
        assert await count(database, "archived_purchases") == 0

    async def test_a_repeated_notice_changes_nothing(
        self, billing: InMemoryBilling, database: Database, archived: PurchaseView
    ) -> None:
        """Though its id was forgotten: the purchase is completed, and nothing is announced twice."""
        before = await changes(database, archived)

        outcomes = [await billing.notify(str(archived.platform_reference)) for _ in range(2)]

        assert outcomes == [Done(), Done()]
        assert await changes(database, archived) == before
        assert list(await billing.storage.outbox.unpublished(10)) == []
