"""Who holds which row."""

import asyncio
from collections import deque
from collections.abc import Hashable

from billing_core.errors import StorageConflict

Row = tuple[Hashable, ...]


class RowLocks:
    """Locks on rows, each held by one owner until it lets go of all; who waits is served in order of arrival."""

    def __init__(self) -> None:
        self._holders: dict[Row, object] = {}
        self._queues: dict[Row, deque[tuple[object, asyncio.Future[None]]]] = {}
        self._waiting_for: dict[object, Row] = {}

    async def hold(self, owner: object, row: Row) -> None:
        """This will hold the row for the owner, after whoever holds it now.

        Raises StorageConflict where that one waits, directly or not, for this owner: they would wait for ever.
        """
        if self._holders.setdefault(row, owner) is owner:
            return
        if self._would_deadlock(owner, row):
            raise StorageConflict("two transactions wait for each other; this one was undone")
        ticket = (owner, asyncio.get_running_loop().create_future())
        self._queues.setdefault(row, deque()).append(ticket)
        self._waiting_for[owner] = row
        try:
            await ticket[1]
        finally:
            self._waiting_for.pop(owner, None)
            if ticket in self._queues.get(row, ()):  # cancelled before its turn
                self._queues[row].remove(ticket)

    def try_hold(self, owner: object, row: Row) -> bool:
        """This will hold the row if nobody else does."""
        return self._holders.setdefault(row, owner) is owner

    def is_held(self, owner: object, row: Row) -> bool:
        """Whether this owner holds the row."""
        return self._holders.get(row) is owner

    def let_go(self, owner: object) -> None:
        """This will hand every row of the owner to the next in its queue."""
        for row in [row for row, holder in self._holders.items() if holder is owner]:
            del self._holders[row]
            queue = self._queues.get(row, deque())
            while queue:
                heir, turn = queue.popleft()
                self._waiting_for.pop(heir, None)  # from now on, though its task has not run yet
                if not turn.done():  # else it was cancelled
                    self._holders[row] = heir
                    turn.set_result(None)
                    break
            if not queue:
                self._queues.pop(row, None)

    def _would_deadlock(self, owner: object, row: Row) -> bool:
        wanted: Row | None = row
        while wanted is not None:
            holder = self._holders[wanted]
            if holder is owner:
                return True
            wanted = self._waiting_for.get(holder)
        return False
