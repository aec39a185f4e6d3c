"""Trials in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from billing_core.domain.trials import Trial, TrialStatus
from billing_core.ports.storage import TrialClaim
from billing_core.testing.memory.locks import Row
from billing_core.testing.memory.transaction import Transaction


class InMemoryTrials:
    """The trials as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def latest(self, merchant_id: str) -> Trial | None:
        """See `Trials.latest`."""
        return latest_trial([trial for trial in self._tx.view.trials.rows() if trial.merchant_id == merchant_id])

    async def claim(self, trial: Trial, *, pseudonym: str | None = None) -> bool:
        """See `Trials.claim`. Who puts it under its pseudonym meanwhile holds its name, and is waited for."""
        account, claims = (trial.platform, trial.platform_account_id), self._tx.view.trial_claims
        if claims.get(account) is None:
            await self._tx.hold(("trial claim", *account))
        claimed_apart = pseudonym is not None and claims.get((trial.platform, pseudonym)) is not None
        if claimed_apart or claims.get(account) is not None:
            return False
        self._tx.view.trial_claims.put(account, _claim_of(trial))
        return True

    async def lock_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """See `Trials.lock_claim`."""
        account = (platform, platform_account_id)
        if self._tx.view.trial_claims.get(account) is None:
            return None
        await self._tx.hold(("trial claim", *account))
        return self._tx.view.trial_claims.get(account)

    async def move_claim(self, trial: Trial) -> None:
        """See `Trials.move_claim`."""
        account = (trial.platform, trial.platform_account_id)
        if self._tx.view.trial_claims.get(account) is None:
            raise self._tx.conflict(f"{account[0]} {account[1]} has no claim that could be moved")
        self._tx.view.trial_claims.put(account, _claim_of(trial))

    async def lock_running(self, merchant_ids: Sequence[str]) -> Mapping[str, Trial]:
        """See `Trials.lock_running`."""
        wanted = set(merchant_ids)
        running = self._active(lambda trial: trial.merchant_id in wanted)
        held = {}
        for trial in sorted(running, key=lambda each: each.trial_id):
            await self._tx.hold(_row(trial.trial_id))
            now = self._tx.view.trials.get(trial.trial_id)
            if now is not None and now.status is TrialStatus.ACTIVE:
                held[now.merchant_id] = now
        return held

    async def lock_due(self, now: datetime, limit: int) -> Sequence[Trial]:
        """See `Trials.lock_due`."""
        return self._lock_free(lambda trial: trial.ends_at <= now, limit)

    async def lock_to_remind(self, ending_before: datetime, limit: int) -> Sequence[Trial]:
        """See `Trials.lock_to_remind`."""
        return self._lock_free(lambda trial: trial.ends_at < ending_before and trial.reminded_at is None, limit)

    async def add(self, trials: Sequence[Trial]) -> None:
        """See `Trials.add`."""
        for trial in trials:
            await self._tx.hold(_row(trial.trial_id))
            if trial.status is TrialStatus.ACTIVE:
                await self._must_be_the_only_active(trial)
            self._tx.view.trials.put(trial.trial_id, trial)

    async def save(self, trials: Sequence[Trial]) -> None:
        """See `Trials.save`."""
        for trial in sorted(trials, key=lambda each: each.trial_id):
            await self._tx.hold(_row(trial.trial_id))
            before = self._tx.view.trials.get(trial.trial_id)
            if before is None or before.version >= trial.version:
                raise self._tx.conflict(f"trial {trial.trial_id} was changed since it was loaded")
            self._tx.view.trials.put(trial.trial_id, trial)

    async def _must_be_the_only_active(self, trial: Trial) -> None:
        await self._tx.hold(("active trial", trial.merchant_id))
        if await self.lock_running([trial.merchant_id]):
            raise self._tx.conflict(f"merchant {trial.merchant_id} has an active trial already")

    def _active(self, wanted: Callable[[Trial], bool]) -> list[Trial]:
        rows = self._tx.view.trials.rows()
        return [trial for trial in rows if trial.status is TrialStatus.ACTIVE and wanted(trial)]

    def _lock_free(self, wanted: Callable[[Trial], bool], limit: int) -> Sequence[Trial]:
        held: list[Trial] = []
        for trial in sorted(self._active(wanted), key=lambda each: (each.ends_at, each.trial_id)):
            if len(held) == limit:
                break
            if self._tx.try_hold(_row(trial.trial_id)):
                held.append(trial)
        return held


def latest_trial(trials: Sequence[Trial]) -> Trial | None:
    """The newest of one merchant's trials."""
    return max(trials, key=lambda trial: (trial.started_at, trial.trial_id), default=None)


def _claim_of(trial: Trial) -> TrialClaim:
    return TrialClaim(merchant_id=trial.merchant_id, trial_id=trial.trial_id)


def _row(trial_id: UUID) -> Row:
    return ("trial", trial_id)
