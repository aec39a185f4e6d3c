"""What must happen without anyone asking: the jobs, how often, and who runs them.

Every job is bounded, restartable, safe to run twice and at the same time, and catches up after days of downtime.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from billing_core.domain.events import Origin
from billing_core.ports.clock import Clock
from billing_core.ports.storage import JobRuns, Leadership


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a run did: `done` things changed, figures by name, and the faults that kept single things undone."""

    done: int
    figures: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Exception, ...] = ()


class Job(Protocol):
    """One job."""

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will do what is due at `now` (default: the clock's)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """A job, its name on the command line, and how often it runs."""

    name: str
    every: timedelta
    run: Job
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a scheduled run ended: a report, or the error that stopped it."""

    name: str
    report: JobReport | None = None
    error: Exception | None = None


class RunDueJobs:
    """Runs each job whose time has come, in one process of many."""

    def __init__(self, *, jobs: Sequence[ScheduledJob], leadership: Leadership, runs: JobRuns, clock: Clock) -> None:
        self._jobs, self._leadership, self._runs, self._clock = jobs, leadership, runs, clock

    @property
    def names(self) -> Sequence[str]:
        """The jobs it runs."""
        return [job.name for job in self._jobs]

    async def __call__(self) -> Sequence[JobOutcome]:
        """This will run the due jobs and say how each ended; a failed one is due again at the next call."""
        async with self._leadership.lead("scheduler") as leading:
            if not leading:
                return ()
            return [await self._run(job) for job in self._jobs if await self._is_due(job)]

    async def _is_due(self, job: ScheduledJob) -> bool:
        last = await self._runs.last_run(job.name)
        now = self._clock.now()
        # A run in the future was noted by a clock that has been set back since: it must not stop the job until then.
        return last is None or last > now or last + job.every <= now

    async def _run(self, job: ScheduledJob) -> JobOutcome:
        started = self._clock.now()
        try:
            report = await job.run()
        except Exception as error:  # noqa: BLE001 - one job's fault must not stop the others; the outcome tells it
            return JobOutcome(name=job.name, error=error)
        await self._runs.note_run(job.name, started)
        return JobOutcome(name=job.name, report=report)


def job_origin(name: str, now: datetime) -> Origin:
    """The origin of what a job changes."""
    return Origin(actor=f"job:{name}", correlation_id=f"{name}:{now:%Y%m%dT%H%M%SZ}")
