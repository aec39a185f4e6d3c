"""The contract of a unit of work."""

from contextlib import suppress
from dataclasses import replace

import pytest

from billing_core.domain.packs import TrialTerms
from billing_core.domain.trials import start_trial
from billing_core.errors import StorageConflict
from billing_core.testing.builders import a_merchant, a_purchase, a_request_key, a_trial, an_id, an_origin
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered


class TransactionsContract(StorageSuite):
    """One transaction: all of it, or nothing."""

    async def test_what_was_committed_is_there_for_the_next_unit(self, storage: BillingStorage) -> None:
        """A committed row is seen by units that open later."""
        merchant = a_merchant()

        async with storage.units() as uow:
            await uow.merchants.add([merchant])
            await uow.commit()

        async with storage.units() as uow:
            assert await uow.merchants.get_many([merchant.merchant_id]) == {merchant.merchant_id: merchant}

    async def test_what_was_not_committed_never_happened(self, storage: BillingStorage) -> None:
        """Leaving without commit undoes every part: state, claims, history, events, inbox and keys."""
        merchant = await registered(storage)
        purchase, trial = a_purchase(merchant), a_trial(merchant)

        async with storage.units() as uow:
            started = start_trial(trial.trial_id, merchant, TrialTerms(), MOMENT, an_origin())
            await uow.trials.claim(started.trial)
            await uow.trials.add([started.trial])
            await uow.purchases.add([purchase])
            await uow.purchases.claim([purchase])
            await uow.journal.record(started.changes)
            await uow.inbox.record("source", ["message"], MOMENT)

        async with storage.units() as uow:
            assert await uow.trials.latest(merchant.merchant_id) is None
            assert await uow.trials.claim(trial)
            assert await uow.purchases.get(merchant.merchant_id, purchase.purchase_id) is None
            assert await uow.purchases.owners([("sandbox", str(purchase.platform_reference))]) == {}
            assert await uow.inbox.seen("source", ["message"]) == frozenset()
        assert await storage.records.history(merchant.merchant_id, trial.trial_id) == []
        assert await storage.outbox.unpublished(10) == []

    async def test_it_tells_the_storages_own_time(self, storage: BillingStorage) -> None:
        """One clock for all processes: aware of its zone, and never before what it said."""
        async with storage.units() as uow:
            first, second = await uow.now(), await uow.now()

        assert first.utcoffset() is not None
        assert first <= second

    async def test_an_error_in_the_block_undoes_the_unit(self, storage: BillingStorage) -> None:
        """An exception leaves the block as it is, and nothing behind."""
        merchant = a_merchant()

        async def add_and_fail() -> None:
            async with storage.units() as uow:
                await uow.merchants.add([merchant])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await add_and_fail()

        assert await storage.records.merchant(merchant.merchant_id) is None

    async def test_a_unit_sees_its_own_changes(self, storage: BillingStorage) -> None:
        """What a unit stored it reads back before the commit."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant)

        async with storage.units() as uow:
            await uow.purchases.add([purchase])

            assert await uow.purchases.get(merchant.merchant_id, purchase.purchase_id) == purchase

    async def test_others_see_nothing_before_the_commit(self, storage: BillingStorage) -> None:
        """Neither another unit nor the read side sees what is not committed, and both see it after."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant)

        async with storage.units() as writer:
            await writer.purchases.add([purchase])
            async with storage.units() as reader:
                before = await reader.purchases.get(merchant.merchant_id, purchase.purchase_id)
                read_before = await storage.records.purchase(merchant.merchant_id, purchase.purchase_id)
                await writer.commit()
                after = await reader.purchases.get(merchant.merchant_id, purchase.purchase_id)

        assert (before, read_before) == (None, None)
        assert after == purchase
        assert await storage.records.purchase(merchant.merchant_id, purchase.purchase_id) == purchase

    async def test_a_unit_that_met_a_conflict_cannot_be_saved(self, storage: BillingStorage) -> None:
        """After StorageConflict nothing of the unit lasts, whatever is tried."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant)

        async with storage.units() as uow:
            await uow.purchases.add([purchase])
            with pytest.raises(StorageConflict):
                await uow.trials.add([a_trial(merchant), a_trial(merchant)])
                await uow.flush()
            with suppress(StorageConflict):  # refused or without effect: either is safe
                await uow.commit()

        assert await storage.records.purchase(merchant.merchant_id, purchase.purchase_id) is None
        assert await storage.records.trial(merchant.merchant_id) is None

    async def test_what_was_written_is_seen_by_the_next_question(self, storage: BillingStorage) -> None:
        """A unit sees its own writes, however late they are sent."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant)

        async with storage.units() as uow:
            await uow.purchases.add([purchase])
            held = await uow.purchases.lock([(merchant.merchant_id, purchase.purchase_id)])
            changed = replace(purchase, check_at=purchase.expires_at, version=purchase.version + 1)
            await uow.purchases.save([changed])
            seen = await uow.purchases.get(merchant.merchant_id, purchase.purchase_id)

        assert list(held.values()) == [purchase]
        assert seen == changed

    async def test_leaving_without_commit_lets_go_of_what_was_held(self, storage: BillingStorage) -> None:
        """A merchant held by a unit that was given up is free for the next."""
        merchant = await registered(storage)

        async def lock() -> object:
            async with storage.units() as second:
                return await second.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            waiting = await self.stays_waiting(lock())

        assert await in_time(waiting) == merchant

    async def test_units_of_different_merchants_do_not_wait_for_each_other(self, storage: BillingStorage) -> None:
        """A merchant's lock is in nobody else's way."""
        one, other = await registered(storage), await registered(storage)

        async with storage.units() as first, storage.units() as second:
            await first.merchants.lock(one.merchant_id)
            await second.merchants.lock(other.merchant_id)
            await second.keys.lock(a_request_key(other.merchant_id))
            await second.purchases.add([a_purchase(other, purchase_id=an_id())])
            await second.commit()
            await first.commit()
