"""PostgreSQL keeps every promise of the storage ports."""

import pytest
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres.database import Database
from billing_core.testing.contracts import StorageContract


class TestPostgresStorage(StorageContract):
    """The storage Billing runs on."""

    @pytest.fixture
    def storage(self, database: Database) -> PostgresStorage:
        """An empty database with the newest schema."""
        return PostgresStorage.over(database)
