"""Statements: written in SQLAlchemy Core, compiled once to the text and the argument order that asyncpg takes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    Executable,
    FromClause,
    Insert,
    Select,
    TableValuedAlias,
    Update,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import asyncpg as _asyncpg
from sqlalchemy.sql.elements import ClauseElement

from billing_adapters.postgres.row_security import CALLER_DOMAIN

# SQLAlchemy ships no types for making a dialect.
_DIALECT = _asyncpg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """A statement whose every argument is a named `bindparam`; compiled when it is first run."""

    def __init__(self, written: Executable) -> None:
        self._written = written

    @property
    def text(self) -> str:
        """The SQL, with `$1 …` in the order of `names`."""
        return self._compiled[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments in the order of `$1 …`."""
        return self._compiled[1]

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """This will put the values in order. Raises TypeError where one is missing or not asked for."""
        names = self.names
        try:
            arguments = [values[name] for name in names]
        except KeyError as missing:
            raise TypeError(f"the statement needs {missing}") from None
        if len(values) != len(names):
            raise TypeError(f"the statement does not take {', '.join(sorted(set(values) - set(names)))}")
        return arguments

    @cached_property
    def _compiled(self) -> tuple[str, tuple[str, ...]]:
        if not isinstance(self._written, ClauseElement):
            raise TypeError("a statement is written in SQLAlchemy Core")
        compiled: Any = self._written.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names = tuple(compiled.positiontup or ())
        # A value written into the statement would become an argument the planner knows nothing of.
        if bound := [name for name in names if not compiled.binds[name].required]:
            raise TypeError(f"write constants as literal_column, not as values: {bound} in {compiled}")
        return str(compiled), names


class Write(Statement):
    """A change of rows of one table, of which nothing is asked but how many there were."""

    def __init__(self, written: Insert | Update | Delete) -> None:
        super().__init__(written.returning(literal_column("1")))
        self.table = written.table


class RowsWrite:
    """A change that is given rows: one row as a value for each column, many as an array for each. For one row arrays
    are dear: unpacking thirty of them costs both sides more than the row itself."""

    def __init__(
        self,
        columns: Iterable[Column[Any]],
        written: Callable[[FromClause], Insert | Update],
        *,
        name: str = "given",
    ) -> None:
        """This will write the change of the rows handed to `written`, which have the `columns`."""
        self._columns = tuple(columns)
        self._names = [str(column.name) for column in self._columns]
        self.one = Write(written(_one_given(self._columns, name)))
        self.many = Write(written(given(self._columns, name)))

    def of(self, rows: Sequence[Sequence[object]]) -> tuple[Write, Mapping[str, object]]:
        """The statement for so many rows, and its arguments. There must be at least one row."""
        if len(rows) == 1:
            return self.one, dict(zip(self._names, rows[0], strict=True))
        return self.many, arrays(self._columns, rows)


@cache
def together(writes: tuple[Write, ...], rows: tuple[int | None, ...] | None = None, *, narrowed: bool = False) -> str:
    """One statement that does several writes and gives how many rows each of them had, in columns `w0 …`. Its
    arguments are theirs, one after the other. Each sees the tables as they were before all of them, so no two may be
    of one table. Where `rows` says how many rows each should have, others are an error (a division by zero).
    `narrowed` to one merchant's rows, whose id is the last argument."""
    parts, before = [], 0
    for place, write in enumerate(writes):
        parts.append(f"w{place} as ({_from(write.text, before)})")
        before += len(write.names)
    counts = [f"(select count(*) from w{place})" for place in range(len(writes))]  # noqa: S608 - no value is in it
    if rows is not None:
        counts = [
            count if many is None else f"1 / ({count} = {many})::int" for count, many in zip(counts, rows, strict=True)
        ]
    named = [f"{count} as w{place}" for place, count in enumerate(counts)]
    if narrowed:
        named.append(f"${before + 1}::{CALLER_DOMAIN} as merchant_id")
    return f"with {', '.join(parts)} select {', '.join(named)}"


def _from(text: str, before: int) -> str:
    """The text with its `$1 …` after so many others."""
    return re.sub(r"\$(\d+)", lambda place: f"${int(place[1]) + before}", text)


def given(columns: Iterable[Column[Any]], name: str = "given") -> TableValuedAlias:
    """Rows handed in as arguments: one array for each column, under the column's name."""
    wanted = tuple(columns)
    arrays = [bindparam(each.name, type_=ARRAY(each.type)) for each in wanted]
    return (
        func.unnest(*arrays)
        .table_valued(*[column(each.name, each.type) for each in wanted], name=name)
        .render_derived()
    )


def _one_given(columns: Sequence[Column[Any]], name: str) -> FromClause:
    """One row handed in as arguments under the columns' names."""
    return select(*[bindparam(each.name, type_=each.type).label(each.name) for each in columns]).subquery(name)


def arrays(columns: Iterable[Column[Any]], rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    """The arguments for `given`: the rows' values, column by column. There must be at least one row."""
    names = [each.name for each in columns]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def among(rows: Select[Any]) -> ColumnElement[bool]:
    """Whether a row is one of the `rows`, a query of the same table that locks them and ends in a limit."""
    # Looked for once, and then fetched from where they lie. By their key it is another plan: one that looks for them
    # again for each row of the table and finds others, or, made before the limit is known, reads the whole table.
    place: ColumnElement[Any] = literal_column("ctid")
    found = rows.with_only_columns(place, maintain_column_froms=True).correlate(None)
    return place == any_(func.array(found.scalar_subquery()))
