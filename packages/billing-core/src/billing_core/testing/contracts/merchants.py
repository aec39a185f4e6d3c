"""The contract of the merchants."""

import asyncio
from dataclasses import replace

from billing_core.domain.merchants import Merchant
from billing_core.testing.builders import a_merchant
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered


class MerchantsContract(StorageSuite):
    """Every promise of `Merchants`."""

    async def test_every_field_of_a_merchant_comes_back(self, storage: BillingStorage) -> None:
        """A merchant is read as it was stored, its time in UTC to the microsecond."""
        merchant = a_merchant(
            platform="shopify",
            platform_account_id="gid://shopify/Shop/1",
            platform_domain="shop.myshopify.com",
            currency="EUR",
        )

        await registered(storage, merchant)
        read = await storage.records.merchant(merchant.merchant_id)

        assert read == merchant
        assert read is not None
        assert read.registered_at.utcoffset() is not None
        assert read.registered_at.isoformat() == merchant.registered_at.isoformat()

    async def test_locking_an_unknown_merchant_gives_none(self, storage: BillingStorage) -> None:
        """There is nothing to hold."""
        async with storage.units() as uow:
            assert await uow.merchants.lock("nobody") is None

    async def test_a_locked_merchant_makes_the_next_unit_wait(self, storage: BillingStorage) -> None:
        """The second unit gets the merchant when the first has ended, and sees what it saved."""
        merchant = await registered(storage)
        changed = replace(merchant, currency="CHF")

        async def lock() -> Merchant | None:
            async with storage.units() as second:
                return await second.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            await first.merchants.save([changed])
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert await in_time(waiting) == changed

    async def test_a_unit_may_lock_its_merchant_again(self, storage: BillingStorage) -> None:
        """Holding twice is holding."""
        merchant = await registered(storage)

        async with storage.units() as uow:
            await uow.merchants.lock(merchant.merchant_id)

            assert await uow.merchants.lock(merchant.merchant_id) == merchant

    async def test_get_many_gives_those_that_exist_without_waiting(self, storage: BillingStorage) -> None:
        """Reading waits for nobody, and unknown ids are left out."""
        merchant = await registered(storage)

        async with storage.units() as holder, storage.units() as reader:
            await holder.merchants.lock(merchant.merchant_id)
            found = await reader.merchants.get_many([merchant.merchant_id, "nobody"])
            nothing = await reader.merchants.get_many([])

        assert found == {merchant.merchant_id: merchant}
        assert nothing == {}

    async def test_add_stores_the_new_and_returns_the_known_as_they_were(self, storage: BillingStorage) -> None:
        """A second announcement changes nothing by itself."""
        known, new = await registered(storage), a_merchant()

        async with storage.units() as uow:
            before = await uow.merchants.add([replace(known, currency="EUR"), new])
            await uow.commit()

        assert before == {known.merchant_id: known}
        assert await storage.records.merchant(known.merchant_id) == known
        assert await storage.records.merchant(new.merchant_id) == new

    async def test_add_holds_the_known_ones(self, storage: BillingStorage) -> None:
        """Who announced a known merchant holds it until its unit ends."""
        known = await registered(storage)

        async def lock() -> Merchant | None:
            async with storage.units() as second:
                return await second.merchants.lock(known.merchant_id)

        async with storage.units() as first:
            await first.merchants.add([known])
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert await in_time(waiting) == known

    async def test_of_two_announcing_the_same_merchant_the_second_waits_and_finds_it(
        self, storage: BillingStorage
    ) -> None:
        """A merchant announced twice at once is stored once."""
        merchant = a_merchant()

        async def announce() -> object:
            async with storage.units() as second:
                known = await second.merchants.add([replace(merchant, currency="JPY")])
                await second.commit()
                return known

        async with storage.units() as first:
            assert await first.merchants.add([merchant]) == {}
            waiting = await self.stays_waiting(announce())
            await first.commit()

        assert await in_time(waiting) == {merchant.merchant_id: merchant}
        assert await storage.records.merchant(merchant.merchant_id) == merchant

    async def test_save_keeps_what_may_change(self, storage: BillingStorage) -> None:
        """Domain and currency of a known merchant are replaced."""
        merchant = await registered(storage)
        changed = replace(merchant, platform_domain="new.example", currency="GBP")

        async with storage.units() as uow:
            await uow.merchants.save([changed])
            await uow.commit()

        assert await storage.records.merchant(merchant.merchant_id) == changed

    async def test_nothing_to_add_or_save_is_nothing_done(self, storage: BillingStorage) -> None:
        """Empty batches are allowed everywhere a batch is."""
        async with storage.units() as uow:
            assert await uow.merchants.add([]) == {}
            await uow.merchants.save([])
            await uow.commit()

    async def test_many_units_announcing_the_same_batch_never_deadlock(self, storage: BillingStorage) -> None:
        """Rows are taken in one order, whatever the order of the batch."""
        batch = [a_merchant() for _ in range(8)]

        async def announce(merchants: list[Merchant]) -> int:
            async with storage.units() as uow:
                known = await uow.merchants.add(merchants)
                await uow.commit()
                return len(merchants) - len(known)

        new = await asyncio.gather(*(announce(batch[::step]) for step in (1, -1) * 4))

        assert sum(new) == len(batch)
