"""Forget what may be forgotten: idempotency keys, published events and handled message ids past their time."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from billing_core.domain.idempotency import REMEMBERED_FOR
from billing_core.ports.clock import Clock
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.storage import Housekeeping
from billing_core.use_cases.jobs import JobReport

# Any range of two weeks can be published again from the outbox; a month covers every broker's and platform's retries.
EVENTS_KEPT_FOR = timedelta(days=14)
INBOX_KEPT_FOR = timedelta(days=30)
BATCH = 5_000
MAX_BATCHES = 10_000


class PurgeIdempotency:
    """The job `purge-idempotency`."""

    name = "purge-idempotency"

    def __init__(self, *, housekeeping: Housekeeping, replays: ReplayCache, clock: Clock, batch: int = BATCH) -> None:
        self._housekeeping, self._replays, self._clock, self._batch = housekeeping, replays, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will forget keys after 24 hours, published events after 14 days and message ids after 30."""
        now = now or self._clock.now()
        figures = {
            "keys": await self._purge(self._forget_keys, now - REMEMBERED_FOR),
            "events": await self._purge(self._housekeeping.purge_events, now - EVENTS_KEPT_FOR),
            "messages": await self._purge(self._housekeeping.purge_inbox, now - INBOX_KEPT_FOR),
        }
        return JobReport(done=sum(figures.values()), figures=figures)

    async def _forget_keys(self, created_before: datetime, limit: int) -> int:
        gone = await self._housekeeping.purge_keys(created_before, limit)
        await self._replays.forget(gone)  # the fast path must not remember what the truth forgot
        return len(gone)

    async def _purge(self, forget: Callable[[datetime, int], Awaitable[int]], before: datetime) -> int:
        done = 0
        for _ in range(MAX_BATCHES):
            gone = await forget(before, self._batch)
            done += gone
            if gone < self._batch:
                break
        return done
