"""Relay recorded events to the broker, each merchant's in order: each lane by one process at a time."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from billing_core.ports.clock import Clock
from billing_core.ports.publishing import EventPublisher, Lane, OutboxEvent
from billing_core.ports.storage import Leadership, Outbox
from billing_core.use_cases.jobs import JobReport

# As many as brokers take as one; so many batches are read at once, and each lane so often in one round.
BATCH = 1000
BATCHES_READ = 4
MAX_READS = 50


class RelayEvents:
    """The job `relay-events`; workers run it all the time."""

    name = "relay-events"

    def __init__(
        self,
        *,
        outbox: Outbox,
        publisher: EventPublisher,
        leadership: Leadership,
        clock: Clock,
        batch: int = BATCH,
        lanes: int = 1,
    ) -> None:
        """`lanes` is how many processes may relay side by side."""
        self._outbox, self._publisher, self._leadership = outbox, publisher, leadership
        self._clock, self._batch = clock, batch
        self._lanes = [Lane(number=number, of=lanes) for number in range(lanes)]

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will publish what waits in the outbox, lane by lane, and mark it after the broker confirmed it. A lane
        that another process is at is left to it.

        A crash between the two publishes again under the same ids, which the broker and every consumer drop. Raises
        PublishingUnavailable or StorageUnavailable; what is not marked goes out next time.
        """
        done, wanted = 0, self._batch * BATCHES_READ
        for _ in range(MAX_READS):
            read = sum([await self._relay(lane, wanted, now) for lane in self._lanes])
            done += read
            if read < wanted:
                break
        return JobReport(done=done)

    async def _relay(self, lane: Lane, wanted: int, now: datetime | None) -> int:
        task = self.name if lane.of == 1 else f"{self.name} {lane.number}/{lane.of}"
        async with self._leadership.lead(task) as leading:
            events = await self._outbox.unpublished(wanted, lane) if leading else ()
            await self._publish(events, now)
        return len(events)

    async def _publish(self, events: Sequence[OutboxEvent], now: datetime | None) -> None:
        """Batch after batch. What the broker has is marked while it takes the next one: storage and broker need not
        wait for each other."""
        confirmed = events[: self._batch]
        if confirmed:
            await self._publisher.publish(confirmed)
        for start in range(self._batch, len(events), self._batch):
            marking = asyncio.ensure_future(self._mark(confirmed, now))
            confirmed = events[start : start + self._batch]
            try:
                await self._publisher.publish(confirmed)
            finally:
                await marking
        await self._mark(confirmed, now)

    async def _mark(self, events: Sequence[OutboxEvent], now: datetime | None) -> None:
        if events:
            await self._outbox.mark_published([each.event_id for each in events], now or self._clock.now())
