"""The migrations lead to exactly the tables the program is written for, and back."""

import asyncio
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.tables import metadata
from billing_core.errors import StorageConflict, StorageUnavailable

NOTHING_LISTENS = "postgresql://billing:billing@127.0.0.1:1/billing"
CONSTRAINTS = (
    "select conname, conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint"
    " where connamespace = 'public'::regnamespace and conrelid <> 0 and conrelid::regclass::text <> 'alembic_version'"
)
INDEXES = "select indexname, indexdef from pg_indexes where schemaname = 'public' and tablename <> 'alembic_version'"
COLUMNS = (
    "select table_name, column_name, row_number() over (partition by table_name order by ordinal_position),"
    " data_type, is_nullable, column_default, identity_generation"
    " from information_schema.columns where table_schema = 'public' and table_name <> 'alembic_version'"
)


WALLS = (
    "select tablename, policyname, cmd, qual, with_check from pg_policies where schemaname = 'public'",
    (
        "select relname, relrowsecurity, relforcerowsecurity from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alembic_version'"
        " and (relrowsecurity or relforcerowsecurity)"
    ),
    "select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace",
    "select typname from pg_type where typnamespace = 'public'::regnamespace and typtype = 'd'",
)


async def walls(url: str) -> set[tuple[Any, ...]]:
    """Everything of the schema that `tables` knows nothing of: policies, and what they need."""
    connection = await asyncpg.connect(url)
    try:
        return {tuple(row) for query in WALLS for row in await connection.fetch(query)}
    finally:
        await connection.close()


async def catalog(url: str) -> set[tuple[Any, ...]]:
    """Every constraint, index and column of the schema."""
    connection = await asyncpg.connect(url)
    try:
        return {tuple(row) for query in (CONSTRAINTS, INDEXES, COLUMNS) for row in await connection.fetch(query)}
    finally:
        await connection.close()


async def _with_engine(url: str, act: Any) -> Any:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://").replace("sslmode", "ssl"))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(act)
    finally:
        await engine.dispose()


class TestUpgrade:
    async def test_up_down_and_up_again(self, empty_database_url: str) -> None:
        """Every step can be taken back whole, and taken again."""
        await migrations.upgrade(empty_database_url)
        first = await catalog(empty_database_url) | await walls(empty_database_url)
        await migrations.downgrade(empty_database_url, "base")
        nothing = await catalog(empty_database_url) | await walls(empty_database_url)
        await migrations.upgrade(empty_database_url)

        assert nothing == set()
        assert await catalog(empty_database_url) | await walls(empty_database_url) == first

    async def test_the_migrated_schema_is_the_one_of_the_tables(
        self, database_url: str, empty_database_url: str
    ) -> None:
        """Every constraint, index and column, checks included, is what `tables` would create."""
        await _with_engine(empty_database_url, metadata.create_all)

        assert await catalog(database_url) == await catalog(empty_database_url)

    async def test_autogenerate_finds_no_difference(self, database_url: str) -> None:
        """Alembic has nothing to add to the steps there are."""

        def compare(connection: Connection) -> Any:
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            return compare_metadata(context, metadata)

        assert await _with_engine(database_url, compare) == []

    async def test_upgraders_at_once_take_turns(self, empty_database_url: str) -> None:
        """Four processes that start together all find the schema ready, and none fails."""
        await asyncio.gather(*(migrations.upgrade(empty_database_url) for _ in range(4)))

        assert await migrations.current(empty_database_url) == migrations.head()

    async def test_a_step_gives_up_on_a_table_in_use(self, empty_database_url: str) -> None:
        """A long transaction of someone else makes the step fail soon, and nothing of it lasts."""
        await migrations.upgrade(empty_database_url)
        reader = await asyncpg.connect(empty_database_url)
        try:
            await reader.execute("begin; select * from merchants")
            with pytest.raises(StorageConflict):
                await migrations.downgrade(empty_database_url, "base")
        finally:
            await reader.close()

        assert await migrations.current(empty_database_url) == "0006"  # the steps before it are steps of their own


class TestRevisions:
    async def test_an_empty_database_lacks_every_revision(self, empty_database_url: str) -> None:
        """What is pending is told oldest first, and nothing is current."""
        assert await migrations.current(empty_database_url) is None
        assert list(await migrations.pending(empty_database_url))[-1] == migrations.head()

    async def test_a_migrated_database_lacks_none(self, database_url: str) -> None:
        """After the upgrade the head is current."""
        assert await migrations.current(database_url) == migrations.head()
        assert list(await migrations.pending(database_url)) == []

    async def test_no_database_is_told_as_such(self) -> None:
        """Where nothing listens, every question raises StorageUnavailable."""
        with pytest.raises(StorageUnavailable):
            await migrations.current(NOTHING_LISTENS)
        with pytest.raises(StorageUnavailable):
            await migrations.upgrade(NOTHING_LISTENS)

    async def test_a_database_without_schema_says_what_to_run(self, empty_database_url: str) -> None:
        """A program that meets an unmigrated database is unavailable, and says the remedy."""
        async with open_database(
            empty_database_url, pool_size=1, application_name="tests", every_merchant=True
        ) as database:
            with pytest.raises(StorageUnavailable, match="billing db upgrade"):
                await PostgresRecords(database).merchant("m")
