"""Billing's truth, in memory: the same promises as the database, for tests and simulations."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import count
from typing import Self

from billing_core.ports.clock import Clock
from billing_core.testing.clock import FixedClock
from billing_core.testing.memory.grants import InMemoryGrants
from billing_core.testing.memory.journal import (
    InMemoryInbox,
    InMemoryJournal,
    InMemoryKeyRecords,
    InMemoryParkedMessages,
)
from billing_core.testing.memory.locks import RowLocks
from billing_core.testing.memory.merchants import InMemoryMerchants
from billing_core.testing.memory.outbox import (
    InMemoryHousekeeping,
    InMemoryJobRuns,
    InMemoryLeadership,
    InMemoryOutbox,
)
from billing_core.testing.memory.privacy import InMemoryMerchantData, InMemoryRedactions
from billing_core.testing.memory.purchases import InMemoryPurchases
from billing_core.testing.memory.records import InMemoryRecords
from billing_core.testing.memory.reports import InMemoryReports
from billing_core.testing.memory.requests import InMemoryPurchaseRequests
from billing_core.testing.memory.tables import Tables
from billing_core.testing.memory.transaction import Transaction
from billing_core.testing.memory.trials import InMemoryTrials


class InMemoryStorage:
    """Every storage port over one set of tables; several transactions may be open at once in one event loop.

    A transaction sees what others committed (read committed) under its own changes, holds rows until it ends, and
    leaves nothing behind unless it commits. `tables` is what is committed, for tests to look at; `clock` is the
    storage's own, `numbers` what ids are counted with, `positions` what places in the outbox are.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.tables = Tables()
        self.clock = clock or FixedClock()
        self.numbers, self.positions = count(1), count(1)
        self.outbox = InMemoryOutbox(self.tables)
        self.housekeeping = InMemoryHousekeeping(self.tables)
        self.leadership = InMemoryLeadership()
        self.runs = InMemoryJobRuns(self.tables)
        self.records = InMemoryRecords(self.tables)
        self.reports = InMemoryReports(self.tables)
        self.data = InMemoryMerchantData(self.tables)
        self.requests = InMemoryPurchaseRequests(self.tables, self.units)
        self._locks = RowLocks()

    def units(self, merchant_id: str | None = None) -> "AbstractAsyncContextManager[InMemoryUnitOfWork]":
        """See `OpenUnitOfWork`."""
        transaction = Transaction(self.tables, self._locks, self.positions, of_merchant=merchant_id)
        return InMemoryUnitOfWork(transaction, self.clock)


class InMemoryUnitOfWork:
    """One transaction."""

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction, self._clock = transaction, clock
        self.merchants = InMemoryMerchants(transaction)
        self.trials = InMemoryTrials(transaction)
        self.purchases = InMemoryPurchases(transaction)
        self.grants = InMemoryGrants(transaction)
        self.journal = InMemoryJournal(transaction)
        self.inbox = InMemoryInbox(transaction)
        self.keys = InMemoryKeyRecords(transaction)
        self.parked = InMemoryParkedMessages(transaction)
        self.redactions = InMemoryRedactions(transaction)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_how: object) -> None:
        self._transaction.close()

    async def now(self) -> datetime:
        """See `UnitOfWork.now`."""
        return self._clock.now()

    async def flush(self) -> None:
        """See `UnitOfWork.flush`. In memory everything is checked as it is done."""

    async def commit(self) -> None:
        """See `UnitOfWork.commit`."""
        self._transaction.commit()
