"""PostgreSQL keeps every promise of the storage ports."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_core.testing.contracts import StorageContract


class TestPostgresStorage(StorageContract):
    """The storage Billing runs on."""

    @pytest.fixture
    def storage(self, database: Database, walled: Database) -> PostgresStorage:
        """An empty database with the newest schema; what merchants ask comes through the wall, as in the HTTP app."""
        storage = PostgresStorage.over(database)
        return replace(storage, records=PostgresRecords(walled), requests=PostgresPurchaseRequests(walled))

    @pytest.fixture
    async def walled(self, database_url: str) -> AsyncIterator[Database]:
        """Connections that see no merchant until a statement or transaction names one."""
        async with open_database(database_url, pool_size=10, application_name="tests", patience=PATIENT) as opened:
            yield opened
