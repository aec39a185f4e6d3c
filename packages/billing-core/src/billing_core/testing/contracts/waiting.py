"""What the storage suites share: the storage under test, and how to see that one transaction waits for another."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.ports.privacy import MerchantData
from billing_core.ports.records import BillingRecords
from billing_core.ports.reports import BillingReports
from billing_core.ports.storage import Housekeeping, JobRuns, Leadership, OpenUnitOfWork, Outbox, PurchaseRequests
from billing_core.testing.builders import a_merchant

T = TypeVar("T")
DEADLINE_S = 20


class BillingStorage(Protocol):
    """Every storage port of one implementation, over the same data."""

    @property
    def units(self) -> OpenUnitOfWork: ...
    @property
    def requests(self) -> PurchaseRequests: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def housekeeping(self) -> Housekeeping: ...
    @property
    def leadership(self) -> Leadership: ...
    @property
    def runs(self) -> JobRuns: ...
    @property
    def records(self) -> BillingRecords: ...
    @property
    def reports(self) -> BillingReports: ...
    @property
    def data(self) -> MerchantData: ...


class StorageSuite:
    """The part every storage suite starts from."""

    patience_s = 0.1

    async def stays_waiting(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """This will start the work and check that it does not get through while it should wait."""
        task = asyncio.create_task(work)
        done, _ = await asyncio.wait({task}, timeout=self.patience_s)
        if done:
            raise AssertionError(f"did not wait for the other transaction, but ended with {task}")
        return task


async def in_time(task: "asyncio.Task[T]") -> T:
    """The task's result, which must come within the deadline."""
    return await asyncio.wait_for(task, DEADLINE_S)


async def registered(storage: BillingStorage, merchant: Merchant | None = None) -> Merchant:
    """A merchant that is stored."""
    merchant = merchant or a_merchant()
    async with storage.units() as uow:
        await uow.merchants.add([merchant])
        await uow.commit()
    return merchant


async def stored(storage: BillingStorage, *rows: Purchase | Trial) -> None:
    """This will store purchases, with their claims, and trials."""
    async with storage.units() as uow:
        for row in rows:
            if isinstance(row, Trial):
                await uow.trials.add([row])
                continue
            await uow.purchases.add([row])
            if row.platform_reference is not None:
                await uow.purchases.claim([row])
        await uow.commit()
