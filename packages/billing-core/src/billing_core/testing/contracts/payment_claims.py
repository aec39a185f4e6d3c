"""The contract of the claim on a payment, and of the archive."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW, ReviewFinding
from billing_core.errors import ReferenceAlreadyClaimed
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.records import PurchaseFilter
from billing_core.ports.storage import Owner
from billing_core.testing.builders import a_merchant, a_purchase
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

DAY = timedelta(days=1)


class PaymentClaimsContract(StorageSuite):
    """The promises of `Purchases.owners` and `Purchases.claim`."""

    async def test_owners_tell_whose_a_reference_is(self, storage: BillingStorage) -> None:
        """With the account to ask about it; unknown references and other platforms' are left out."""
        merchant = await registered(storage, a_merchant(platform_domain="shop.example"))
        purchase = a_purchase(merchant, platform_reference="pay-1")
        await stored(storage, purchase)

        async with storage.units() as uow:
            owners = await uow.purchases.owners([("sandbox", "pay-1"), ("stripe", "pay-1"), ("sandbox", "pay-2")])
            nobody = await uow.purchases.owners([])

        account = PlatformAccount(
            platform_account_id=merchant.platform_account_id, platform_domain=merchant.platform_domain
        )
        owner = Owner(merchant_id=merchant.merchant_id, purchase_id=purchase.purchase_id, account=account)
        assert owners == {("sandbox", "pay-1"): owner}
        assert nobody == {}

    async def test_a_purchase_is_found_by_its_short_reference(self, storage: BillingStorage) -> None:
        """From the moment it is stored, before its platform has given it a reference, and after it is archived."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant, status=PurchaseStatus.EXPIRED, platform_reference=None)
        await stored(storage, purchase)
        short = ("sandbox", purchase.short_reference)

        async with storage.units() as uow:
            live = await uow.purchases.owners([short])
            assert await uow.purchases.archive(MOMENT + 1000 * DAY, 10) == 1
            await uow.commit()
        async with storage.units() as uow:
            archived = await uow.purchases.owners([short])

        assert live[short].purchase_id == purchase.purchase_id
        assert archived == live

    async def test_a_reference_is_claimed_by_one_purchase_for_ever(self, storage: BillingStorage) -> None:
        """Again for the same purchase is no change; for another one it is refused."""
        merchant = await registered(storage)
        mine, other = [a_purchase(merchant, platform_reference="pay-1") for _ in range(2)]
        await stored(storage, mine, replace(other, platform_reference=None))

        async with storage.units() as uow:
            await uow.purchases.claim([mine])
            await uow.commit()
        with pytest.raises(ReferenceAlreadyClaimed):
            async with storage.units() as uow:
                await uow.purchases.claim([other])
                await uow.flush()

        async with storage.units() as uow:
            owners = await uow.purchases.owners([("sandbox", "pay-1")])
        assert owners[("sandbox", "pay-1")].purchase_id == mine.purchase_id

    async def test_two_purchases_of_one_batch_cannot_claim_the_same_reference(self, storage: BillingStorage) -> None:
        """Whoever is first in the batch, neither may have it."""
        merchant = await registered(storage)
        rivals = [a_purchase(merchant) for _ in range(2)]
        await stored(storage, *rivals)

        async with storage.units() as uow:
            with pytest.raises(ReferenceAlreadyClaimed):
                await uow.purchases.claim([replace(each, platform_reference="pay-1") for each in rivals])

    async def test_the_same_reference_on_another_platform_is_another_payment(self, storage: BillingStorage) -> None:
        """Platforms do not know of each other's ids."""
        merchant = await registered(storage)
        one = a_purchase(merchant, platform_reference="pay-1")
        other = a_purchase(merchant, platform_reference="pay-1", platform="stripe")

        await stored(storage, one, other)

        async with storage.units() as uow:
            assert len(await uow.purchases.owners([("sandbox", "pay-1"), ("stripe", "pay-1")])) == 2

    async def test_of_16_purchases_claiming_one_reference_at_once_exactly_one_gets_it(
        self, storage: BillingStorage
    ) -> None:
        """The claim is a unique row, not a question asked before."""
        merchant = await registered(storage)
        rivals = [a_purchase(merchant, platform_reference="pay-1") for _ in range(16)]
        await stored(storage, *(replace(each, platform_reference=None) for each in rivals))

        async def claim(purchase: Purchase) -> bool:
            try:
                async with storage.units() as uow:
                    await uow.purchases.claim([purchase])
                    await uow.commit()
            except ReferenceAlreadyClaimed:
                return False
            return True

        won = await asyncio.gather(*(claim(each) for each in rivals))

        assert won.count(True) == 1
        async with storage.units() as uow:
            owners = await uow.purchases.owners([("sandbox", "pay-1")])
        assert owners[("sandbox", "pay-1")].purchase_id == rivals[won.index(True)].purchase_id


