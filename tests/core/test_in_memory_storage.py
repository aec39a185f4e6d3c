"""Storage in memory: what the contract does not ask, but a simulator counts on."""

import asyncio

import pytest

from billing_core.domain.merchants import Merchant
from billing_core.errors import (
    StorageConflict,
)
from billing_core.testing import (
    InMemoryStorage,
    a_merchant,
    a_purchase,
)
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import registered, stored


class TestInMemoryStorage:
    """What the contract does not ask, but a simulator counts on."""

    async def test_two_transactions_that_wait_for_each_other_do_not_hang(self) -> None:
        """The one that closes the circle is undone, and the other goes on."""
        storage = InMemoryStorage()
        one, other = await registered(storage), await registered(storage)

        async def lock_other_first() -> Merchant | None:
            async with storage.units() as second:
                await second.merchants.lock(other.merchant_id)
                await asyncio.sleep(0)
                return await second.merchants.lock(one.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(one.merchant_id)
            task = asyncio.create_task(lock_other_first())
            await asyncio.wait({task}, timeout=0)
            with pytest.raises(StorageConflict):
                await first.merchants.lock(other.merchant_id)
            with pytest.raises(StorageConflict):
                await first.commit()

        assert await asyncio.wait_for(task, 5) == one

    async def test_an_event_has_its_place_from_when_it_was_recorded(self) -> None:
        """Whoever commits last may come first, as in the database: a relay that reads on from the last place misses
        it."""
        storage = InMemoryStorage()
        early, late = await registered(storage), await registered(storage)

        async with storage.units() as slow:
            await slow.journal.record([created(early)])
            await recorded(storage, created(late))
            before = await storage.outbox.unpublished(10)
            await slow.commit()
        after = await storage.outbox.unpublished(10)

        assert [each.merchant_id for each in before] == [late.merchant_id]
        assert [each.merchant_id for each in after] == [early.merchant_id, late.merchant_id]

    async def test_a_cancelled_transaction_leaves_the_queue(self) -> None:
        """Who gave up waiting is passed over, and holds nothing."""
        storage = InMemoryStorage()
        merchant = await registered(storage)

        async def lock() -> Merchant | None:
            async with storage.units() as uow:
                return await uow.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            gives_up, waits = asyncio.create_task(lock()), asyncio.create_task(lock())
            await asyncio.wait({gives_up, waits}, timeout=0)
            gives_up.cancel()

        assert await asyncio.wait_for(waits, 5) == merchant
        assert await asyncio.wait_for(lock(), 5) == merchant
        assert gives_up.cancelled()

    async def test_one_cancelled_in_the_moment_of_its_turn_passes_it_on(self) -> None:
        """A row handed to a task that is cancelled before it runs is let go by that task's unit."""
        storage = InMemoryStorage()
        merchant = await registered(storage)

        async def lock() -> Merchant | None:
            async with storage.units() as uow:
                return await uow.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            heir, waits = asyncio.create_task(lock()), asyncio.create_task(lock())
            await asyncio.wait({heir, waits}, timeout=0)
        heir.cancel()

        assert await asyncio.wait_for(waits, 5) == merchant
        assert heir.cancelled()

    async def test_a_closed_unit_can_do_nothing(self) -> None:
        """Using it after its end is refused, not ignored."""
        storage = InMemoryStorage()
        async with storage.units() as uow:
            await uow.commit()

        with pytest.raises(StorageConflict):
            await uow.merchants.add([a_merchant()])

    async def test_saving_a_purchase_nobody_holds_is_a_fault(self) -> None:
        """The port asks to hold first; the fake insists, so that the real one is never surprised."""
        storage = InMemoryStorage()
        purchase = a_purchase(await registered(storage))
        await stored(storage, purchase)

        async with storage.units() as uow:
            with pytest.raises(RuntimeError, match="held"):
                await uow.purchases.save([purchase])

    async def test_events_of_a_merchant_nobody_announced_are_a_fault(self) -> None:
        """The sequence is counted on the merchant's row, and there is none."""
        with pytest.raises(LookupError):
            await recorded(InMemoryStorage(), created(a_merchant()))
