"""Every job's loop has a written limit: a store that never runs dry cannot hold a worker for ever."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from billing_core.domain.idempotency import RequestKey
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.testing import MOMENT, InMemoryBilling, a_purchase
from billing_core.use_cases import archive_purchases, check_purchases, expire_trials, purge_idempotency


class _EndlessStore:
    """Storage that has another full batch each time it is asked, and counts how often it was."""

    def __init__(self) -> None:
        self.asked = 0
        self.purchases = self.trials = self.journal = self

    @asynccontextmanager
    async def units(self, merchant_id: str | None = None) -> AsyncIterator[Any]:
        """A transaction over itself."""
        yield self

    async def commit(self) -> None:
        """See `UnitOfWork.commit`."""

    async def save(self, rows: Sequence[object]) -> None:
        """See `Trials.save`."""

    async def record(self, changes: Sequence[object]) -> None:
        """See `Journal.record`."""

    async def lock_due(self, now: datetime, limit: int) -> Sequence[Trial]:
        """See `Trials.lock_due`; a batch of none is full here."""
        self.asked += 1
        return [] * limit

    async def archive(self, ended_before: datetime, limit: int) -> int:
        """See `Purchases.archive`."""
        self.asked += 1
        return limit

    async def due_for_check(self, now: datetime, limit: int) -> Sequence[Purchase]:
        """See `Purchases.due_for_check`; a batch of none is full here."""
        self.asked += 1
        return [] * limit

    async def past_deadline(self, now: datetime, limit: int, after: UUID | None = None) -> Sequence[Purchase]:
        """See `Purchases.past_deadline`: always one whose grace is not over."""
        self.asked += 1
        return [a_purchase(expires_at=now)]

    async def purge(self, before: datetime, limit: int) -> int:
        """See `Housekeeping`."""
        self.asked += 1
        return limit

    purge_events = purge_inbox = purge

    async def purge_keys(self, created_before: datetime, limit: int) -> Sequence[RequestKey]:
        """See `Housekeeping.purge_keys`."""
        self.asked += 1
        return [RequestKey(merchant_id="m", route="r", key="k")] * limit


class TestLimits:
    async def test_expiring_trials_ends(self, billing: InMemoryBilling) -> None:
        """After so many batches the rest waits for the next run."""
        store = _EndlessStore()
        await expire_trials.ExpireTrials(units=store.units, clock=billing.clock, batch=0)(MOMENT)
        assert store.asked == expire_trials.MAX_BATCHES

    async def test_archiving_ends(self, billing: InMemoryBilling) -> None:
        """After so many batches the rest waits for the next run."""
        store = _EndlessStore()
        await archive_purchases.ArchivePurchases(units=store.units, clock=billing.clock)(MOMENT)
        assert store.asked == archive_purchases.MAX_BATCHES

    async def test_forgetting_ends(self, billing: InMemoryBilling) -> None:
        """After so many batches of each kind the rest waits for the next run."""
        store = _EndlessStore()
        await purge_idempotency.PurgeIdempotency(
            housekeeping=store, replays=billing.replays, clock=billing.clock, batch=1
        )(MOMENT)
        assert store.asked == 3 * purge_idempotency.MAX_BATCHES

    async def test_reconciling_and_expiring_purchases_end(self, billing: InMemoryBilling) -> None:
        """After so many batches the rest waits for the next run."""
        check = check_purchases.CheckPurchases(
            units=billing.storage.units, ask=billing.ask, settle=billing.settle, platforms=billing.platforms
        )
        reconciled, expired = _EndlessStore(), _EndlessStore()
        await check_purchases.ReconcilePurchases(units=reconciled.units, check=check, clock=billing.clock, batch=0)(
            MOMENT
        )
        await check_purchases.ExpirePurchases(units=expired.units, check=check, clock=billing.clock, batch=1)(MOMENT)
        assert reconciled.asked == expired.asked == check_purchases.MAX_BATCHES
