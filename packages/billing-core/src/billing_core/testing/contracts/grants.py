"""The contract of the grants."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from billing_core.domain.grants import CreditGrant
from billing_core.domain.packs import MAX_CREDITS
from billing_core.testing.builders import a_grant, an_id, an_origin
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.journal import recorded
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered

TICK = timedelta(microseconds=1)
BEFORE = MOMENT - TICK


class GrantsContract(StorageSuite):
    """Every promise of `Grants`."""

    async def test_a_grant_is_stored_once_and_comes_back_whole(self, storage: BillingStorage) -> None:
        """The second of the same id is not stored, whatever it is of, and is given the first."""
        merchant, other = await registered(storage), await registered(storage)
        grant = a_grant(merchant, credits=MAX_CREDITS, reason="because — «ja»", actor="operator:Zoë")
        await _added(storage, grant)

        again = await _added(storage, a_grant(other, grant_id=grant.grant_id, actor="operator:bob"))

        assert again == grant
        assert await _granted(storage, "operator:bob") == 0
        assert await _granted(storage, grant.actor) == MAX_CREDITS

    async def test_of_32_grants_of_one_id_at_once_exactly_one_is_stored(self, storage: BillingStorage) -> None:
        """Whoever gives them; all others are given that one."""
        merchant, grant_id = await registered(storage), an_id()
        grants = [a_grant(merchant, grant_id=grant_id, actor=f"operator:{number}") for number in range(32)]

        told = await asyncio.gather(*(_added(storage, each) for each in grants))

        assert told.count(None) == 1
        assert {each for each in told if each is not None} == {grants[told.index(None)]}

    async def test_the_second_of_an_id_waits_and_is_stored_where_the_first_was_undone(
        self, storage: BillingStorage
    ) -> None:
        """What did not last uses no id up."""
        first = a_grant(await registered(storage))

        async with storage.units() as uow:
            assert await uow.grants.add(first) is None
            waiting = await self.stays_waiting(_added(storage, replace(first, credits=1)))

        assert await in_time(waiting) is None
        assert await _granted(storage, first.actor) == 1

    async def test_what_an_actor_granted_is_counted_since_a_moment(self, storage: BillingStorage) -> None:
        """Over all merchants, without the moment itself, and nobody else's."""
        one, other = await registered(storage), await registered(storage)
        for grant in (
            a_grant(one, credits=1, granted_at=MOMENT),
            a_grant(one, credits=10, granted_at=MOMENT + TICK),
            a_grant(other, credits=100, granted_at=MOMENT + timedelta(days=1)),
            a_grant(other, credits=1000, granted_at=MOMENT + TICK, actor="operator:bob"),
        ):
            await _added(storage, grant)

        async with storage.units() as uow:
            granted = [
                await uow.grants.lock_granted("operator:ada", MOMENT),
                await uow.grants.lock_granted("operator:ada", BEFORE),
                await uow.grants.lock_granted("operator:nobody", BEFORE),
            ]

        assert granted == [110, 111, 0]

    async def test_what_the_transaction_itself_granted_is_counted(self, storage: BillingStorage) -> None:
        """Before it is committed, and never where it was not."""
        grant = a_grant(await registered(storage))

        async with storage.units() as uow:
            await uow.grants.add(grant)
            granted = await uow.grants.lock_granted(grant.actor, BEFORE)

        assert granted == grant.credits
        assert await _granted(storage, grant.actor) == 0

    async def test_who_asks_about_the_same_actor_waits_and_counts_what_came_of_it(
        self, storage: BillingStorage
    ) -> None:
        """Two grants at once cannot both find room for themselves; another actor's keeps nobody waiting."""
        merchant = await registered(storage)

        async def counted(actor: str) -> int:
            async with storage.units() as next_one:
                return await next_one.grants.lock_granted(actor, BEFORE)

        async with storage.units() as first:
            await first.grants.add(a_grant(merchant, credits=7))
            assert await first.grants.lock_granted("operator:ada", BEFORE) == 7
            waiting = await self.stays_waiting(counted("operator:ada"))
            assert await asyncio.wait_for(counted("operator:bob"), 20) == 0
            await first.commit()

        assert await in_time(waiting) == 7

    async def test_a_grants_history_is_its_one_change(self, storage: BillingStorage) -> None:
        """Recorded like any other, and read by its merchant."""
        grant = a_grant(await registered(storage))

        await recorded(storage, grant.change(an_origin(actor=grant.actor, reason=grant.reason)))

        (entry,) = await storage.records.history(grant.merchant_id, grant.grant_id)
        assert (entry.what, entry.status_after, entry.actor, entry.reason) == (
            "granted",
            "granted",
            grant.actor,
            grant.reason,
        )


async def _added(storage: BillingStorage, grant: CreditGrant) -> CreditGrant | None:
    async with storage.units() as uow:
        before = await uow.grants.add(grant)
        await uow.commit()
    return before


async def _granted(storage: BillingStorage, actor: str) -> int:
    async with storage.units() as uow:
        return await uow.grants.lock_granted(actor, BEFORE)
