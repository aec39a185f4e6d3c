"""Deleting and archiving a bounded number of rows, whatever plan PostgreSQL makes."""

from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import MOMENT, a_merchant, a_purchase

DAY = timedelta(days=1)


@pytest.mark.parametrize("known_to_be_small", [False, True])
async def test_a_purge_keeps_to_its_limit(database: Database, database_url: str, *, known_to_be_small: bool) -> None:
    """Also where the planner takes the table for tiny, and would look for the old rows again for each of its rows:
    with two at a time it then found, and deleted, all of them."""
    await _handled(database, "one")
    if known_to_be_small:
        await _analyze(database_url, "inbox")
    await _handled(database, "two", "three", "four", "five")

    gone = [await PostgresHousekeeping(database).purge_inbox(MOMENT + DAY, 2) for _ in range(4)]

    assert gone == [2, 2, 1, 0]


@pytest.mark.parametrize("known_to_be_small", [False, True])
async def test_the_archive_keeps_to_its_limit(
    database: Database, database_url: str, *, known_to_be_small: bool
) -> None:
    """As a purge does."""
    await _ended(database, 1)
    if known_to_be_small:
        await _analyze(database_url, "purchases")
    await _ended(database, 4)

    moved = [await _archived(database, limit=2) for _ in range(4)]

    assert moved == [2, 2, 1, 0]


async def _analyze(database_url: str, table: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"analyze {table}")
    await connection.close()


async def _handled(database: Database, *message_ids: str) -> None:
    async with PostgresUnits(database)() as uow:
        await uow.inbox.record("source", message_ids, MOMENT)
        await uow.commit()


async def _ended(database: Database, number: int) -> None:
    merchant = a_merchant()
    ended = [replace(a_purchase(merchant, status=PurchaseStatus.DECLINED), ended_at=MOMENT) for _ in range(number)]
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([merchant])
        await uow.purchases.add(ended)
        await uow.commit()


async def _archived(database: Database, limit: int) -> int:
    async with PostgresUnits(database)() as uow:
        moved = await uow.purchases.archive(MOMENT + DAY, limit)
        await uow.commit()
        return moved
