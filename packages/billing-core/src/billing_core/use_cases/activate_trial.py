"""Start a merchant's trial."""

from billing_core.domain.idempotency import Answer, KeyRecord, RequestKey, fingerprint
from billing_core.domain.packs import PriceBook
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.domain.trials import Trial, TrialStatus, refuse_trial, start_trial
from billing_core.errors import TrialAlreadyUsed
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.answers import Answered, remember, replay
from billing_core.use_cases.caller import Caller
from billing_core.views import TrialView

ROUTE = "POST /api/billing/trials"
_FINGERPRINT = fingerprint({"route": ROUTE})


class ActivateTrial:
    """Starts the one trial of the caller's platform account."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        replays: ReplayCache,
        price_book: PriceBook,
        clock: Clock,
        new_id: NewId,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._units, self._replays, self._price_book = units, replays, price_book
        self._clock, self._new_id, self._pseudonyms = clock, new_id, pseudonyms

    async def __call__(self, caller: Caller, idempotency_key: str) -> Answered:
        """This will start the trial, or give the first answer again.

        Raises MerchantNotFound, PlatformMismatch, IdempotencyKeyReused, IdempotencyKeyInUse, and TrialAlreadyUsed
        where the platform account has had its trial, under whichever merchant id.
        """
        key = RequestKey(merchant_id=caller.merchant_id, route=ROUTE, key=idempotency_key)
        if replayed := await replay(self._replays, key, _FINGERPRINT):
            return replayed
        async with self._units(caller.merchant_id) as uow:
            answered = await self._activate(uow, caller, key)
            await uow.commit()
        if answered is None:
            raise TrialAlreadyUsed
        return await remember(self._replays, key, _FINGERPRINT, answered)

    async def _activate(self, uow: UnitOfWork, caller: Caller, key: RequestKey) -> Answered | None:
        merchant = caller.known_to_act(await uow.merchants.lock(caller.merchant_id))
        now = self._clock.now()
        if (record := await uow.keys.lock(key)) and (answer := record.admit(_FINGERPRINT, now)):
            return Answered(answer=answer, replayed=True)
        latest = await uow.trials.latest(caller.merchant_id)
        if latest is not None and latest.status is not TrialStatus.REFUSED:
            return None

        terms = self._price_book.at(now).trial
        started = start_trial(self._new_id(), merchant, terms, now, caller.origin)
        if not await uow.trials.claim(started.trial, pseudonym=self._pseudonym(started.trial)):
            if latest is None:  # the refusal is told once
                refused = refuse_trial(started.trial.trial_id, merchant, terms, now, caller.origin)
                await uow.trials.add([refused.trial])
                await uow.journal.record(refused.changes)
            return None
        answer = Answer(outcome="created", document=TrialView.of(started.trial, now).to_json())
        await uow.trials.add([started.trial])
        await uow.journal.record(started.changes)
        record = KeyRecord(key=key, fingerprint=_FINGERPRINT, created_at=now)
        await uow.keys.save(record.answered(answer))
        return Answered(answer=answer, replayed=False)

    def _pseudonym(self, trial: Trial) -> str | None:
        """What its shop's trial is claimed under where the shop was redacted before it came back."""
        if self._pseudonyms is None:
            return None
        return self._pseudonyms.of_account(trial.platform, trial.platform_account_id)
