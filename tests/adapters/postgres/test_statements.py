"""Statements: SQLAlchemy Core compiled once to what asyncpg takes."""

from uuid import uuid4

import pytest
from sqlalchemy import any_, bindparam, insert, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement, arrays, given
from billing_adapters.postgres.tables import inbox, merchants, payment_claims


class TestStatement:
    def test_arguments_are_put_in_the_order_of_their_numbers(self) -> None:
        """The names follow `$1 …` of the text, whatever order the values come in."""
        columns = inbox.c
        statement = Statement(
            select(columns.source).where(
                columns.message_id == bindparam("message_id"), columns.source == bindparam("source")
            )
        )

        text = statement.text.replace("\n", " ")

        assert text.index("inbox.message_id = $1") < text.index("inbox.source = $2")
        assert statement.arguments({"source": "s", "message_id": "m"}) == ["m", "s"]

    def test_one_name_used_twice_is_one_argument(self) -> None:
        """A union that asks both halves for the same id sends the id once."""
        asked = bindparam("merchant_id", type_=merchants.c.merchant_id.type)
        statement = Statement(select(merchants).where(merchants.c.merchant_id == asked, merchants.c.platform != asked))

        assert statement.arguments({"merchant_id": "m"}) == ["m"]

    def test_a_missing_value_is_refused(self) -> None:
        """A forgotten argument never becomes NULL."""
        statement = Statement(select(inbox).where(inbox.c.source == bindparam("source")))

        with pytest.raises(TypeError, match="needs 'source'"):
            statement.arguments({})

    def test_a_value_nobody_asked_for_is_refused(self) -> None:
        """A misspelt optional filter never goes unheard."""
        statement = Statement(select(inbox).where(inbox.c.source == bindparam("source")))

        with pytest.raises(TypeError, match="does not take sauce"):
            statement.arguments({"source": "s", "sauce": "s"})

    def test_constants_must_be_literals(self) -> None:
        """A value hidden in the statement would be an argument the planner cannot match to a partial index."""
        statement = Statement(select(inbox).where(inbox.c.source == "billing"))

        with pytest.raises(TypeError, match="literal_column"):
            _ = statement.text


class TestGiven:
    async def test_rows_are_handed_in_as_one_array_a_column(self, database: Database) -> None:
        """Many rows with NULLs and quotes in them go in with one statement."""
        columns = tuple(payment_claims.c)
        rows = [("sandbox", f"it's {{{number}}},\"", "merchant", uuid4()) for number in range(1000)]
        add = Statement(insert(payment_claims).from_select([each.name for each in columns], select(*given(columns).c)))

        added = await database.run(add, **arrays(columns, rows))
        read = await database.rows(Statement(select(payment_claims)))

        assert added == 1000
        assert sorted(tuple(row.values()) for row in read) == sorted(rows)

    async def test_many_are_found_with_one_array(self, database: Database) -> None:
        """`= any($1)` takes a list of any length under one text."""
        wanted = Statement(
            select(literal_column("merchant_id"))
            .select_from(given([merchants.c.merchant_id]))
            .where(literal_column("merchant_id") == any_(bindparam("wanted", type_=ARRAY(merchants.c.platform.type))))
        )

        rows = await database.rows(wanted, merchant_id=["a", "b", "c"], wanted=["c", "a", "z"])

        assert [row["merchant_id"] for row in rows] == ["a", "c"]
