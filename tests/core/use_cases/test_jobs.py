"""The scheduler runs what is due, in one process, and one job's fault stops no other."""

from datetime import datetime, timedelta

from billing_core.testing import MOMENT, FixedClock, InMemoryStorage
from billing_core.use_cases.jobs import JobReport, RunDueJobs, ScheduledJob, job_origin


class _CountingJob:
    """A job that counts its runs, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.runs, self.failures = 0, failures

    async def __call__(self, now: datetime | None = None) -> JobReport:
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError("a fault of this job")
        return JobReport(done=self.runs)


def _scheduler(clock: FixedClock, storage: InMemoryStorage, *jobs: _CountingJob) -> RunDueJobs:
    scheduled = [
        ScheduledJob(name=f"job-{number}", every=timedelta(hours=1), run=job, about="counts")
        for number, job in enumerate(jobs)
    ]
    return RunDueJobs(jobs=scheduled, leadership=storage.leadership, runs=storage.runs, clock=clock)


class TestRunDueJobs:
    async def test_says_which_jobs_it_runs(self, clock: FixedClock) -> None:
        """In their order, before any has run."""
        assert _scheduler(clock, InMemoryStorage(), _CountingJob(), _CountingJob()).names == ["job-0", "job-1"]

    async def test_runs_a_job_at_first_and_then_each_time_it_is_due(self, clock: FixedClock) -> None:
        """Exactly when its time has passed, not a microsecond before."""
        job = _CountingJob()
        run_due = _scheduler(clock, InMemoryStorage(), job)

        runs = []
        for step in (timedelta(0), timedelta(hours=1, microseconds=-1), timedelta(microseconds=1), timedelta(days=3)):
            clock.advance(step)
            await run_due()
            runs.append(job.runs)

        assert runs == [1, 1, 2, 3]

    async def test_a_run_noted_by_a_clock_ahead_of_ours_stops_nothing(self, clock: FixedClock) -> None:
        """After a clock was set back the job runs at once, not when the wrong time comes round."""
        job, storage = _CountingJob(), InMemoryStorage()
        await storage.runs.note_run("job-0", clock.now() + timedelta(days=1))

        await _scheduler(clock, storage, job)()

        assert job.runs == 1
        assert await storage.runs.last_run("job-0") == clock.now()

    async def test_a_failed_job_is_told_and_due_again_and_the_next_one_runs(self, clock: FixedClock) -> None:
        """The outcome carries the error; nothing is swallowed."""
        failing, other = _CountingJob(failures=1), _CountingJob()
        run_due = _scheduler(clock, InMemoryStorage(), failing, other)

        first, second = await run_due(), await run_due()

        assert [(each.name, each.report) for each in first] == [("job-0", None), ("job-1", JobReport(done=1))]
        assert isinstance(first[0].error, RuntimeError)
        assert [(each.name, each.report) for each in second] == [("job-0", JobReport(done=2))]

    async def test_only_one_of_many_processes_runs_them(self, clock: FixedClock) -> None:
        """The others come back empty-handed, at once."""
        job, storage = _CountingJob(), InMemoryStorage()

        async with storage.leadership.lead("scheduler"):
            outcomes = await _scheduler(clock, storage, job)()

        assert (list(outcomes), job.runs) == ([], 0)


class TestJobOrigin:
    def test_names_the_job_and_the_run(self) -> None:
        """History and logs lead back to one run."""
        origin = job_origin("expire-trials", MOMENT)

        assert (origin.actor, origin.correlation_id) == ("job:expire-trials", "expire-trials:20260302T093015Z")
