"""Every storage port over one database, as the use cases take them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.reports import PostgresReports
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_adapters.postgres.unit_of_work import PostgresUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresStorage:
    """Every storage port over one database, and numbers for ids, as `InMemoryStorage` has them."""

    units: PostgresUnits
    requests: PostgresPurchaseRequests
    outbox: PostgresOutbox
    housekeeping: PostgresHousekeeping
    leadership: PostgresLeadership
    runs: PostgresJobRuns
    records: PostgresRecords
    reports: PostgresReports
    data: PostgresMerchantData
    numbers: Iterator[int]

    @classmethod
    def over(cls, database: Database, numbers: Iterator[int] | None = None) -> "PostgresStorage":
        """All of them over the database."""
        return cls(
            units=PostgresUnits(database),
            requests=PostgresPurchaseRequests(database),
            outbox=PostgresOutbox(database),
            housekeeping=PostgresHousekeeping(database),
            leadership=PostgresLeadership(database),
            runs=PostgresJobRuns(database),
            records=PostgresRecords(database),
            reports=PostgresReports(database),
            data=PostgresMerchantData(database),
            numbers=numbers or count(1),
        )
