"""One transaction over every store."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.grants import PostgresGrants
from billing_adapters.postgres.inbox import PostgresInbox
from billing_adapters.postgres.journal import PostgresJournal
from billing_adapters.postgres.keys import PostgresKeyRecords
from billing_adapters.postgres.merchants import PostgresMerchants
from billing_adapters.postgres.parked import PostgresParkedMessages
from billing_adapters.postgres.purchases import PostgresPurchases
from billing_adapters.postgres.redactions import PostgresRedactions
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.trials import PostgresTrials
from billing_adapters.postgres.wire import Transaction
from billing_core.ports.storage import UnitOfWork

_NOW: Final = Statement(select(func.clock_timestamp().label("now")))


class PostgresUnitOfWork:
    """One transaction. What was not committed when it closes never happened."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.merchants = PostgresMerchants(transaction)
        self.trials = PostgresTrials(transaction)
        self.purchases = PostgresPurchases(transaction)
        self.grants = PostgresGrants(transaction)
        self.journal = PostgresJournal(transaction)
        self.inbox = PostgresInbox(transaction)
        self.keys = PostgresKeyRecords(transaction)
        self.parked = PostgresParkedMessages(transaction)
        self.redactions = PostgresRedactions(transaction)

    async def now(self) -> datetime:
        """The moment by the database's clock."""
        row = await self._transaction.row(_NOW)
        if row is None:
            raise AssertionError("a select without a table gives one row")
        moment: datetime = row["now"]
        return moment

    async def flush(self) -> None:
        """This will have everything done so far checked, without making it last."""
        await self._transaction.flush()

    async def commit(self) -> None:
        """This will make everything done so far last, at once and together."""
        await self._transaction.commit()


class PostgresUnits:
    """Opens transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, merchant_id: str | None = None) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new transaction, for `async with`; with a merchant id, that merchant's alone."""
        return self._open(merchant_id)

    @asynccontextmanager
    async def _open(self, merchant_id: str | None) -> AsyncIterator[UnitOfWork]:
        async with self._database.transaction(merchant_id) as transaction:
            yield PostgresUnitOfWork(transaction)
