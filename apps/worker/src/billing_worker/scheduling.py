"""Run the jobs when they are due."""

import asyncio
import contextlib

from billing_adapters.clock import SystemClock
from billing_adapters.logs import get_logger
from billing_adapters.nats.advisories import count_given_up
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.postgres.support import PostgresSupport
from billing_core.errors import PublishingUnavailable, StorageUnavailable
from billing_core.use_cases.jobs import JobOutcome, RunDueJobs
from billing_worker.metrics import WorkerMetrics

TICK_S = 5.0

log = get_logger("scheduler")


class Scheduling:
    """Looks for due jobs until it is told to stop."""

    def __init__(
        self, *, run_due_jobs: RunDueJobs, support: PostgresSupport, nats: NatsConnection, metrics: WorkerMetrics
    ) -> None:
        self._run_due_jobs, self._support, self._nats, self._metrics = run_due_jobs, support, nats, metrics

    async def run(self, stop: asyncio.Event) -> None:
        """This will run due jobs every few seconds until `stop` is set."""
        while not stop.is_set():
            try:
                for outcome in await self._run_due_jobs():
                    self._tell(outcome)
                await self._measure()
            except (StorageUnavailable, PublishingUnavailable) as away:
                log.warning("scheduler.waits", code=away.code, reason=str(away))
            with contextlib.suppress(TimeoutError):  # the tick is over: look again
                await asyncio.wait_for(stop.wait(), TICK_S)

    def _tell(self, outcome: JobOutcome) -> None:
        self._metrics.jobs.labels(outcome.name, "failed" if outcome.error else "done").inc()
        if outcome.error is not None:
            log.error("job.failed", job=outcome.name, exc_info=outcome.error)
        if outcome.report is None:
            return
        for fault in outcome.report.faults:
            log.error("job.fault", job=outcome.name, exc_info=fault)
        if outcome.report.done:
            log.info("job.done", job=outcome.name, done=outcome.report.done, **outcome.report.figures)

    async def _measure(self) -> None:
        waiting = await self._support.unpublished_count_and_oldest()
        oldest = waiting.oldest_at
        age = 0.0 if oldest is None else (SystemClock().now() - oldest).total_seconds()
        self._metrics.outbox_unpublished.set(waiting.events)
        self._metrics.outbox_oldest_seconds.set(age)
        self._metrics.parked_waiting.set(await self._support.parked_count())
        self._metrics.clock_ahead_seconds.set(await self._support.clock_ahead_s())
        if self._nats.is_connected and (given_up := await count_given_up(self._nats)) is not None:
            self._metrics.given_up.set(given_up)
            if given_up:
                self._nats.warn("NATS gave messages up; see `billing doctor`", f"{given_up} message(s)")
