"""One process among many for a task."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sqlalchemy import Integer, Text, bindparam, func, literal_column, select

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement

# Our number among the advisory locks of the database; the second number is the task's.
_SPACE: Final = literal_column("1651076204", Integer())
_TRY: Final = Statement(
    select(func.pg_try_advisory_xact_lock(_SPACE, func.hashtext(bindparam("task", type_=Text()))).label("leading"))
)

# One message of the simple protocol, so that following needs no round trip more.
_AS_LONG_AS_IT_TAKES: Final = "set local idle_in_transaction_session_timeout = 0; set local transaction_timeout = 0"


class PostgresLeadership:
    """Leads by an advisory lock that lives as long as a transaction of its own: it ends with the block, with the
    connection or with the process, whichever is first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lead(self, task: str) -> AbstractAsyncContextManager[bool]:
        """True for the one that may do the task until the block ends; False, at once, for the others."""
        return self._lead(task)

    @asynccontextmanager
    async def _lead(self, task: str) -> AsyncIterator[bool]:
        async with self._database.transaction_aside() as transaction:
            # The transaction idles while the leader works elsewhere, for as long as that takes.
            await transaction.command(_AS_LONG_AS_IT_TAKES)
            row = await transaction.row(_TRY, task=task)
            leading = row is not None and bool(row["leading"])
            if not leading:
                await transaction.roll_back()
            yield leading