class ArchiveContract(StorageSuite):
    """The promises of `Purchases.archive`, and that archived purchases are never lost."""

    async def test_archive_moves_what_ended_before_the_moment(self, storage: BillingStorage) -> None:
        """What ended at or after it, is open, or needs review stays; the figure is what moved."""
        merchant = await registered(storage)
        old = _ended(a_purchase(merchant, status=PurchaseStatus.COMPLETED), MOMENT)
        expired = _ended(a_purchase(merchant, status=PurchaseStatus.EXPIRED), MOMENT)
        recent = _ended(a_purchase(merchant, status=PurchaseStatus.COMPLETED), MOMENT + DAY)
        odd = replace(
            _ended(a_purchase(merchant, status=PurchaseStatus.FAILED), MOMENT),
            review=NO_REVIEW.adding(ReviewFinding(reason="odd")),
        )
        await stored(storage, old, expired, recent, odd, open_one := a_purchase(merchant))

        moved = await _archive(storage)

        assert moved == 2
        assert await _listed(storage, merchant.merchant_id, archived=True) == [expired, old]
        assert await _listed(storage, merchant.merchant_id, archived=False) == [open_one, odd, recent]

    async def test_archive_moves_no_more_than_its_limit(self, storage: BillingStorage) -> None:
        """Batches are bounded, and the next one takes the rest."""
        merchant = await registered(storage)
        ended = [_ended(a_purchase(merchant, status=PurchaseStatus.DECLINED), MOMENT) for _ in range(3)]
        await stored(storage, *ended)

        assert [await _archive(storage, limit=2) for _ in range(3)] == [2, 1, 0]

    async def test_archive_without_commit_moves_nothing(self, storage: BillingStorage) -> None:
        """The move is part of the transaction."""
        merchant = await registered(storage)
        ended = _ended(a_purchase(merchant, status=PurchaseStatus.DECLINED), MOMENT)
        await stored(storage, ended)

        async with storage.units() as uow:
            await uow.purchases.archive(MOMENT + DAY, 10)

        assert await _listed(storage, merchant.merchant_id, archived=False) == [ended]

    async def test_archived_purchases_are_found_by_id_and_by_reference(self, storage: BillingStorage) -> None:
        """They are readable in a unit and on the read side, and their claim stays."""
        merchant = await registered(storage)
        purchase = _ended(a_purchase(merchant, status=PurchaseStatus.EXPIRED), MOMENT)
        await stored(storage, purchase)
        await _archive(storage)

        async with storage.units() as uow:
            found = await uow.purchases.get(merchant.merchant_id, purchase.purchase_id)
            owners = await uow.purchases.owners([("sandbox", str(purchase.platform_reference))])

        assert found == purchase
        assert [owner.purchase_id for owner in owners.values()] == [purchase.purchase_id]
        assert await storage.records.purchase(merchant.merchant_id, purchase.purchase_id) == purchase

    async def test_locking_an_archived_purchase_brings_it_back(self, storage: BillingStorage) -> None:
        """It can be saved and is listed among the live ones again, once."""
        merchant = await registered(storage)
        purchase = _ended(a_purchase(merchant, status=PurchaseStatus.COMPLETED), MOMENT)
        await stored(storage, purchase)
        await _archive(storage)
        refunded = replace(purchase, status=PurchaseStatus.REFUNDED, version=3, ended_at=MOMENT + DAY)

        async with storage.units() as uow:
            held = await uow.purchases.lock([(merchant.merchant_id, purchase.purchase_id)])
            await uow.purchases.save([refunded])
            await uow.commit()

        assert held == {purchase.purchase_id: purchase}
        assert await _listed(storage, merchant.merchant_id, archived=False) == [refunded]
        assert await _listed(storage, merchant.merchant_id, archived=True) == []

    async def test_an_archived_purchase_is_brought_back_once_by_two_at_the_same_time(
        self, storage: BillingStorage
    ) -> None:
        """The second waits for the first and finds the purchase in the hot table."""
        merchant = await registered(storage)
        purchase = _ended(a_purchase(merchant, status=PurchaseStatus.COMPLETED), MOMENT)
        await stored(storage, purchase)
        await _archive(storage)
        wanted = [(merchant.merchant_id, purchase.purchase_id)]

        async def lock() -> object:
            async with storage.units() as second:
                held = await second.purchases.lock(wanted)
                await second.commit()
                return held

        async with storage.units() as first:
            await first.purchases.lock(wanted)
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert await in_time(waiting) == {purchase.purchase_id: purchase}
        assert await _listed(storage, merchant.merchant_id, archived=False) == [purchase]

    async def test_archive_never_loses_a_purchase_someone_holds(self, storage: BillingStorage) -> None:
        """A purchase a unit holds is either left out or waited for; what that unit saved is what stays."""
        merchant = await registered(storage)
        purchase = _ended(a_purchase(merchant, status=PurchaseStatus.COMPLETED), MOMENT)
        await stored(storage, purchase)
        refunded = replace(purchase, status=PurchaseStatus.REFUNDED, version=3, ended_at=MOMENT + 9 * DAY)

        async with storage.units() as uow:
            await uow.purchases.lock([(merchant.merchant_id, purchase.purchase_id)])
            await uow.purchases.save([refunded])
            archiving = asyncio.create_task(_archive(storage))
            await asyncio.wait({archiving}, timeout=self.patience_s)
            await uow.commit()

        assert await in_time(archiving) == 0
        assert await _listed(storage, merchant.merchant_id, archived=False) == [refunded]


def _ended(purchase: Purchase, at: datetime) -> Purchase:
    return replace(purchase, ended_at=at)


async def _archive(storage: BillingStorage, limit: int = 10) -> int:
    async with storage.units() as uow:
        moved = await uow.purchases.archive(MOMENT + DAY, limit)
        await uow.commit()
        return moved


async def _listed(storage: BillingStorage, merchant_id: str, *, archived: bool) -> list[Purchase]:
    found = await storage.records.purchases(PurchaseFilter(merchant_id=merchant_id, archived=archived))
    whole = [await storage.records.purchase(merchant_id, each.purchase_id) for each in found.purchases]
    return [each for each in whole if each is not None]
