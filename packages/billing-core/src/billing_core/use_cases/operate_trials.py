"""What operators do with trials: extend one, end one, give a shop another one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_core.domain.events import Change, Origin
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import PriceBook
from billing_core.domain.trials import Trial, TrialDecision, make_room, must_run, start_trial
from billing_core.errors import MerchantNotFound, TrialNotUsed
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """A trial as it was (None: it is new) and as it is now, and what changed, of older trials too."""

    before: Trial | None
    trial: Trial
    changes: Sequence[Change]


class OperateTrials:
    """The operators' verbs; `by` names who, and why. With `dry_run` each only tells what it would do, and refuses the
    same."""

    def __init__(self, *, units: OpenUnitOfWork, price_book: PriceBook, clock: Clock, new_id: NewId) -> None:
        self._units, self._price_book, self._clock, self._new_id = units, price_book, clock, new_id

    async def extend(
        self, merchant_id: str, longer: timedelta | datetime, by: Origin, *, dry_run: bool = False
    ) -> TrialOutcome:
        """This will move the end of the merchant's running trial so much further, or to that moment.

        Raises MerchantNotFound, TrialNotRunning, and InvalidTrialEnd where that is no later end or too late a one.
        """
        return await self._change(
            merchant_id, lambda trial, now: trial.extend(trial.end_after(longer), now, by), dry_run=dry_run
        )

    async def end(self, merchant_id: str, by: Origin, *, dry_run: bool = False) -> TrialOutcome:
        """This will end the merchant's running trial now. Raises MerchantNotFound, TrialNotRunning."""
        return await self._change(merchant_id, lambda trial, now: trial.end(now, by), dry_run=dry_run)

    async def regrant(self, merchant_id: str, by: Origin, *, dry_run: bool = False) -> TrialOutcome:
        """This will start another trial, by today's terms, of a platform account that has had one, under whichever
        merchant id. Its claim goes over to the new trial; of any number of regrants at once one gives a trial.

        Raises MerchantNotFound, TrialNotUsed, TrialStillRunning.
        """
        async with self._units() as uow:
            merchant = await _known(uow, merchant_id)
            claim = await uow.trials.lock_claim(merchant.platform, merchant.platform_account_id)
            if claim is None:
                raise TrialNotUsed
            # Both merchants are held before the claim is changed: who holds one and asks for a trial waits for that.
            holders = sorted({claim.merchant_id, merchant_id})
            running = await uow.trials.lock_running(holders)
            for each in holders:
                await uow.merchants.lock(each)
            now = self._clock.now()
            expired = make_room(running.values(), now, by)
            started = start_trial(self._new_id(), merchant, self._price_book.at(now).trial, now, by)
            decisions = (*expired, started)
            await uow.trials.save([each.trial for each in expired])
            await uow.trials.add([started.trial])
            await uow.trials.move_claim(started.trial)
            changes = [change for each in decisions for change in each.changes]
            await uow.journal.record(changes)
            await (uow.flush() if dry_run else uow.commit())
        return TrialOutcome(before=None, trial=started.trial, changes=changes)

    async def _change(
        self, merchant_id: str, decide: Callable[[Trial, datetime], TrialDecision], *, dry_run: bool
    ) -> TrialOutcome:
        async with self._units() as uow:
            await _known(uow, merchant_id)
            running = (await uow.trials.lock_running([merchant_id])).get(merchant_id)
            now = self._clock.now()
            trial = must_run(running or await uow.trials.latest(merchant_id), merchant_id, now)
            decision = decide(trial, now)
            await uow.trials.save([decision.trial])
            await uow.journal.record(decision.changes)
            await (uow.flush() if dry_run else uow.commit())
        return TrialOutcome(before=trial, trial=decision.trial, changes=decision.changes)


async def _known(uow: UnitOfWork, merchant_id: str) -> Merchant:
    merchant = (await uow.merchants.get_many([merchant_id])).get(merchant_id)
    if merchant is None:
        raise MerchantNotFound
    return merchant
