"""The contract of the trials."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import StorageConflict
from billing_core.ports.storage import TrialClaim
from billing_core.testing.builders import a_merchant, a_trial
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

DAY = timedelta(days=1)


class TrialsContract(StorageSuite):
    """Every promise of `Trials`."""

    async def test_every_field_of_a_trial_comes_back(self, storage: BillingStorage) -> None:
        """A trial is read as it was stored, its times in UTC to the microsecond."""
        trial = a_trial(
            await registered(storage),
            status=TrialStatus.CONVERTED,
            credits=10**9,
            duration_days=3650,
            converted_at=MOMENT + DAY,
            ended_at=MOMENT + DAY + timedelta(microseconds=1),
            reminded_at=MOMENT + timedelta(hours=1),
            version=7,
        )

        await stored(storage, trial)
        read = await storage.records.trial(trial.merchant_id)

        assert read == trial
        assert read is not None
        assert read.ends_at.astimezone(UTC).isoformat() == trial.ends_at.isoformat()
        assert read.started_at.utcoffset() == timedelta(0)

    async def test_latest_is_the_newest_refused_ones_included(self, storage: BillingStorage) -> None:
        """Another merchant's trial is never it, and before the first there is none."""
        merchant, other = await registered(storage), await registered(storage)
        older = a_trial(merchant, status=TrialStatus.EXPIRED, started_at=MOMENT - 30 * DAY)
        newer = a_trial(merchant, status=TrialStatus.REFUSED)
        await stored(storage, newer, older)

        async with storage.units() as uow:
            assert await uow.trials.latest(merchant.merchant_id) == newer
            assert await uow.trials.latest(other.merchant_id) is None

    async def test_a_platform_account_claims_its_trial_once_for_ever(self, storage: BillingStorage) -> None:
        """The second claim is refused, under whichever merchant id; another account's or platform's is not."""
        trial = a_trial(platform_account_id="shop-1")
        reinstalled = a_trial(a_merchant(), platform_account_id="shop-1")
        elsewhere = a_trial(a_merchant(), platform_account_id="shop-1", platform="stripe")

        async with storage.units() as uow:
            first = await uow.trials.claim(trial)
            await uow.commit()
        async with storage.units() as uow:
            second = await uow.trials.claim(reinstalled)
            other = await uow.trials.claim(elsewhere)

        assert (first, second, other) == (True, False, True)
        async with storage.units() as uow:
            assert await uow.trials.lock_claim("sandbox", "shop-1") is not None
            assert await uow.trials.lock_claim("stripe", "shop-1") is None

    async def test_of_32_claims_at_once_exactly_one_is_granted(self, storage: BillingStorage) -> None:
        """The claim is a unique row, not a question asked before."""

        async def claim() -> bool:
            async with storage.units() as uow:
                granted = await uow.trials.claim(a_trial(platform_account_id="shop-1"))
                await uow.commit()
                return granted

        granted = await asyncio.gather(*(claim() for _ in range(32)))

        assert granted.count(True) == 1

    async def test_a_claim_that_was_given_up_goes_to_the_one_waiting(self, storage: BillingStorage) -> None:
        """The second claimer waits for the first, and gets the claim where the first is undone."""

        async def claim() -> bool:
            async with storage.units() as second:
                granted = await second.trials.claim(a_trial(platform_account_id="shop-1"))
                await second.commit()
                return granted

        async with storage.units() as first:
            assert await first.trials.claim(a_trial(platform_account_id="shop-1"))
            waiting = await self.stays_waiting(claim())

        assert await in_time(waiting) is True

    async def test_a_held_claim_keeps_nobody_waiting_who_asks_for_it(self, storage: BillingStorage) -> None:
        """Whoever moves a claim holds it first of all; a request for the same trial holds its merchant, and must not
        wait for that one."""
        claimed = a_trial(platform_account_id="shop-1")
        await _claimed(storage, claimed)

        async with storage.units() as mover, storage.units() as asking:
            held = await mover.trials.lock_claim("sandbox", "shop-1")
            granted = await asyncio.wait_for(asking.trials.claim(a_trial(platform_account_id="shop-1")), 20)

        assert held == TrialClaim(merchant_id=claimed.merchant_id, trial_id=claimed.trial_id)
        assert granted is False

    async def test_a_claim_nobody_has_cannot_be_held_or_moved(self, storage: BillingStorage) -> None:
        """There is none to be had by the way."""
        async with storage.units() as uow:
            assert await uow.trials.lock_claim("sandbox", "shop-1") is None
            with pytest.raises(StorageConflict):
                await uow.trials.move_claim(a_trial(platform_account_id="shop-1"))
                await uow.flush()

        async with storage.units() as uow:
            assert await uow.trials.lock_claim("sandbox", "shop-1") is None

    async def test_a_moved_claim_is_the_other_trials_and_still_the_only_one(self, storage: BillingStorage) -> None:
        """Another account's stays where it was."""
        first, second = a_trial(platform_account_id="shop-1"), a_trial(platform_account_id="shop-1")
        await _claimed(storage, first, elsewhere := a_trial(platform_account_id="shop-2"))

        async with storage.units() as uow:
            await uow.trials.lock_claim("sandbox", "shop-1")
            await uow.trials.move_claim(second)
            await uow.commit()

        async with storage.units() as uow:
            claims = [await uow.trials.lock_claim("sandbox", shop) for shop in ("shop-1", "shop-2")]
            assert not await uow.trials.claim(a_trial(platform_account_id="shop-1"))
        assert claims == [
            TrialClaim(merchant_id=each.merchant_id, trial_id=each.trial_id) for each in (second, elsewhere)
        ]

    async def test_the_next_to_hold_a_claim_waits_and_finds_it_moved(self, storage: BillingStorage) -> None:
        """Two who would move it at once do so one after the other, and the second knows of the first."""
        first, second = a_trial(platform_account_id="shop-1"), a_trial(platform_account_id="shop-1")
        await _claimed(storage, first)

        async def lock() -> TrialClaim | None:
            async with storage.units() as next_one:
                return await next_one.trials.lock_claim("sandbox", "shop-1")

        async with storage.units() as mover:
            await mover.trials.lock_claim("sandbox", "shop-1")
            waiting = await self.stays_waiting(lock())
            await mover.trials.move_claim(second)
            await mover.commit()

        assert await in_time(waiting) == TrialClaim(merchant_id=second.merchant_id, trial_id=second.trial_id)

    async def test_a_move_that_was_undone_never_happened(self, storage: BillingStorage) -> None:
        """The claim is the first trial's as before."""
        first = a_trial(platform_account_id="shop-1")
        await _claimed(storage, first)

        async with storage.units() as uow:
            await uow.trials.lock_claim("sandbox", "shop-1")
            await uow.trials.move_claim(a_trial(platform_account_id="shop-1"))
            await uow.flush()

        async with storage.units() as uow:
            claim = await uow.trials.lock_claim("sandbox", "shop-1")
        assert claim == TrialClaim(merchant_id=first.merchant_id, trial_id=first.trial_id)

    async def test_lock_running_gives_active_trials_by_merchant(self, storage: BillingStorage) -> None:
        """Merchants without an active trial are left out."""
        active, over = a_trial(await registered(storage)), a_trial(await registered(storage), status="ended")
        await stored(storage, active, replace(over, status=TrialStatus.ENDED))

        async with storage.units() as uow:
            running = await uow.trials.lock_running([active.merchant_id, over.merchant_id, "nobody"])
            nothing = await uow.trials.lock_running([])

        assert running == {active.merchant_id: active}
        assert nothing == {}

    async def test_lock_running_waits_and_leaves_out_what_ended_meanwhile(self, storage: BillingStorage) -> None:
        """A trial another unit holds is waited for and read as that unit left it."""
        trial = a_trial(await registered(storage))
        await stored(storage, trial)

        async def lock() -> Mapping[str, Trial]:
            async with storage.units() as second:
                return await second.trials.lock_running([trial.merchant_id])

        async with storage.units() as first:
            await first.trials.lock_running([trial.merchant_id])
            await first.trials.save([_ended(trial)])
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert await in_time(waiting) == {}

    async def test_lock_due_gives_trials_whose_end_has_come_soonest_first(self, storage: BillingStorage) -> None:
        """The end itself counts (half-open interval); what is over or runs on does not."""
        due = [a_trial(await registered(storage), ends_at=MOMENT + DAY - timedelta(hours=n)) for n in (0, 2, 1)]
        running = a_trial(await registered(storage), ends_at=MOMENT + DAY + timedelta(microseconds=1))
        over = a_trial(await registered(storage), ends_at=MOMENT + DAY, status=TrialStatus.EXPIRED)
        await stored(storage, *due, running, over)

        async with storage.units() as uow:
            found = await uow.trials.lock_due(MOMENT + DAY, 10)

        assert list(found) == [due[1], due[2], due[0]]

    async def test_lock_due_gives_no_more_than_its_limit(self, storage: BillingStorage) -> None:
        """Batches are bounded."""
        trials = [a_trial(await registered(storage), ends_at=MOMENT + n * DAY) for n in (3, 1, 2)]
        await stored(storage, *trials)

        async with storage.units() as uow:
            found = await uow.trials.lock_due(MOMENT + 9 * DAY, 2)

        assert list(found) == [trials[1], trials[2]]

    async def test_lock_due_leaves_out_what_others_hold(self, storage: BillingStorage) -> None:
        """Two workers at once share the work instead of waiting for each other."""
        trials = [a_trial(await registered(storage), ends_at=MOMENT + n * DAY) for n in (1, 2, 3)]
        await stored(storage, *trials)

        async with storage.units() as one, storage.units() as other:
            mine = await one.trials.lock_due(MOMENT + 9 * DAY, 2)
            theirs = await asyncio.wait_for(other.trials.lock_due(MOMENT + 9 * DAY, 2), 20)

        assert list(mine) == trials[:2]
        assert list(theirs) == trials[2:]

    async def test_lock_to_remind_gives_unreminded_trials_that_end_soon(self, storage: BillingStorage) -> None:
        """Reminded, later and finished trials are left out, and so is what others hold."""
        soon, held = [a_trial(await registered(storage), ends_at=MOMENT + n * DAY) for n in (2, 1)]
        later = a_trial(await registered(storage), ends_at=MOMENT + 3 * DAY)
        reminded = a_trial(await registered(storage), ends_at=MOMENT + DAY, reminded_at=MOMENT)
        over = a_trial(await registered(storage), ends_at=MOMENT + DAY, status=TrialStatus.EXPIRED)
        await stored(storage, soon, held, later, reminded, over)

        async with storage.units() as holder, storage.units() as uow:
            await holder.trials.lock_running([held.merchant_id])
            found = await asyncio.wait_for(uow.trials.lock_to_remind(MOMENT + 3 * DAY, 10), 20)
            limited = await uow.trials.lock_to_remind(MOMENT + 9 * DAY, 1)

        assert list(found) == [soon]
        assert len(limited) == 1

    async def test_a_merchant_has_at_most_one_active_trial(self, storage: BillingStorage) -> None:
        """A second active one is a conflict; after the first is over it is not."""
        merchant = await registered(storage)
        first = a_trial(merchant)
        await stored(storage, first)

        with pytest.raises(StorageConflict):
            await stored(storage, a_trial(merchant))

        async with storage.units() as uow:
            await uow.trials.save([_ended(first)])
            await uow.trials.add([second := a_trial(merchant, started_at=MOMENT + DAY)])
            await uow.commit()
        assert await storage.records.trial(merchant.merchant_id) == second

    async def test_of_two_active_trials_added_at_once_one_is_a_conflict(self, storage: BillingStorage) -> None:
        """The second unit waits for the first and then fails."""
        merchant = await registered(storage)

        async with storage.units() as first:
            await first.trials.add([a_trial(merchant)])
            await first.flush()
            waiting = await self.stays_waiting(stored(storage, a_trial(merchant)))
            await first.commit()

        with pytest.raises(StorageConflict):
            await in_time(waiting)

    async def test_saving_a_trial_that_was_changed_since_is_a_conflict(self, storage: BillingStorage) -> None:
        """Of two units that loaded the same version only the first may save."""
        trial = a_trial(await registered(storage))
        await stored(storage, trial)
        async with storage.units() as uow:
            await uow.trials.save([_ended(trial)])
            await uow.commit()

        async with storage.units() as uow:
            with pytest.raises(StorageConflict):
                await uow.trials.save([replace(trial, version=2, ends_at=trial.ends_at + DAY)])
                await uow.flush()

        assert await storage.records.trial(trial.merchant_id) == _ended(trial)

    async def test_saved_trials_are_stored_whole(self, storage: BillingStorage) -> None:
        """Every field that can change is replaced, for every trial of the batch."""
        trials = [a_trial(await registered(storage)) for _ in range(3)]
        await stored(storage, *trials)
        changed = [
            replace(each, version=2, ends_at=each.ends_at + DAY, reminded_at=MOMENT, converted_at=MOMENT)
            for each in trials
        ]

        async with storage.units() as uow:
            await uow.trials.save(changed)
            await uow.trials.save([])
            await uow.commit()

        assert [await storage.records.trial(each.merchant_id) for each in trials] == changed


async def _claimed(storage: BillingStorage, *trials: Trial) -> None:
    async with storage.units() as uow:
        for trial in trials:
            assert await uow.trials.claim(trial)
        await uow.commit()


def _ended(trial: Trial) -> Trial:
    return replace(trial, status=TrialStatus.ENDED, ended_at=MOMENT + DAY, version=trial.version + 1)
