"""Expire trials whose end has come, and remind merchants whose trial ends soon."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from billing_core.domain.trials import REMINDER_HORIZON, Trial, TrialDecision
from billing_core.errors import StorageConflict, StorageUnavailable
from billing_core.ports.clock import Clock
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.jobs import JobReport, job_origin

BATCH = 2_000
MAX_BATCHES = 10_000

Decide = Callable[[Trial], TrialDecision]
LockDue = Callable[[UnitOfWork, int], Awaitable[Sequence[Trial]]]


class ExpireTrials:
    """The job `expire-trials`."""

    name = "expire-trials"

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._clock, self._batch = units, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will expire every active trial with `ends_at <= now`, a transaction for each batch."""
        now = now or self._clock.now()
        by = job_origin(self.name, now)
        due = _DueTrials(self._units, lambda uow, limit: uow.trials.lock_due(now, limit), self._batch)
        return await due.decide(lambda trial: trial.expire(now, by))


class RemindTrials:
    """The job `remind-trials`."""

    name = "remind-trials"

    def __init__(self, *, units: OpenUnitOfWork, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._clock, self._batch = units, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will announce, once for each, the active trials that end soon."""
        now = now or self._clock.now()
        by, horizon = job_origin(self.name, now), now + REMINDER_HORIZON
        due = _DueTrials(self._units, lambda uow, limit: uow.trials.lock_to_remind(horizon, limit), self._batch)
        return await due.decide(lambda trial: trial.remind(now, by))


class _DueTrials:
    """Trials that are due for something, batch by batch; one that cannot be saved stands in nobody's way."""

    def __init__(self, units: OpenUnitOfWork, lock: LockDue, batch: int) -> None:
        self._units, self._lock, self._batch = units, lock, batch
        self._left: dict[UUID, Exception | None] = {}  # locked again in each batch, and left alone

    async def decide(self, decide: Decide) -> JobReport:
        """This will decide on each, save what changed, and say how many did. Raises StorageUnavailable."""
        done = 0
        for _ in range(MAX_BATCHES):
            limit = self._batch + len(self._left)
            async with self._units() as uow:
                locked = await self._lock(uow, limit)
                due = [trial for trial in locked if trial.trial_id not in self._left]
                changed, fault = await self._save(uow, [decide(trial) for trial in due])
            if fault is not None:
                changed = sum([await self._decide_alone(trial, decide) for trial in due])
            done += changed
            if len(locked) < limit:
                break
        faults = tuple(fault for fault in self._left.values() if fault is not None)
        return JobReport(done=done, figures={"faults": len(faults)} if faults else {}, faults=faults)

    async def _decide_alone(self, trial: Trial, decide: Decide) -> int:
        async with self._units() as uow:
            running = (await uow.trials.lock_running([trial.merchant_id])).get(trial.merchant_id)
            changed, fault = await self._save(uow, [] if running is None else [decide(running)])
        if fault is not None:
            self._left[trial.trial_id] = fault
        return changed

    async def _save(self, uow: UnitOfWork, decisions: Sequence[TrialDecision]) -> tuple[int, Exception | None]:
        changed = [decision for decision in decisions if decision.changes]
        self._left.update((each.trial.trial_id, None) for each in decisions if not each.changes)
        try:
            await uow.trials.save([decision.trial for decision in changed])
            await uow.journal.record([change for decision in changed for change in decision.changes])
            await uow.commit()
        except StorageConflict as conflict:
            return 0, conflict
        except StorageUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not stop the other trials
            return 0, fault
        return len(changed), None
