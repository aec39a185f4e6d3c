"""The contract of what is replaced when merchants are redacted."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import StorageConflict
from billing_core.ports.privacy import Renaming
from billing_core.ports.storage import Dropped, TrialClaim
from billing_core.testing.builders import a_grant, a_merchant, a_purchase, a_trial, an_offer
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.privacy import (
    A_PSEUDONYM,
    a_parked,
    a_privacy_record,
    archived,
    granted,
    remembered,
)
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

LATER = MOMENT + timedelta(days=1)


class RedactionsContract(StorageSuite):
    """Every promise of `Redactions`, and of `Merchants.add` about shops that come back."""

    async def test_locking_accounts_gives_their_merchants_held(self, storage: BillingStorage) -> None:
        """All of each account, by id, and no other platform's account of that name; another unit waits for them."""
        shop = a_merchant("z-1")
        same = a_merchant("a-1", platform_account_id=shop.platform_account_id)
        elsewhere = a_merchant(platform="stripe", platform_account_id=shop.platform_account_id)
        for each in (shop, same, elsewhere, a_merchant()):
            await registered(storage, each)

        async def lock() -> Merchant | None:
            async with storage.units() as second:
                return await second.merchants.lock("z-1")

        async with storage.units() as first:
            held = await first.redactions.lock_accounts([_account(shop), ("sandbox", "nobody")])
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert list(held) == [same, shop]
        assert await in_time(waiting) == shop

    async def test_no_accounts_are_no_merchants(self, storage: BillingStorage) -> None:
        """Empty batches are allowed everywhere a batch is."""
        async with storage.units() as uow:
            redactions = uow.redactions
            assert list(await redactions.lock_accounts([])) == []
            await redactions.rename_accounts([])
            await redactions.save_trials([])
            await redactions.save_purchases([])
            await redactions.save_entries("nobody", [])
            await redactions.save_grants([])
            await redactions.save_events([])
            await redactions.save_parked([])
            await redactions.record([])
            assert list(await redactions.forget_keys("nobody", 9)) == []
            await uow.commit()

    async def test_a_renamed_account_has_the_same_one_trial(self, storage: BillingStorage) -> None:
        """Its claim is found under the new name and under no other; other accounts' stay."""
        merchant, other = await registered(storage), await registered(storage)
        trial, others = await _claimed(storage, merchant), await _claimed(storage, other)

        await _renamed(storage, merchant, A_PSEUDONYM)

        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) == _claim_of(trial)
        assert await storage.data.trial_claim(*_account(merchant)) is None
        assert await storage.data.trial_claim(*_account(other)) == _claim_of(others)
        async with storage.units() as uow:
            assert not await uow.trials.claim(replace(a_trial(), platform_account_id=A_PSEUDONYM))

    async def test_of_two_claims_the_one_under_the_new_name_stays(self, storage: BillingStorage) -> None:
        """Nobody has two; where it came to that, one is left."""
        merchant = await registered(storage)
        first = await _claimed(storage, replace(merchant, platform_account_id=A_PSEUDONYM))
        await _claimed(storage, merchant)

        await _renamed(storage, merchant, A_PSEUDONYM)

        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) == _claim_of(first)
        assert await storage.data.trial_claim(*_account(merchant)) is None

    async def test_a_shop_that_comes_back_has_its_claim_under_its_name_again(self, storage: BillingStorage) -> None:
        """Only where the merchant is new: an old announcement that is told once more brings nothing back."""
        known, returning = await registered(storage), a_merchant(platform_account_id="shop-back")
        trial = await _claimed(storage, replace(returning, platform_account_id=A_PSEUDONYM))

        await _announced(storage, known, {known.merchant_id: A_PSEUDONYM})
        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) == _claim_of(trial)
        await _announced(storage, returning, {returning.merchant_id: A_PSEUDONYM})

        assert await storage.data.trial_claim("sandbox", "shop-back") == _claim_of(trial)
        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) is None

    async def test_a_claim_under_its_own_name_is_left_alone(self, storage: BillingStorage) -> None:
        """Where a shop has one under each, the one under the name stays, and the merchant is stored."""
        returning = a_merchant(platform_account_id="shop-back")
        own = await _claimed(storage, returning)
        await _claimed(storage, replace(returning, platform_account_id=A_PSEUDONYM))

        await _announced(storage, returning, {returning.merchant_id: A_PSEUDONYM})

        assert await storage.data.trial_claim("sandbox", "shop-back") == _claim_of(own)
        assert await storage.data.merchant(returning.merchant_id) == returning

    async def test_a_trial_that_is_claimed_under_the_pseudonym_is_claimed(self, storage: BillingStorage) -> None:
        """By whoever asks under the name; another shop may have its own."""
        merchant = await registered(storage)
        trial = await _claimed(storage, replace(merchant, platform_account_id=A_PSEUDONYM))

        async with storage.units() as uow:
            refused = await uow.trials.claim(a_trial(merchant), pseudonym=A_PSEUDONYM)
            given = await uow.trials.claim(a_trial(), pseudonym=f"redacted:{'f' * 64}")
            await uow.commit()

        assert (refused, given) == (False, True)
        assert await storage.data.trial_claim(*_account(merchant)) is None
        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) == _claim_of(trial)

    async def test_who_claims_a_trial_while_its_shop_is_redacted_gets_none(self, storage: BillingStorage) -> None:
        """It is told so at once, waits and is told, or is undone: never are there two."""
        gone = await registered(storage)
        trial = await _claimed(storage, gone)
        returned = await registered(storage, a_merchant(platform_account_id=gone.platform_account_id))

        async def claim() -> bool:
            async with storage.units() as second:
                claimed = await second.trials.claim(a_trial(returned), pseudonym=A_PSEUDONYM)
                await second.commit()
            return claimed

        async with storage.units() as first:
            await first.redactions.rename_accounts([_renaming(gone, A_PSEUDONYM)])
            await first.flush()
            claiming = asyncio.create_task(claim())
            await asyncio.wait({claiming}, timeout=self.patience_s)
            await first.commit()

        try:
            claimed = await in_time(claiming)
        except StorageConflict:
            claimed = False
        assert not claimed
        assert await storage.data.trial_claim("sandbox", A_PSEUDONYM) == _claim_of(trial)
        assert await storage.data.trial_claim(*_account(gone)) is None

    async def test_of_trials_and_purchases_the_names_are_stored_alone(self, storage: BillingStorage) -> None:
        """Live ones stay live and archived ones archived; no figure, status or version is what it was given."""
        merchant = await registered(storage)
        trial, live = a_trial(merchant), a_purchase(merchant)
        old = a_purchase(merchant, status=PurchaseStatus.COMPLETED)
        await stored(storage, trial, live, old)
        await archived(storage)
        names: dict[str, Any] = {"platform_account_id": A_PSEUDONYM}
        addresses: dict[str, Any] = {"return_url": "", "checkout_url": "redacted"}

        async with storage.units() as uow:
            await uow.redactions.save_trials([replace(trial, **names, credits=1, version=9, reminded_at=MOMENT)])
            await uow.redactions.save_purchases([_wrong(each, names | addresses) for each in (live, old)])
            await uow.commit()

        assert list(await storage.data.trials(merchant.merchant_id)) == [replace(trial, **names)]
        kept = await storage.data.purchases(merchant.merchant_id, None, 9)
        told = {each.purchase.purchase_id: (each.purchase, each.archived) for each in kept}
        assert told == {
            live.purchase_id: (replace(live, **names, **addresses), False),
            old.purchase_id: (replace(old, **names, **addresses), True),
        }

    async def test_of_history_events_and_grants_the_words_are_stored_alone(self, storage: BillingStorage) -> None:
        """Another merchant's entry of the same number is left alone."""
        merchant, other = await registered(storage), await registered(storage)
        change, others = created(merchant), created(other)
        await recorded(storage, change, others)
        (grant,) = await granted(storage, a_grant(merchant))
        (entry,) = await storage.data.history(merchant.merchant_id, None, 9)
        (kept,) = await storage.data.events(merchant.merchant_id, 0, 9)
        words: dict[str, Any] = {"actor": "nobody", "reason": "redacted", "correlation_id": "c-9"}

        async with storage.units() as uow:
            told = replace(entry, entry=replace(entry.entry, **words, status_after="gone", at=LATER))
            await uow.redactions.save_entries(merchant.merchant_id, [told, replace(told, subject_id=others.subject_id)])
            await uow.redactions.save_events([replace(kept.event, body=b"{}")])
            await uow.redactions.save_grants([replace(grant, reason="redacted", credits=1, actor="operator:eve")])
            await uow.commit()

        (after,) = await storage.data.history(merchant.merchant_id, None, 9)
        assert after.entry == replace(entry.entry, **words)
        assert list(await storage.data.grants(merchant.merchant_id, None, 9)) == [replace(grant, reason="redacted")]
        assert list(await storage.data.events(merchant.merchant_id, 0, 9)) == [
            replace(kept, event=replace(kept.event, body=b"{}"))
        ]
        (untouched,) = await storage.data.history(other.merchant_id, None, 9)
        assert untouched.entry.actor == others.by.actor

    async def test_a_parked_message_is_stored_whole(self, storage: BillingStorage) -> None:
        """Given up, it waits no more."""
        waits, other = a_parked(body=b"shop-1"), a_parked()
        async with storage.units() as uow:
            await uow.parked.add([waits, other])
            await uow.commit()
        dropped = Dropped(at=LATER, by="operator:ada", reason="redacted")
        emptied = replace(waits, body=b"", headers={}, message_id="m", reason="redacted", dropped=dropped)

        async with storage.units() as uow:
            await uow.redactions.save_parked([emptied])
            await uow.commit()

        async with storage.units() as uow:
            assert await uow.parked.get(waits.parked_id) == emptied
            assert list(await uow.parked.list(9)) == [other]

    async def test_keys_are_forgotten_up_to_the_limit(self, storage: BillingStorage) -> None:
        """And told which; nobody else's are."""
        merchant, other = await registered(storage), await registered(storage)
        keys = await remembered(storage, merchant.merchant_id, "A a", "A b", "B a")
        await remembered(storage, other.merchant_id, "A a")

        forgotten: list[Sequence[object]] = []
        for _ in range(3):
            async with storage.units() as uow:
                forgotten.append(await uow.redactions.forget_keys(merchant.merchant_id, 2))
                await uow.commit()

        assert [len(each) for each in forgotten] == [2, 1, 0]
        assert {each for some in forgotten for each in some} == {each.key for each in keys}
        assert len(await storage.data.keys(other.merchant_id, None, 9)) == 1

    async def test_what_was_not_committed_was_not_redacted(self, storage: BillingStorage) -> None:
        """Names, claims and records are one transaction's."""
        merchant = await registered(storage)
        trial = await _claimed(storage, merchant)

        async with storage.units() as uow:
            await uow.merchants.save([replace(merchant, platform_account_id=A_PSEUDONYM)])
            await uow.redactions.rename_accounts([_renaming(merchant, A_PSEUDONYM)])
            await uow.redactions.record([a_privacy_record(merchant_id=merchant.merchant_id)])
            await uow.flush()

        assert await storage.data.merchant(merchant.merchant_id) == merchant
        assert await storage.data.trial_claim(*_account(merchant)) == _claim_of(trial)
        assert list(await storage.data.privacy_records(merchant.merchant_id)) == []


