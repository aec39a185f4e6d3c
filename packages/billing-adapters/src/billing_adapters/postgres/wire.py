"""The wire: one asyncpg connection that runs compiled statements and speaks of failures in billing's own words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from billing_adapters.postgres.refusals import translated
from billing_adapters.postgres.statements import RowsWrite, Statement, Write, together
from billing_core.errors import BillingError, StorageConflict

# What asyncpg returns, as far as it is used: values by column name.
Record: TypeAlias = Mapping[str, Any]


class Wire:
    """One connection, running compiled statements, each within `timeout_s` seconds."""

    __slots__ = ("_connection", "_timeout_s")

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self._connection, self._timeout_s = connection, timeout_s

    async def rows(self, statement: Statement, **values: object) -> list[Record]:
        """This will run the statement and return every row."""
        arguments = statement.arguments(values)
        with translated:
            rows: list[Record] = await self._connection.fetch(statement.text, *arguments, timeout=self._timeout_s)
        return rows

    async def row(self, statement: Statement, **values: object) -> Record | None:
        """This will run the statement and return the first row, or None."""
        arguments = statement.arguments(values)
        with translated:
            row: Record | None = await self._connection.fetchrow(statement.text, *arguments, timeout=self._timeout_s)
        return row

    async def run(self, statement: Statement, **values: object) -> int:
        """This will run the statement and say how many rows it touched."""
        arguments = statement.arguments(values)
        with translated:
            status: str = await self._connection.execute(statement.text, *arguments, timeout=self._timeout_s)
        return int(status.rsplit(" ", 1)[-1])

    async def command(self, text: str, *, timeout_s: float | None = None) -> str:
        """This will run a command of the session's own (begin, commit, set) and return what was done."""
        with translated:
            done: str = await self._connection.execute(text, timeout=timeout_s)
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A write that was not sent yet."""

    write: Write
    arguments: list[object]
    rows: int | None
    otherwise: Callable[[], BillingError]


class Transaction(Wire):
    """A wire inside a transaction; what is not committed when its block ends never happened.

    Writes wait for each other, because a round trip costs more than most of them: they are sent together, before the
    next question and at the commit. What the server has against one is heard then.
    """

    __slots__ = ("_over", "_pending", "_ring", "accounts", "announces", "sequences")

    def __init__(self, connection: Any, timeout_s: float, *, ring: Callable[[], None]) -> None:
        """This will work on the connection, giving each statement `timeout_s` seconds, and `ring` once there are new
        events for a relay."""
        super().__init__(connection, timeout_s)
        self._over = False
        self._ring = ring
        self.announces = False  # whether it records events
        self._pending: list[_Pending] = []
        # The number of the latest event of each merchant whose row this transaction holds.
        self.sequences: dict[str, int] = {}
        # The account each merchant must still have when an event of it is counted, where its row was read and not held.
        self.accounts: dict[str, str] = {}

    async def begin(self, timeout_s: float, first: str | None = None) -> None:
        """This will open the transaction, with the command that comes `first` in it. A server that hangs is noticed
        here."""
        begin = "begin isolation level read committed"
        await self.command(begin if first is None else f"{begin}; {first}", timeout_s=timeout_s)

    async def rows(self, statement: Statement, **values: object) -> list[Record]:
        """This will run the statement after what was to be written, and return every row."""
        await self.flush()
        return await super().rows(statement, **values)

    async def row(self, statement: Statement, **values: object) -> Record | None:
        """This will run the statement after what was to be written, and return the first row, or None."""
        await self.flush()
        return await super().row(statement, **values)

    async def run(self, statement: Statement, **values: object) -> int:
        """This will run the statement after what was to be written, and say how many rows it touched."""
        await self.flush()
        return await super().run(statement, **values)

    async def write(
        self,
        write: Write,
        values: Mapping[str, object],
        *,
        rows: int | None = None,
        otherwise: Callable[[], BillingError] = StorageConflict,
    ) -> None:
        """This will write, at the latest when it is committed. Where other than `rows` rows are touched, `otherwise`
        makes the error that is raised then."""
        if any(each.write.table is write.table for each in self._pending):
            await self.flush()
        self._pending.append(_Pending(write=write, arguments=write.arguments(values), rows=rows, otherwise=otherwise))

    async def store(
        self,
        write: RowsWrite,
        given: Sequence[Sequence[object]],
        *,
        rows: int | None = None,
        otherwise: Callable[[], BillingError] = StorageConflict,
        **values: object,
    ) -> None:
        """This will write the rows given, as `write` does."""
        statement, given_values = write.of(given)
        await self.write(statement, {**given_values, **values}, rows=rows, otherwise=otherwise)

    async def flush(self) -> None:
        """This will send what was to be written. Raises what the server, or whoever wrote, has against it."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        text = together(tuple(each.write for each in pending))
        arguments = [argument for each in pending for argument in each.arguments]
        with translated:
            written = await self._connection.fetchrow(text, *arguments, timeout=self._timeout_s)
        for each, rows in zip(pending, written, strict=True):
            if each.rows is not None and rows != each.rows:
                raise each.otherwise()

    async def commit(self) -> None:
        """This will make everything last.

        Raises StorageConflict where a statement failed before: then nothing lasts. Raises StorageUnavailable where
        the answer was lost: then it may or may not have lasted, and the unique keys make trying again safe.
        """
        if self._over:
            raise RuntimeError("the transaction is over")
        await self.flush()
        self._over = True
        if await self.command("commit") != "COMMIT":  # PostgreSQL undoes a failed transaction without an error
            raise StorageConflict("the transaction failed before, so nothing of it was kept")
        if self.announces:
            self._ring()

    async def roll_back(self) -> None:
        """This will undo everything, unless it is over."""
        if not self._over:
            self._over = True
            await self.command("rollback")


class OneStatement(Transaction):
    """A transaction that is a single statement: every write of it, or none where one touches other rows than it
    should. It asks nothing and holds nothing, and needs neither begin nor commit of the server's."""

    __slots__ = ("_merchant_id",)

    def __init__(self, connection: Any, timeout_s: float, *, ring: Callable[[], None], merchant_id: str) -> None:
        """This will write rows of one merchant and no other's."""
        super().__init__(connection, timeout_s, ring=ring)
        self._merchant_id = merchant_id

    async def flush(self) -> None:
        """Not here. Raises RuntimeError: whatever would ask, or write a table twice, needs a transaction."""
        raise RuntimeError("a transaction of one statement asks nothing and writes each table once")

    async def commit(self) -> None:
        """This will write. Raises StorageConflict, with nothing written, where a row is not as it was expected."""
        writes, rows = tuple(each.write for each in self._pending), tuple(each.rows for each in self._pending)
        arguments = [argument for each in self._pending for argument in each.arguments]
        text = together(writes, rows, narrowed=True)
        with translated:
            try:
                await self._connection.fetchrow(text, *arguments, self._merchant_id, timeout=self._timeout_s)
            except asyncpg.DivisionByZeroError as changed:
                raise StorageConflict("what was expected has changed meanwhile") from changed
        if self.announces:
            self._ring()
