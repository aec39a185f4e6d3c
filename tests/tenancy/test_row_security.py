"""The second wall, straight in SQL: no statement that forgets its merchant finds another's row.

Which tables hold a merchant is asked of the database, so one that is added without its wall fails here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from tests.tenancy.neighbours import Neighbours

from billing_adapters.postgres import roles
from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.row_security import EVERY_MERCHANT, SETTING
from billing_adapters.postgres.tables import metadata
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.errors import ReferenceAlreadyClaimed, StorageConflict
from billing_core.testing import a_merchant

HOLDS_A_MERCHANT = """
    select pg_class.relname as name, relrowsecurity and relforcerowsecurity as walled
    from pg_catalog.pg_class join pg_catalog.pg_attribute on attrelid = pg_class.oid
    where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace and attname = 'merchant_id'
    and not attisdropped order by 1
"""
TABLES = sorted(table.name for table in metadata.sorted_tables if "merchant_id" in table.c)
REFUSED = asyncpg.InsufficientPrivilegeError


async def connected(url: str, merchant_id: str | None = None) -> "asyncpg.Connection":
    """A connection that sees what a transaction of the merchant does; without one, what nobody named does."""
    return await asyncpg.connect(url, server_settings={SETTING: merchant_id or ""})


async def count(connection: Any, table: str, merchant_id: str) -> int:
    """How many of the merchant's rows there are to be seen."""
    found: int = await connection.fetchval(f'select count(*) from "{table}" where merchant_id = $1', merchant_id)  # noqa: S608
    return found


async def test_every_table_that_holds_a_merchant_is_walled(admin: Any) -> None:
    """Enabled and forced, so that it holds for the tables' owner too; and the tests below know every such table."""
    found = {row["name"]: row["walled"] for row in await admin.fetch(HOLDS_A_MERCHANT)}

    assert found == dict.fromkeys(TABLES, True)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["owner", roles.API])
async def test_a_row_is_seen_by_its_merchant_alone(
    role: str, table: str, role_urls: Mapping[str, str], neighbours: Neighbours, admin: Any
) -> None:
    """Not by another, not by whoever named nobody; and the HTTP app's role cannot ask for everybody."""
    mine, theirs = neighbours.mine.merchant.merchant_id, neighbours.theirs.merchant.merchant_id
    assert await count(admin, table, theirs) > 0
    sees_nothing = role == roles.API and table in ("credit_grants", "privacy_records")  # no business of the HTTP app's
    for setting, expected in ((theirs, True), (mine, False), (None, False), (EVERY_MERCHANT, role == "owner")):
        connection = await connected(role_urls[role], setting)
        try:
            if sees_nothing:
                with pytest.raises(REFUSED):
                    await count(connection, table, theirs)
            else:
                assert (await count(connection, table, theirs) > 0) is expected, setting
        finally:
            await connection.close()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["owner", roles.API])
async def test_a_row_is_written_by_its_merchant_alone(
    role: str, table: str, role_urls: Mapping[str, str], neighbours: Neighbours, admin: Any
) -> None:
    """Another's row can be neither changed nor removed nor made."""
    mine, theirs = neighbours.mine.merchant.merchant_id, neighbours.theirs.merchant.merchant_id
    before = [dict(row) for row in await admin.fetch(f'select * from "{table}" where merchant_id = $1', theirs)]  # noqa: S608
    columns = ", ".join(f'"{name}"' for name in before[0] if name != "position")
    connection = await connected(role_urls[role], mine)
    try:
        for statement in (
            f'update "{table}" set merchant_id = $2 where merchant_id = $1',  # noqa: S608
            f'update "{table}" set merchant_id = $1 where merchant_id = $2',  # noqa: S608
            f'delete from "{table}" where merchant_id = $1 and $2 <> $1',  # noqa: S608
        ):
            try:
                done = await connection.execute(statement, theirs, mine)
            except (REFUSED, asyncpg.UniqueViolationError):
                continue
            assert done.endswith(" 0")
        # A row of theirs, told to be mine until the moment it is checked.
        copied = f'insert into "{table}" ({columns}) select {columns.replace(chr(34) + "merchant_id" + chr(34), "$1")}'
        with pytest.raises(REFUSED):
            await connection.execute(f'{copied} from "{table}" where merchant_id = $2 limit 1', theirs, mine)
    finally:
        await connection.close()
    after = [dict(row) for row in await admin.fetch(f'select * from "{table}" where merchant_id = $1', theirs)]  # noqa: S608
    assert after == before


