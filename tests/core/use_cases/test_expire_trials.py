"""Trials expire on their moment, in batches, however late or often the job runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import StorageConflict, StorageUnavailable
from billing_core.testing import MOMENT, InMemoryBilling, InMemoryStorage, a_merchant, a_trial, an_origin
from billing_core.testing.memory.storage import InMemoryUnitOfWork
from billing_core.testing.memory.transaction import Transaction
from billing_core.use_cases.expire_trials import ExpireTrials, RemindTrials

TICK = timedelta(microseconds=1)
Broken = Callable[[InMemoryBilling, Trial], Awaitable[None]]


async def _stored(billing: InMemoryBilling, *trials: Trial) -> None:
    """These trials and their merchants as storage has them."""
    async with billing.storage.units() as uow:
        await uow.merchants.add([a_merchant(each.merchant_id) for each in trials])
        await uow.trials.add(list(trials))
        await uow.commit()


async def _without_its_merchant(billing: InMemoryBilling, trial: Trial) -> None:
    """A trial nobody can be told of: its merchant was never announced."""
    async with billing.storage.units() as uow:
        await uow.trials.add([trial])
        await uow.commit()


async def _with_a_history_ahead_of_it(billing: InMemoryBilling, trial: Trial) -> None:
    """A trial whose next change is in the history already, as a restored backup may have it."""
    await _stored(billing, trial)
    (change,) = trial.expire(trial.ends_at, an_origin()).changes
    billing.storage.tables.changes[trial.trial_id, change.number] = change


class _Away(InMemoryStorage):
    """Storage that reads, and goes away before anything is kept."""

    @asynccontextmanager
    async def units(self, merchant_id: str | None = None) -> AsyncIterator[InMemoryUnitOfWork]:
        transaction = Transaction(self.tables, self._locks, self.positions)
        try:
            yield _AwayUnit(transaction, self.clock)
        finally:
            transaction.close()


class _AwayUnit(InMemoryUnitOfWork):
    async def commit(self) -> None:
        raise StorageUnavailable


def _expired(billing: InMemoryBilling) -> int:
    return [row.event.type for row in billing.storage.tables.outbox.values()].count("evt.billing.trial.expired")


class TestExpireTrials:
    async def test_expires_at_the_end_and_not_a_microsecond_before(self, billing: InMemoryBilling) -> None:
        """The boundary is the end itself (market.md 28)."""
        trial = a_trial()
        await _stored(billing, trial)

        before = await billing.expire_trials(trial.ends_at - TICK)
        at_the_end = await billing.expire_trials(trial.ends_at)

        assert (before.done, at_the_end.done, dict(at_the_end.figures)) == (0, 1, {})
        assert [change.by.actor for change in billing.storage.tables.changes.values()] == ["job:expire-trials"]
        assert billing.storage.tables.trials[trial.trial_id].status is TrialStatus.EXPIRED

    async def test_follows_the_clock_where_no_time_is_told(self, billing: InMemoryBilling) -> None:
        """The scheduler tells none."""
        await _stored(billing, a_trial())

        assert (await billing.expire_trials()).done == 0
        billing.clock.advance(timedelta(days=14))
        assert (await billing.expire_trials()).done == 1

    async def test_catches_up_after_days_over_many_batches(self, billing: InMemoryBilling) -> None:
        """Down for three days, more trials than one batch: every one expires once (market.md 29)."""
        await _stored(billing, *(a_trial(started_at=MOMENT + timedelta(hours=n)) for n in range(7)))
        job = ExpireTrials(units=billing.storage.units, clock=billing.clock, batch=2)

        report = await job(MOMENT + timedelta(days=17))

        assert (report.done, _expired(billing)) == (7, 7)

    async def test_running_twice_and_at_once_tells_each_end_once(self, billing: InMemoryBilling) -> None:
        """Two workers and a second run find nothing left to tell (market.md 29)."""
        await _stored(billing, *(a_trial() for _ in range(5)))
        job = ExpireTrials(units=billing.storage.units, clock=billing.clock, batch=2)

        reports = await asyncio.gather(job(MOMENT + timedelta(days=15)), job(MOMENT + timedelta(days=15)))
        again = await job(MOMENT + timedelta(days=15))

        assert sum(report.done for report in reports) == _expired(billing) == 5
        assert again.done == 0

    async def test_leaves_every_other_trial_alone(self, billing: InMemoryBilling) -> None:
        """Converted, ended, refused and extended trials do not expire, whatever their first date (market.md 30, 32)."""
        others = [status for status in TrialStatus if status is not TrialStatus.ACTIVE]
        extended = replace(a_trial(), ends_at=MOMENT + timedelta(days=30))
        await _stored(billing, extended, *(a_trial(status=status) for status in others))

        report = await billing.expire_trials(MOMENT + timedelta(days=20))

        assert (report.done, _expired(billing)) == (0, 0)

    @pytest.mark.parametrize("batch", [1, 2, 500])
    @pytest.mark.parametrize(
        ("make", "fault"), [(_without_its_merchant, LookupError), (_with_a_history_ahead_of_it, StorageConflict)]
    )
    async def test_one_that_cannot_be_saved_stands_in_nobodys_way_and_is_told(
        self, billing: InMemoryBilling, make: Broken, fault: type[Exception], batch: int
    ) -> None:
        """Due first, and alone, with others or in the way of the next batch: every other one expires, once."""
        broken = a_trial(started_at=MOMENT - timedelta(days=1))
        await make(billing, broken)
        await _stored(billing, *(a_trial() for _ in range(4)))
        job = ExpireTrials(units=billing.storage.units, clock=billing.clock, batch=batch)

        report = await job(MOMENT + timedelta(days=15))

        assert (report.done, _expired(billing), dict(report.figures)) == (4, 4, {"faults": 1})
        assert [type(each) for each in report.faults] == [fault]
        assert billing.storage.tables.trials[broken.trial_id] == broken

    async def test_a_storage_that_is_away_stops_the_run_and_blames_no_trial(self, billing: InMemoryBilling) -> None:
        """Nothing was kept; the next run does it all."""
        await _stored(billing, a_trial())
        away = _Away(billing.clock)
        away.tables = billing.storage.tables
        job = ExpireTrials(units=away.units, clock=billing.clock)

        with pytest.raises(StorageUnavailable):
            await job(MOMENT + timedelta(days=15))

        assert _expired(billing) == 0
        assert (await billing.expire_trials(MOMENT + timedelta(days=15))).done == 1


class TestRemindTrials:
    async def test_reminds_each_merchant_once_when_the_end_is_near(self, billing: InMemoryBilling) -> None:
        """Three days before, once, and only those still running."""
        near, far = a_trial(), a_trial(started_at=MOMENT + timedelta(days=1))
        await _stored(billing, near, far, a_trial(status=TrialStatus.ENDED))
        moment = near.ends_at - timedelta(days=3)

        first = await billing.remind_trials(moment)
        second = await billing.remind_trials(moment + TICK)

        assert (first.done, second.done) == (0, 1) or (first.done, second.done) == (1, 0)
        assert [row.event.merchant_id for row in billing.storage.tables.outbox.values()] == [near.merchant_id]

    async def test_a_short_trial_waits_for_its_last_day(self, billing: InMemoryBilling) -> None:
        """It is within three days from the start, and still not due."""
        short = a_trial(ends_at=MOMENT + timedelta(days=2))
        await _stored(billing, short)
        job = RemindTrials(units=billing.storage.units, clock=billing.clock)

        too_early = await job()
        in_time = await job(MOMENT + timedelta(days=1))

        assert (too_early.done, in_time.done) == (0, 1)
        assert [change.by.actor for change in billing.storage.tables.changes.values()] == ["job:remind-trials"]

    async def test_works_through_more_than_one_batch_though_the_first_ones_have_nothing_to_hear(
        self, billing: InMemoryBilling
    ) -> None:
        """Trials past their end that no job has expired yet come first and are not reminded."""
        over = [a_trial(started_at=MOMENT - timedelta(days=9)) for _ in range(3)]
        near = [a_trial() for _ in range(5)]
        await _stored(billing, *over, *near)
        job = RemindTrials(units=billing.storage.units, clock=billing.clock, batch=2)

        report = await job(MOMENT + timedelta(days=12))

        reminded = {row.event.merchant_id for row in billing.storage.tables.outbox.values()}
        assert (report.done, reminded) == (5, {trial.merchant_id for trial in near})
        assert report.faults == ()
