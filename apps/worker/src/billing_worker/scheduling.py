"""Run the jobs when they are due."""

import asyncio
import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from billing_adapters.logs import get_logger
from billing_core.errors import PublishingUnavailable, StorageUnavailable
from billing_core.use_cases.jobs import JobOutcome, RunDueJobs
from billing_worker.metrics import WorkerMetrics

TICK_S = 5.0
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

log = get_logger("scheduler")


class Scheduling:
    """Looks for due jobs until it is told to stop."""

    def __init__(self, *, run_due_jobs: RunDueJobs, metrics: WorkerMetrics, traces: Mapping[str, str] = _NONE) -> None:
        """This will run the jobs; `traces` has the trace id of each job's last run, where it was traced."""
        self._run_due_jobs, self._metrics, self._traces = run_due_jobs, metrics, traces
        # From nought, as Consumption begins its own.
        for name in run_due_jobs.names:
            for result in ("done", "failed"):
                metrics.jobs.labels(name, result)

    async def run(self, stop: asyncio.Event) -> None:
        """This will run due jobs every few seconds until `stop` is set."""
        while not stop.is_set():
            try:
                for outcome in await self._run_due_jobs():
                    self._tell(outcome)
            except (StorageUnavailable, PublishingUnavailable) as away:
                log.warning("scheduler.waits", code=away.code, reason=str(away))
            with contextlib.suppress(TimeoutError):  # the tick is over: look again
                await asyncio.wait_for(stop.wait(), TICK_S)

    def _tell(self, outcome: JobOutcome) -> None:
        self._metrics.jobs.labels(outcome.name, "failed" if outcome.error else "done").inc()
        trace_id = self._traces.get(outcome.name)
        told = log.bind(job=outcome.name, **({"trace_id": trace_id} if trace_id else {}))
        if outcome.error is not None:
            told.error("job.failed", exc_info=outcome.error)
        if outcome.report is None:
            return
        for fault in outcome.report.faults:
            told.error("job.fault", exc_info=fault)
        if outcome.report.done:
            told.info("job.done", done=outcome.report.done, **outcome.report.figures)
