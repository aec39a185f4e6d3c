"""Ways to give a client the wrong answer, two different ones, or one that is not so."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.faults.defects.defect import Patch
from tests.faults.simulation.surroundings import Surroundings

from billing_core.domain.events import Origin
from billing_core.domain.idempotency import Answer, KeyRecord, RequestKey
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import IdempotencyKeyReused
from billing_core.ports.idempotency import RememberedAnswer
from billing_core.ports.storage import Standing
from billing_core.testing import InMemoryReplayCache
from billing_core.testing.memory.journal import InMemoryKeyRecords
from billing_core.testing.memory.requests import InMemoryPurchaseRequests
from billing_core.testing.memory.trials import InMemoryTrials
from billing_core.use_cases.create_purchase import PurchaseRequest


def redis_as_only_guard(patch: Patch) -> None:
    """the replay cache alone remembers the answers under a key, and may forget them"""

    look = InMemoryPurchaseRequests.look

    async def unknown(self: InMemoryKeyRecords, key: RequestKey) -> KeyRecord | None:
        return None

    async def see_no_key(self: InMemoryPurchaseRequests, key: RequestKey) -> Standing | None:
        standing = await look(self, key)
        return None if standing is None else replace(standing, record=None)

    patch(InMemoryKeyRecords, "lock", unknown)
    patch(InMemoryPurchaseRequests, "look", see_no_key)


def answered_before_commit(patch: Patch) -> None:
    """an answer is in the replay cache before what it tells is committed"""
    init, save = Surroundings.__init__, InMemoryKeyRecords.save
    caches: list[InMemoryReplayCache] = []

    def note_cache(self: Surroundings, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        caches[:] = [self.replays]

    async def remember_at_once(self: InMemoryKeyRecords, record: KeyRecord) -> None:
        await save(self, record)
        if record.answer is not None:
            await caches[0].put(record.key, RememberedAnswer(fingerprint=record.fingerprint, answer=record.answer))

    patch(Surroundings, "__init__", note_cache)
    patch(InMemoryKeyRecords, "save", remember_at_once)


def fingerprint_ignored(patch: Patch) -> None:
    """another request under a known key gets the answer to the first one"""
    patch(PurchaseRequest, "fingerprint", property(lambda _: "a purchase"))


def last_checkout_wins(patch: Patch) -> None:
    """nobody waits for the first attempt under a key, and whichever checkout is made last is the purchase's"""

    def admit(self: KeyRecord, fingerprint: str, now: datetime) -> Answer | None:
        if self.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return self.answer

    def take(self: Purchase, reference: str, url: str, now: datetime, by: Origin) -> PurchaseDecision:
        if not self.is_open:
            return PurchaseDecision(self)
        values: dict[str, Any] = {"platform_reference": reference, "checkout_url": url}
        return self._changed("pending", now, by, None, status=PurchaseStatus.PENDING, **values)

    patch(KeyRecord, "admit", admit)
    patch(Purchase, "checkout_made", take)


# --- the one trial of a shop -----------------------------------------------------------------------------------------


def read_then_write_trial(patch: Patch) -> None:
    """whether a shop had its trial is looked up, and claimed by nothing"""

    async def look_up(self: InMemoryTrials, trial: Trial, **_: Any) -> bool:
        given = [each for each in self._tx.view.trials.rows() if each.status is not TrialStatus.REFUSED]
        return all(_shop(each) != _shop(trial) for each in given)

    patch(InMemoryTrials, "claim", look_up)


def trial_per_merchant(patch: Patch) -> None:
    """a shop that is installed again as another merchant gets another trial"""

    async def grant(self: InMemoryTrials, trial: Trial, **_: Any) -> bool:
        return True

    patch(InMemoryTrials, "claim", grant)


def trial_claimed_apart(patch: Patch) -> None:
    """a trial is claimed in a transaction of its own, and stays claimed where it is never started"""
    claim = InMemoryTrials.claim

    async def claim_for_good(self: InMemoryTrials, trial: Trial, **pseudonym: Any) -> bool:
        granted = await claim(self, trial, **pseudonym)
        self._tx.view.trial_claims.apply()
        return granted

    patch(InMemoryTrials, "claim", claim_for_good)


def _shop(trial: Trial) -> tuple[str, str]:
    return trial.platform, trial.platform_account_id
