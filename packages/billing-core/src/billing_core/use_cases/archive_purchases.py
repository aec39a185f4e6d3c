"""Move purchases whose life ended long ago out of the hot table."""

from datetime import datetime

from billing_core.domain.purchases import ARCHIVED_AFTER
from billing_core.ports.clock import Clock
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.jobs import JobReport

BATCH = 1_000
MAX_BATCHES = 10_000


class ArchivePurchases:
    """The job `archive-purchases`."""

    name = "archive-purchases"

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._clock, self._batch = units, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will archive purchases 90 days after the end of their life; they stay readable and findable."""
        ended_before = (now or self._clock.now()) - ARCHIVED_AFTER
        done = 0
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                moved = await uow.purchases.archive(ended_before, self._batch)
                await uow.commit()
            done += moved
            if moved < self._batch:
                break
        return JobReport(done=done)
