"""Relay events as they are recorded."""

import asyncio

from billing_adapters.logs import get_logger
from billing_adapters.postgres.outbox import OutboxBell
from billing_core.errors import PublishingUnavailable, StorageUnavailable
from billing_core.use_cases.relay_events import RelayEvents
from billing_worker.metrics import WorkerMetrics

# The bell only wakes the relay early; the poll is what makes sure.
POLL_S = 0.5
OUTAGE_PAUSE_S = 1.0

log = get_logger("relay")


class Relaying:
    """Runs the relay until it is told to stop."""

    def __init__(self, *, relay: RelayEvents, bell: OutboxBell, metrics: WorkerMetrics) -> None:
        self._relay, self._bell, self._metrics = relay, bell, metrics

    async def run(self, stop: asyncio.Event) -> None:
        """This will relay until `stop` is set, finishing the round it is in."""
        while not stop.is_set():
            try:
                report = await self._relay()
            except (PublishingUnavailable, StorageUnavailable) as away:
                self._metrics.relay_failures.labels(away.code).inc()
                log.warning("relay.waits", code=away.code, reason=str(away))
                await asyncio.sleep(OUTAGE_PAUSE_S)
                continue
            self._metrics.published.inc(report.done)
            await self._bell.wait(POLL_S)
