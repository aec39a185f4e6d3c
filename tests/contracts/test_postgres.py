"""PostgreSQL keeps every promise of the storage ports: with both walls between merchants, and with the first alone."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.postgres_storage import PostgresStorage

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_core.testing.contracts import StorageContract
from billing_core.testing.contracts.purchase_requests import PurchaseRequestsContract
from billing_core.testing.contracts.purchases import PurchasesContract
from billing_core.testing.contracts.records import BillingRecordsContract
from billing_core.testing.contracts.trials import TrialsContract


class TestPostgresStorage(StorageContract):
    """The storage Billing runs on."""

    @pytest.fixture
    def storage(self, database: Database, walled: Database) -> PostgresStorage:
        """An empty database with the newest schema; what merchants ask is asked as the HTTP app does."""
        storage = PostgresStorage.over(database)
        return replace(storage, records=PostgresRecords(walled), requests=PostgresPurchaseRequests(walled))

    @pytest.fixture
    async def walled(self, database_url: str) -> AsyncIterator[Database]:
        """Connections that see no merchant until a statement or transaction names one."""
        async with open_database(database_url, pool_size=10, application_name="tests", patience=PATIENT) as opened:
            yield opened


class TestTheFirstWallAlone(BillingRecordsContract, PurchaseRequestsContract, PurchasesContract, TrialsContract):
    """Every statement names its merchant: what it finds is right also for a role that no row-level security holds."""

    @pytest.fixture
    async def storage(self, database_url: str, servers: EmbeddedServers) -> AsyncIterator[PostgresStorage]:
        """The same database for a superuser."""
        url = str(servers.urls.postgres_admin).rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
        async with open_database(url, pool_size=10, application_name="tests", patience=PATIENT) as unbound:
            yield PostgresStorage.over(unbound)
