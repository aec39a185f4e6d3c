"""Relay recorded events to the broker, in order, by one process at a time."""

from datetime import datetime

from billing_core.ports.clock import Clock
from billing_core.ports.publishing import EventPublisher
from billing_core.ports.storage import Leadership, Outbox
from billing_core.use_cases.jobs import JobReport

BATCH = 500
MAX_BATCHES = 200


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
    ) -> None:
        self._outbox, self._publisher, self._leadership = outbox, publisher, leadership
        self._clock, self._batch = clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will publish what waits in the outbox and mark it after the broker confirmed it.

        A crash between the two publishes again under the same ids, which the broker and every consumer drop. Raises
        PublishingUnavailable or StorageUnavailable; what is not marked goes out next time.
        """
        done = 0
        async with self._leadership.lead(self.name) as leading:
            for _ in range(MAX_BATCHES if leading else 0):
                events = await self._outbox.unpublished(self._batch)
                if events:
                    await self._publisher.publish(events)
                    await self._outbox.mark_published([each.event_id for each in events], now or self._clock.now())
                done += len(events)
                if len(events) < self._batch:
                    break
        return JobReport(done=done)
