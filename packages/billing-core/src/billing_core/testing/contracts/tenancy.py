"""The contract of a unit of one merchant: what others have is not there for it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from billing_core.domain.idempotency import KeyRecord
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.errors import MerchantNotFound, ReferenceAlreadyClaimed, StorageConflict
from billing_core.ports.storage import UnitOfWork
from billing_core.testing.builders import a_merchant, a_purchase, a_request_key, a_trial, an_origin
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered, stored

Write = Callable[[UnitOfWork, Merchant], Awaitable[object]]


async def _save_a_key(uow: UnitOfWork, other: Merchant) -> None:
    await uow.keys.save(KeyRecord(key=a_request_key(other.merchant_id), fingerprint="f", created_at=MOMENT))


async def _add_a_purchase(uow: UnitOfWork, other: Merchant) -> None:
    await uow.purchases.add([a_purchase(other)])


async def _add_a_trial(uow: UnitOfWork, other: Merchant) -> None:
    await uow.trials.add([a_trial(other)])


async def _record_a_change(uow: UnitOfWork, other: Merchant) -> None:
    await uow.journal.record(a_purchase(other, version=0).cancel(MOMENT, an_origin()).changes)


WRITES: tuple[Write, ...] = (_save_a_key, _add_a_purchase, _add_a_trial, _record_a_change)


class TenancyContract(StorageSuite):
    """A unit that was opened for one merchant."""

    async def test_a_unit_of_a_merchant_does_what_the_merchant_does(self, storage: BillingStorage) -> None:
        """Its own rows are there to be seen, held and changed."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant)

        async with storage.units(merchant.merchant_id) as uow:
            assert await uow.merchants.lock(merchant.merchant_id) == merchant
            await uow.purchases.add([purchase])
            await uow.purchases.claim([purchase])
            await uow.commit()

        async with storage.units(merchant.merchant_id) as uow:
            assert await uow.purchases.get(merchant.merchant_id, purchase.purchase_id) == purchase
            assert await uow.purchases.open_of(merchant.merchant_id) == [purchase]

    async def test_a_unit_of_a_merchant_sees_nothing_of_another(self, storage: BillingStorage) -> None:
        """Not even where the other is named."""
        mine, other = await registered(storage), await registered(storage)
        purchase, trial = a_purchase(other), a_trial(other)
        await stored(storage, purchase, trial)
        key = KeyRecord(key=a_request_key(other.merchant_id), fingerprint="f", created_at=MOMENT)
        async with storage.units() as uow:
            await uow.keys.save(key)
            await uow.commit()

        async with storage.units(mine.merchant_id) as uow:
            assert await uow.merchants.lock(other.merchant_id) is None
            assert await uow.merchants.get_many([other.merchant_id]) == {}
            assert await uow.trials.latest(other.merchant_id) is None
            assert await uow.purchases.get(other.merchant_id, purchase.purchase_id) is None
            assert await uow.purchases.open_of(other.merchant_id) == []
            assert await uow.purchases.lock([(other.merchant_id, purchase.purchase_id)]) == {}
            assert await uow.keys.lock(key.key) is None

    @pytest.mark.parametrize("write", WRITES)
    async def test_a_unit_of_a_merchant_writes_nothing_of_another(self, storage: BillingStorage, write: Write) -> None:
        """It is refused, and nothing of the unit lasts."""
        mine, other = await registered(storage), await registered(storage)
        own = a_purchase(mine)

        with pytest.raises((StorageConflict, MerchantNotFound)):
            async with storage.units(mine.merchant_id) as uow:
                await uow.purchases.add([own])
                await write(uow, other)
                await uow.commit()

        assert await storage.records.purchase(mine.merchant_id, own.purchase_id) is None

    async def test_claims_are_unique_across_merchants(self, storage: BillingStorage) -> None:
        """What cannot be seen is claimed all the same."""
        mine, other = await registered(storage), await registered(storage)
        theirs, own = a_purchase(other), a_purchase(mine)
        shared = a_trial(other)
        await stored(storage, theirs)
        async with storage.units() as uow:
            assert await uow.trials.claim(shared)
            await uow.commit()

        async with storage.units(mine.merchant_id) as uow:
            again = a_trial(mine, platform_account_id=shared.platform_account_id)
            assert not await uow.trials.claim(again)
        with pytest.raises(ReferenceAlreadyClaimed):
            await _claimed_by(storage, mine, replace(own, platform_reference=theirs.platform_reference))

    async def test_a_unit_of_a_merchant_nobody_announced_is_empty(self, storage: BillingStorage) -> None:
        """It is no error to be nobody."""
        async with storage.units(a_merchant().merchant_id) as uow:
            assert await uow.merchants.lock("merchant-of-nobody") is None


async def _claimed_by(storage: BillingStorage, merchant: Merchant, purchase: Purchase) -> None:
    async with storage.units(merchant.merchant_id) as uow:
        await uow.purchases.claim([purchase])
        await uow.commit()
