"""Two merchants who must never meet: each has everything a merchant can have."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import Answer, KeyRecord
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import TrialTerms
from billing_core.domain.purchases import Purchase, PurchaseStatus, create_purchase
from billing_core.domain.trials import Trial, start_trial
from billing_core.ports.privacy import PrivacyRecord
from billing_core.testing.builders import (
    a_grant,
    a_merchant,
    a_purchase,
    a_request_key,
    an_id,
    an_offer,
    an_origin,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One of them, with what is theirs alone."""

    merchant: Merchant
    trial: Trial
    live: Purchase
    archived: Purchase
    grant: CreditGrant
    key: KeyRecord

    def marks(self) -> frozenset[str]:
        """What tells of this merchant wherever it is read: ids, references, addresses."""
        purchases = (self.live, self.archived)
        found = {
            self.merchant.merchant_id,
            self.merchant.platform_account_id,
            str(self.merchant.platform_domain),
            str(self.trial.trial_id),
            str(self.grant.grant_id),
            self.key.key.key,
            *(str(each.purchase_id) for each in purchases),
            *(str(each.platform_reference) for each in purchases),
            *(each.return_url for each in purchases),
        }
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The caller, and the other."""

    mine: Neighbour
    theirs: Neighbour


async def move_in(database: Database) -> Neighbours:
    """This will store both, through the ports a worker uses."""
    return Neighbours(mine=await _moved_in(database, "mine"), theirs=await _moved_in(database, "theirs"))


def _asked(merchant: Merchant, at: datetime) -> PrivacyRecord:
    return PrivacyRecord(
        record_id=an_id(at),
        at=at,
        what="exported",
        platform=merchant.platform,
        account=None,
        merchant_id=merchant.merchant_id,
        actor="operator:ada",
        reason="it asked",
        key_id=None,
    )


async def _moved_in(database: Database, name: str) -> Neighbour:
    now = datetime.now(UTC).replace(microsecond=0)
    merchant = a_merchant(
        f"merchant-of-{name}", platform_account_id=f"account-of-{name}", platform_domain=f"{name}.example"
    )
    url = f"https://{name}.example/billing"
    started = start_trial(an_id(now), merchant, TrialTerms(), now, an_origin())
    created = create_purchase(
        an_id(now),
        merchant,
        an_offer(),
        return_url=url,
        lifetime=timedelta(hours=48),
        test=True,
        now=now,
        by=an_origin(),
    )
    taken = created.purchase.checkout_made(f"reference-of-{name}", f"{url}/pay", now, an_origin())
    old = now - timedelta(days=100)
    archived = a_purchase(
        merchant,
        status=PurchaseStatus.COMPLETED,
        created_at=old,
        purchase_id=an_id(old),
        return_url=url,
        platform_reference=f"old-reference-of-{name}",
    )
    key = KeyRecord(
        key=replace(a_request_key(merchant.merchant_id), key=f"key-of-{name}"), fingerprint="f", created_at=now
    )
    grant = a_grant(merchant, granted_at=now)
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([merchant])
        await uow.trials.claim(started.trial)
        await uow.trials.add([started.trial])
        await uow.purchases.add([created.purchase, archived])
        await uow.flush()
        await uow.purchases.lock([(merchant.merchant_id, created.purchase.purchase_id)])
        await uow.purchases.save([taken.purchase])
        await uow.purchases.claim([taken.purchase, archived])
        await uow.journal.record([*started.changes, *created.changes, *taken.changes])
        await uow.grants.add(grant)
        await uow.redactions.record([_asked(merchant, now)])
        await uow.keys.save(key.answered(Answer(outcome="created", document=f'{{"id": "{name}"}}'.encode())))
        await uow.purchases.archive(now - timedelta(days=90), 10)
        await uow.commit()
    return Neighbour(
        merchant=merchant, trial=started.trial, live=taken.purchase, archived=archived, grant=grant, key=key
    )