async def test_a_claimed_trial_is_known_to_the_shops_other_merchant(
    database: Database, role_urls: Mapping[str, str], neighbours: Neighbours
) -> None:
    """A reinstalled shop must hear that it has had its trial; a merchant of another shop must not."""
    theirs = neighbours.theirs.merchant
    again = a_merchant("reinstalled", platform_account_id=theirs.platform_account_id)
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([again])
        await uow.commit()
    seen = {}
    for merchant_id in (again.merchant_id, neighbours.mine.merchant.merchant_id):
        connection = await connected(role_urls[roles.API], merchant_id)
        seen[merchant_id] = await count(connection, "trial_claims", theirs.merchant_id)
        await connection.close()

    assert seen == {again.merchant_id: 1, neighbours.mine.merchant.merchant_id: 0}


async def test_what_a_transaction_saw_the_next_on_its_connection_does_not(
    role_urls: Mapping[str, str], neighbours: Neighbours
) -> None:
    """The setting is the transaction's: with one connection for all, a caller never sees what the one before did."""
    mine, theirs = neighbours.mine, neighbours.theirs
    async with open_database(role_urls[roles.API], pool_size=1, application_name="tests") as database:
        units = PostgresUnits(database)
        async with units(mine.merchant.merchant_id) as uow:
            assert await uow.purchases.get(mine.merchant.merchant_id, mine.live.purchase_id) is not None
            assert await uow.purchases.get(theirs.merchant.merchant_id, theirs.live.purchase_id) is None
            await uow.commit()
        async with units() as uow:  # nobody named
            assert await uow.purchases.get(mine.merchant.merchant_id, mine.live.purchase_id) is None


async def test_another_merchants_reference_is_claimed_by_nobody(
    role_urls: Mapping[str, str], neighbours: Neighbours
) -> None:
    """The claim cannot be seen through the wall, but that it is there is: the refusal says what is the matter."""
    mine, theirs = neighbours.mine, neighbours.theirs
    async with (
        open_database(role_urls[roles.API], pool_size=1, application_name="tests") as database,
        PostgresUnits(database)(mine.merchant.merchant_id) as uow,
    ):
        with pytest.raises(ReferenceAlreadyClaimed):
            await uow.purchases.claim([replace(mine.live, platform_reference=theirs.live.platform_reference)])
            await uow.commit()


async def test_a_row_of_another_merchant_is_a_conflict(role_urls: Mapping[str, str], neighbours: Neighbours) -> None:
    """A transaction of one merchant that would write another's fails, and nothing of it lasts."""
    mine, theirs = neighbours.mine, neighbours.theirs
    async with (
        open_database(role_urls[roles.API], pool_size=1, application_name="tests") as database,
        PostgresUnits(database)(mine.merchant.merchant_id) as uow,
    ):
        with pytest.raises(StorageConflict):
            await uow.keys.save(theirs.key)
            await uow.commit()


@pytest.mark.parametrize("merchant_id", ["", "*", "x'; select 1 --", "a" * 129, "merchant\n"])
async def test_only_a_merchants_id_narrows_a_transaction(database: Database, merchant_id: str) -> None:
    """What might be something else in SQL, or everybody, is refused before it is sent."""
    with pytest.raises(ValueError, match="merchant id"):
        async with PostgresUnits(database)(merchant_id):
            raise AssertionError("it was opened")
