"""Expire trials whose end has come, and remind merchants whose trial ends soon."""

from datetime import datetime

from billing_core.domain.trials import REMINDER_HORIZON, TrialDecision
from billing_core.ports.clock import Clock
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.jobs import JobReport, job_origin

BATCH = 500
MAX_BATCHES = 10_000


class ExpireTrials:
    """The job `expire-trials`."""

    name = "expire-trials"

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._clock, self._batch = units, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will expire every active trial with `ends_at <= now`, a transaction for each batch."""
        now = now or self._clock.now()
        by, done = job_origin(self.name, now), 0
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                due = await uow.trials.lock_due(now, self._batch)
                await _save(uow, [trial.expire(now, by) for trial in due])
                await uow.commit()
            done += len(due)
            if len(due) < self._batch:
                break
        return JobReport(done=done)


class RemindTrials:
    """The job `remind-trials`."""

    name = "remind-trials"

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._clock, self._batch = units, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will announce, once for each, the active trials that end soon; what is left waits for the next run."""
        now = now or self._clock.now()
        by = job_origin(self.name, now)
        async with self._units() as uow:
            near = await uow.trials.lock_to_remind(now + REMINDER_HORIZON, self._batch)
            reminded = [decision for trial in near if (decision := trial.remind(now, by)).changes]
            await _save(uow, reminded)
            await uow.commit()
        return JobReport(done=len(reminded))


async def _save(uow: UnitOfWork, decisions: list[TrialDecision]) -> None:
    await uow.trials.save([decision.trial for decision in decisions])
    await uow.journal.record([change for decision in decisions for change in decision.changes])
