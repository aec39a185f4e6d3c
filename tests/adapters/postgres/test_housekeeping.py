"""Deleting a bounded number of rows, whatever plan PostgreSQL makes."""

from datetime import timedelta

import asyncpg
import pytest

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing import MOMENT

DAY = timedelta(days=1)


@pytest.mark.parametrize("known_to_be_small", [False, True])
async def test_a_purge_keeps_to_its_limit(database: Database, database_url: str, *, known_to_be_small: bool) -> None:
    """Also where the planner takes the table for tiny, and would look for the old rows again for each of its rows:
    with two at a time it then found, and deleted, all of them."""
    await _handled(database, "one")
    if known_to_be_small:
        connection = await asyncpg.connect(database_url)
        await connection.execute("analyze inbox")
        await connection.close()
    await _handled(database, "two", "three", "four", "five")

    gone = [await PostgresHousekeeping(database).purge_inbox(MOMENT + DAY, 2) for _ in range(4)]

    assert gone == [2, 2, 1, 0]


async def _handled(database: Database, *message_ids: str) -> None:
    async with PostgresUnits(database)() as uow:
        await uow.inbox.record("source", message_ids, MOMENT)
        await uow.commit()
