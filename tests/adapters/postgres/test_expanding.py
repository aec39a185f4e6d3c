"""Each revision can be taken back, and the release before it goes on working on what it made."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.adapters.postgres.test_migrations import catalog, walls

from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.ports.storage import Dropped, ParkedMessage
from billing_core.testing.builders import an_id
from billing_core.testing.clock import MOMENT

REVISIONS = ("base", "0001", "0002", "0003", "0004", "0005", "0006", "0007")
# The statements of the release that was written for each revision, about the tables the next one changed.
FORMER = {path.stem: path.read_text("utf-8") for path in (Path(__file__).parent / "former").glob("*.sql")}
COLUMNS = (
    "select table_name || '.' || column_name as name, data_type, is_nullable = 'NO' and column_default is null"
    " and identity_generation is null as demanded from information_schema.columns where table_schema = 'public'"
)


def statements(revision: str) -> dict[str, str]:
    """The former release's statements by name."""
    blocks = (block.split("\n", 1) for block in FORMER[revision].strip().split("\n\n"))
    return {name.removeprefix("-- "): text.rstrip(";") for name, text in blocks}


async def _schema(url: str) -> set[tuple[Any, ...]]:
    return await catalog(url) | await walls(url)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session on the newest schema."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def columns(url: str) -> dict[str, tuple[str, bool]]:
    """Each column's type, and whether whoever adds a row must name it."""
    connection = await asyncpg.connect(url)
    try:
        return {row["name"]: (row["data_type"], row["demanded"]) for row in await connection.fetch(COLUMNS)}
    finally:
        await connection.close()


class TestEachRevision:
    @pytest.mark.parametrize(("before", "revision"), list(pairwise(REVISIONS)))
    async def test_up_down_and_up_again(self, empty_database_url: str, before: str, revision: str) -> None:
        """Taken back it leaves what was there before it, and taken again the same as the first time."""
        if before != "base":
            await migrations.upgrade(empty_database_url, before)
        former = await _schema(empty_database_url)
        await migrations.upgrade(empty_database_url, revision)
        first = await _schema(empty_database_url)
        await migrations.downgrade(empty_database_url, before)
        back = await _schema(empty_database_url)
        await migrations.upgrade(empty_database_url, revision)

        assert back == former
        assert await _schema(empty_database_url) == first

    def test_none_is_forgotten_here(self) -> None:
        """The newest revision is among those this file goes through."""
        assert REVISIONS[-1] == migrations.head()
        assert set(FORMER) == set(REVISIONS[1:-1])

    @pytest.mark.parametrize(("before", "revision"), list(pairwise(REVISIONS))[1:])
    async def test_it_only_adds_and_demands_nothing_new(
        self, empty_database_url: str, before: str, revision: str
    ) -> None:
        """No column goes or changes, and one that is new in a table may be left out by whoever does not know it."""
        await migrations.upgrade(empty_database_url, before)
        former = await columns(empty_database_url)
        await migrations.upgrade(empty_database_url, revision)
        now = await columns(empty_database_url)

        assert {name: now.get(name) for name in former} == former
        tables = {name.partition(".")[0] for name in former}
        new = [name for name in now if name not in former and name.partition(".")[0] in tables]
        assert [name for name in new if now[name][1]] == []


@pytest.mark.parametrize("revision", sorted(FORMER))
async def test_the_former_statements_run_on_the_newest_schema(
    connection: "asyncpg.Connection[Any]", revision: str
) -> None:
    """Every table, column and conflict they name is still there."""
    for text in statements(revision).values():
        await connection.execute(f"explain (generic_plan) {text}")


async def test_the_former_release_parks_and_lists_beside_dropped_messages(
    connection: "asyncpg.Connection[Any]", database: Database
) -> None:
    """It does not take a dropped message for one that waits, and parks the same message again when it comes again."""
    message = ParkedMessage(
        parked_id=an_id(), source="s", message_id="m-1", subject="evt.x", body=b"{", reason="no JSON", parked_at=MOMENT
    )
    async with PostgresUnits(database)() as uow:
        await uow.parked.add([message])
        await uow.parked.drop(message.parked_id, Dropped(at=MOMENT, by="operator:jo", reason="a test system"))
        await uow.commit()
    former = statements("0002")
    again = (an_id(), "s", "m-1", "evt.x", b"{", "{}", "no JSON", MOMENT, None)

    waiting = await connection.fetch(former["parked._LIST_WAITING"], 10)
    await connection.execute(former["parked._ADD"], *([each] for each in again))
    waiting_again = await connection.fetch(former["parked._LIST_WAITING"], 10)

    assert waiting == []
    assert [row["parked_id"] for row in waiting_again] == [again[0]]
