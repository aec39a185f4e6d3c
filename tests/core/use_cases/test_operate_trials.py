"""What operators do with trials: extend, end, and give a shop another one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import pytest
from tests.core.use_cases.stored_purchases import everything_kept

from billing_core.domain.events import TrialEnded, TrialExtended, TrialStarted
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import (
    BillingError,
    InvalidTrialEnd,
    MerchantNotFound,
    TrialAlreadyUsed,
    TrialNotRunning,
    TrialNotUsed,
    TrialStillRunning,
)
from billing_core.ports.storage import TrialClaim
from billing_core.testing import InMemoryBilling, a_merchant, an_origin
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.operate_trials import TrialOutcome

DAY = timedelta(days=1)
BY = an_origin(actor="operator:ada", reason="asked by phone")
Act: TypeAlias = Callable[[InMemoryBilling, str, bool], Awaitable[TrialOutcome]]


async def _on_trial(billing: InMemoryBilling, shop: str = "shop-1") -> Caller:
    """A merchant whose trial runs."""
    caller = await billing.register(a_merchant(platform_account_id=shop))
    await billing.activate_trial(caller, "key-1")
    return caller


async def _trial(billing: InMemoryBilling, caller: Caller) -> Trial:
    trial = await billing.storage.records.trial(caller.merchant_id)
    assert trial is not None
    return trial


def _told(billing: InMemoryBilling) -> list[str]:
    return [row.event.type.removeprefix("evt.billing.trial.") for row in billing.storage.tables.outbox.values()]


async def _history(billing: InMemoryBilling, trial: Trial) -> list[tuple[str, str, str | None]]:
    entries = await billing.storage.records.history(trial.merchant_id, trial.trial_id)
    return [(each.what, each.actor, each.reason) for each in entries]


async def _extend(billing: InMemoryBilling, merchant_id: str, dry_run: bool = False) -> TrialOutcome:
    return await billing.operate_trials.extend(merchant_id, DAY, BY, **_dry(dry_run))


async def _end(billing: InMemoryBilling, merchant_id: str, dry_run: bool = False) -> TrialOutcome:
    return await billing.operate_trials.end(merchant_id, BY, **_dry(dry_run))


async def _regrant(billing: InMemoryBilling, merchant_id: str, dry_run: bool = False) -> TrialOutcome:
    return await billing.operate_trials.regrant(merchant_id, BY, **_dry(dry_run))


def _dry(dry_run: bool) -> dict[str, bool]:
    """By default an act is done."""
    return {"dry_run": True} if dry_run else {}


class TestExtend:
    @pytest.mark.parametrize("until", [True, False])
    async def test_moves_the_end_and_tells_it(self, billing: InMemoryBilling, until: bool) -> None:
        """By days or to a moment; the history names who and why, and an event has the new end."""
        caller = await _on_trial(billing)
        before = await _trial(billing, caller)
        billing.clock.advance(5 * DAY)
        longer = before.ends_at + 7 * DAY if until else 7 * DAY

        outcome = await billing.operate_trials.extend(caller.merchant_id, longer, BY)

        after = await _trial(billing, caller)
        assert (outcome.before, outcome.trial) == (before, after)
        assert after.ends_at == before.ends_at + 7 * DAY
        assert [each.fact for each in outcome.changes] == [
            TrialExtended(
                merchant_id=caller.merchant_id,
                platform="sandbox",
                trial_id=after.trial_id,
                ends_at=after.ends_at,
                reason="asked by phone",
            )
        ]
        assert (await _history(billing, after))[1:] == [("extended", "operator:ada", "asked by phone")]
        assert _told(billing) == ["started", "extended"]

    async def test_an_extended_trial_expires_at_its_new_end(self, billing: InMemoryBilling) -> None:
        """Not at the old one (market.md 30)."""
        caller = await _on_trial(billing)
        await _extend(billing, caller.merchant_id)

        assert (await billing.expire_trials(billing.clock.advance(14 * DAY))).done == 0
        assert (await billing.expire_trials(billing.clock.advance(DAY))).done == 1

    async def test_to_the_end_there_is_already_is_refused(self, billing: InMemoryBilling) -> None:
        """So the same command typed twice with a moment extends once."""
        caller = await _on_trial(billing)
        until = (await _trial(billing, caller)).ends_at + DAY
        await billing.operate_trials.extend(caller.merchant_id, until, BY)

        with pytest.raises(InvalidTrialEnd):
            await billing.operate_trials.extend(caller.merchant_id, until, BY)

        assert _told(billing) == ["started", "extended"]

    async def test_two_at_once_both_count(self, billing: InMemoryBilling) -> None:
        """The second waits for the first and adds its days to the end that one made."""
        caller = await _on_trial(billing)
        before = await _trial(billing, caller)

        await asyncio.gather(*(_extend(billing, caller.merchant_id) for _ in range(2)))

        assert (await _trial(billing, caller)).ends_at == before.ends_at + 2 * DAY

    async def test_waits_for_whoever_has_the_trial_and_decides_on_what_they_left(
        self, billing: InMemoryBilling
    ) -> None:
        """A purchase that is being noted, say, is never overwritten."""
        caller = await _on_trial(billing)
        before = await _trial(billing, caller)

        async with billing.storage.units() as other:
            held = (await other.trials.lock_running([caller.merchant_id]))[caller.merchant_id]
            extending = asyncio.create_task(_extend(billing, caller.merchant_id))
            await asyncio.sleep(0)
            noted = held.note_purchase(UUID(int=1), billing.price_book.at(held.started_at).trial, held.started_at, BY)
            await other.trials.save([noted.trial])
            await other.journal.record(noted.changes)
            assert not extending.done()
            await other.commit()
        await extending

        after = await _trial(billing, caller)
        assert (after.ends_at, after.converted_at) == (before.ends_at + DAY, held.started_at)


class TestEnd:
    async def test_ends_it_now_and_tells_it(self, billing: InMemoryBilling) -> None:
        """With who and why; the job finds nothing to expire later."""
        caller = await _on_trial(billing)
        now = billing.clock.advance(DAY)

        outcome = await _end(billing, caller.merchant_id)

        trial = await _trial(billing, caller)
        assert (trial.status, trial.ended_at, outcome.trial) == (TrialStatus.ENDED, now, trial)
        assert [type(each.fact) for each in outcome.changes] == [TrialEnded]
        assert (await _history(billing, trial))[1:] == [("ended", "operator:ada", "asked by phone")]
        assert (await billing.expire_trials(now + 99 * DAY)).done == 0

    async def test_of_two_at_once_one_ends_it(self, billing: InMemoryBilling) -> None:
        """The other is told that it is ended."""
        caller = await _on_trial(billing)

        ends = await asyncio.gather(*(_end(billing, caller.merchant_id) for _ in range(2)), return_exceptions=True)

        assert sorted(type(each).__name__ for each in ends) == ["TrialNotRunning", "TrialOutcome"]
        assert _told(billing) == ["started", "ended"]


@pytest.mark.parametrize("act", [_extend, _end])
class TestNotRunning:
    async def test_a_trial_past_its_end_is_left_to_the_job(self, billing: InMemoryBilling, act: Act) -> None:
        """Nobody wakes it, though the job has not been there yet."""
        caller = await _on_trial(billing)
        billing.clock.advance(14 * DAY)

        with pytest.raises(TrialNotRunning, match="expired"):
            await act(billing, caller.merchant_id, False)

        assert (await _trial(billing, caller)).status is TrialStatus.ACTIVE

    async def test_how_the_newest_trial_stands_is_told(self, billing: InMemoryBilling, act: Act) -> None:
        """With what can be done instead."""
        caller = await _on_trial(billing)
        await _end(billing, caller.merchant_id)

        with pytest.raises(TrialNotRunning, match=rf"is ended; `billing trials regrant {caller.merchant_id}`"):
            await act(billing, caller.merchant_id, False)

    async def test_a_merchant_without_one_is_told_so(self, billing: InMemoryBilling, act: Act) -> None:
        """It starts its trial itself."""
        caller = await billing.register()

        with pytest.raises(TrialNotRunning, match="not started"):
            await act(billing, caller.merchant_id, False)


class TestRegrant:
    @pytest.mark.parametrize("written_down", [True, False])
    async def test_gives_the_shop_a_new_trial_by_todays_terms(
        self, billing: InMemoryBilling, written_down: bool
    ) -> None:
        """A trial of its own, with an event of its own; an end the job has not written down yet is written down."""
        caller = await _on_trial(billing)
        first = await _trial(billing, caller)
        now = billing.clock.advance(14 * DAY)
        if written_down:
            await billing.expire_trials(now)

        outcome = await _regrant(billing, caller.merchant_id)

        second = await _trial(billing, caller)
        assert second.trial_id != first.trial_id
        assert (second.status, second.started_at, second.ends_at) == (TrialStatus.ACTIVE, now, now + 14 * DAY)
        assert (outcome.before, outcome.trial) == (None, second)
        assert _told(billing) == ["started", "expired", "started"]
        assert isinstance(outcome.changes[-1].fact, TrialStarted)
        assert outcome.changes[-1].fact.trial_id == second.trial_id
        assert await _history(billing, second) == [("started", "operator:ada", "asked by phone")]
        assert (await billing.read.trial(caller)).status == "active"

    async def test_the_claim_goes_with_it_and_stays_once_only(self, billing: InMemoryBilling) -> None:
        """The merchant can start no further one itself, neither now nor when this one is over."""
        caller = await _on_trial(billing)
        await _end(billing, caller.merchant_id)
        await _regrant(billing, caller.merchant_id)
        trial = await _trial(billing, caller)

        assert billing.storage.tables.trial_claims == {
            ("sandbox", "shop-1"): TrialClaim(merchant_id=caller.merchant_id, trial_id=trial.trial_id)
        }
        for _ in range(2):
            with pytest.raises(TrialAlreadyUsed):
                await billing.activate_trial(caller, "key-2")
            await billing.expire_trials(billing.clock.advance(14 * DAY))

    async def test_a_shop_reinstalled_under_a_new_merchant_id_can_be_given_one(self, billing: InMemoryBilling) -> None:
        """The one it had before stays as it was, and the former merchant id gets no other either."""
        former = await _on_trial(billing)
        await _end(billing, former.merchant_id)
        reinstalled = await billing.register(a_merchant(platform_account_id="shop-1"))
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(reinstalled, "key-1")

        await _regrant(billing, reinstalled.merchant_id)

        assert (await billing.read.trial(reinstalled)).status == "active"
        assert (await billing.read.trial(former)).status == "ended"
        with pytest.raises(TrialStillRunning, match=reinstalled.merchant_id):
            await _regrant(billing, former.merchant_id)

    async def test_a_running_trial_refuses_another_under_any_merchant_id(self, billing: InMemoryBilling) -> None:
        """One shop never has two at once; the refusal names who has it."""
        caller = await _on_trial(billing)
        reinstalled = await billing.register(a_merchant(platform_account_id="shop-1"))

        for each in (caller, reinstalled):
            with pytest.raises(TrialStillRunning, match=f"billing trials extend {caller.merchant_id}"):
                await _regrant(billing, each.merchant_id)

        assert _told(billing) == ["started"]

    async def test_a_shop_that_had_none_starts_its_first_one_itself(self, billing: InMemoryBilling) -> None:
        """There is nothing to give again."""
        caller = await billing.register()

        with pytest.raises(TrialNotUsed, match="POST /api/billing/trials"):
            await _regrant(billing, caller.merchant_id)

    async def test_regrants_at_once_give_one_trial(self, billing: InMemoryBilling) -> None:
        """Two operators, and two merchant ids of the shop: one of them all gives it."""
        caller = await _on_trial(billing)
        await _end(billing, caller.merchant_id)
        reinstalled = await billing.register(a_merchant(platform_account_id="shop-1"))

        asked = await asyncio.gather(
            *(_regrant(billing, each.merchant_id) for each in (caller, reinstalled) * 4), return_exceptions=True
        )

        assert sorted(type(each).__name__ for each in asked) == ["TrialOutcome"] + ["TrialStillRunning"] * 7
        assert _told(billing) == ["started", "ended", "started"]


@pytest.mark.parametrize("act", [_extend, _end, _regrant])
class TestEveryAct:
    async def test_a_dry_run_tells_the_same_and_keeps_nothing(self, billing: InMemoryBilling, act: Act) -> None:
        """Every table is as it was; the real run then does what was told."""
        caller = await _on_trial(billing)
        if act is _regrant:
            billing.clock.advance(14 * DAY)
        before = everything_kept(billing)

        dry = await act(billing, caller.merchant_id, True)
        after = everything_kept(billing)
        real = await act(billing, caller.merchant_id, False)

        assert after == before
        assert [each.what for each in dry.changes] == [each.what for each in real.changes]
        assert (dry.before, dry.trial.ends_at, dry.trial.status) == (real.before, real.trial.ends_at, real.trial.status)

    @pytest.mark.parametrize("dry_run", [True, False])
    async def test_a_merchant_nobody_announced_is_refused(
        self, billing: InMemoryBilling, act: Act, dry_run: bool
    ) -> None:
        """A dry run refuses what the real one would."""
        with pytest.raises(MerchantNotFound):
            await act(billing, "nobody", dry_run)

    async def test_a_refusal_keeps_nothing(self, billing: InMemoryBilling, act: Act) -> None:
        """What does not fit the trial leaves every table as it was."""
        caller = await _on_trial(billing)
        if act is not _regrant:
            billing.clock.advance(14 * DAY)
        before = everything_kept(billing)

        with pytest.raises(BillingError):
            await act(billing, caller.merchant_id, False)

        assert everything_kept(billing) == before
