"""PostgreSQL keeps every promise of the storage ports."""

from dataclasses import dataclass

import pytest

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing.contracts import StorageContract


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresStorage:
    """Every storage port over one database."""

    units: PostgresUnits
    outbox: PostgresOutbox
    housekeeping: PostgresHousekeeping
    leadership: PostgresLeadership
    runs: PostgresJobRuns
    records: PostgresRecords


class TestPostgresStorage(StorageContract):
    """The storage Billing runs on."""

    @pytest.fixture
    def storage(self, database: Database) -> PostgresStorage:
        """An empty database with the newest schema."""
        return PostgresStorage(
            units=PostgresUnits(database),
            outbox=PostgresOutbox(database),
            housekeeping=PostgresHousekeeping(database),
            leadership=PostgresLeadership(database),
            runs=PostgresJobRuns(database),
            records=PostgresRecords(database),
        )
