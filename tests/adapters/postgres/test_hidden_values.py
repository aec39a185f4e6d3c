"""What the database says against a row is told without the row: its errors are logged as causes."""

import traceback
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from billing_adapters.postgres.refusals import InvariantRefused, translated
from billing_core.errors import BillingError

VALUE = "what-nobody-may-read"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session with a table of its own."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "create temporary table told (id text primary key, email text, kind int, check (email not like '%nobody%'))"
    )
    await connection.execute("insert into told values ($1, 'a', 1)", VALUE)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("insert into told values ('1', $1, 1)", (VALUE,)),  # Failing row contains (…)
        ("insert into told values ($1, 'a', 1)", (VALUE,)),  # Key (id)=(…) already exists
        ("select cast(cast($1 as text) as int)", (VALUE,)),  # invalid input syntax for type integer: "…"
        ("select to_date($1, 'YYYY')", (VALUE,)),
        ("insert into told values ('1', 'a', $1)", (VALUE,)),  # invalid input for query argument $1: '…'
    ],
)
async def test_no_value_is_told(connection: "asyncpg.Connection[Any]", statement: str, parameters: tuple[str]) -> None:
    """Neither the refusal nor its cause repeats a value of the row or a parameter."""
    with pytest.raises(BillingError) as refused, translated:
        await connection.execute(statement, *parameters)

    told = "".join(traceback.format_exception(refused.value))
    assert isinstance(refused.value.__cause__, (asyncpg.PostgresError, asyncpg.DataError))
    assert VALUE not in told


async def test_what_says_nothing_of_values_stays(connection: "asyncpg.Connection[Any]") -> None:
    """The constraint's name is still there for whoever has to mend it."""
    with pytest.raises(InvariantRefused) as refused, translated:
        await connection.execute("insert into told values ('1', $1, 1)", VALUE)

    assert "told_email_check" in "".join(traceback.format_exception(refused.value))
