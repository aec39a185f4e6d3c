"""What the parts of one unit of work share."""

from collections.abc import Iterator

from billing_core.errors import StorageConflict
from billing_core.testing.memory.locks import Row, RowLocks
from billing_core.testing.memory.tables import StagedTables, Tables


class Transaction:
    """One transaction: its view of the tables and the rows it holds. `positions` are taken for good: whoever is undone
    leaves a gap, as with the database's own counter. One `of_merchant` sees that merchant's rows alone."""

    def __init__(
        self, tables: Tables, locks: RowLocks, positions: Iterator[int], *, of_merchant: str | None = None
    ) -> None:
        self._view, self._locks, self.positions = StagedTables(tables, of_merchant), locks, positions
        self._over: str | None = None

    @property
    def view(self) -> StagedTables:
        """The tables as this transaction sees them. Raises StorageConflict once it was undone."""
        self._must_be_open()
        return self._view

    async def hold(self, *row: Row) -> None:
        """This will hold the rows, in the order given, until the transaction ends."""
        self._must_be_open()
        for each in row:
            try:
                await self._locks.hold(self, each)
            except StorageConflict:
                self.close("undone")
                raise

    def try_hold(self, row: Row) -> bool:
        """This will hold the row unless another transaction does."""
        self._must_be_open()
        return self._locks.try_hold(self, row)

    def holds(self, row: Row) -> bool:
        """Whether this transaction holds the row."""
        return self._locks.is_held(self, row)

    def conflict(self, detail: str) -> StorageConflict:
        """This will undo the transaction, and give the error that says so."""
        self.close("undone")
        return StorageConflict(detail)

    def commit(self) -> None:
        """This will make everything last at once, and end the transaction."""
        self._must_be_open()
        self._view.apply()
        self.close("committed")

    def close(self, how: str = "closed") -> None:
        """This will end the transaction; what was not committed never happened."""
        self._over = self._over or how
        self._locks.let_go(self)

    def _must_be_open(self) -> None:
        if self._over is not None:
            raise StorageConflict(f"this transaction is over: {self._over}")