def _account(merchant: Merchant) -> tuple[str, str]:
    return merchant.platform, merchant.platform_account_id


def _renaming(merchant: Merchant, after: str) -> Renaming:
    return Renaming(platform=merchant.platform, before=merchant.platform_account_id, after=after)


def _claim_of(trial: Trial) -> TrialClaim:
    return TrialClaim(merchant_id=trial.merchant_id, trial_id=trial.trial_id)


def _wrong(purchase: Purchase, names: Mapping[str, Any]) -> Purchase:
    """The purchase under other names, and with figures that must not be stored."""
    return replace(purchase, **names, offer=an_offer(credits=7), version=99, credits_reversed=1, refunded_minor=3)


async def _claimed(storage: BillingStorage, merchant: Merchant) -> Trial:
    trial = a_trial(merchant, status=TrialStatus.ENDED)
    async with storage.units() as uow:
        assert await uow.trials.claim(trial)
        await uow.commit()
    return trial


async def _renamed(storage: BillingStorage, merchant: Merchant, after: str) -> None:
    async with storage.units() as uow:
        await uow.redactions.rename_accounts([_renaming(merchant, after)])
        await uow.commit()


async def _announced(storage: BillingStorage, merchant: Merchant, pseudonyms: Mapping[str, str]) -> None:
    async with storage.units() as uow:
        await uow.merchants.add([merchant], pseudonyms=pseudonyms)
        await uow.commit()
