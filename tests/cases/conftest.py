"""Where the cases run: `billing` (of the core's test kit) in memory, `workers` on PostgreSQL."""

import pytest
from tests.cases.workers import Workers

from billing_adapters.postgres.database import Database


@pytest.fixture
def workers(database: Database) -> Workers:
    """Two processes over an empty database with the newest schema."""
    return Workers(database)
