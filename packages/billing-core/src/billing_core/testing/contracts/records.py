"""The contract of the read side."""

from dataclasses import replace
from datetime import timedelta

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.ports.storage import PurchaseFilter
from billing_core.testing.builders import a_purchase, a_trial, an_id, an_offer
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered, stored

DAY = timedelta(days=1)


class BillingRecordsContract(StorageSuite):
    """Every promise of `BillingRecords`."""

    async def test_what_is_unknown_is_none_or_empty(self, storage: BillingStorage) -> None:
        """A merchant nobody announced has nothing."""
        records = storage.records

        totals = await records.totals("nobody")

        assert await records.merchant("nobody") is None
        assert await records.trial("nobody") is None
        assert await records.purchase("nobody", an_id()) is None
        assert list(await records.purchases(PurchaseFilter(merchant_id="nobody"))) == []
        assert list(await records.history("nobody", an_id())) == []
        assert not await records.trial_claimed("sandbox", "nobody")
        assert sum(totals.counts.values()) == 0
        assert (totals.credits_purchased, totals.credits_reversed, totals.last) == (0, 0, None)

    async def test_the_trial_is_the_newest(self, storage: BillingStorage) -> None:
        """As in `Trials.latest`."""
        merchant = await registered(storage)
        older = a_trial(merchant, status=TrialStatus.ENDED, started_at=MOMENT - 30 * DAY)
        await stored(storage, newer := a_trial(merchant), older)

        assert await storage.records.trial(merchant.merchant_id) == newer

    async def test_a_purchase_is_read_by_its_merchant_alone(self, storage: BillingStorage) -> None:
        """Another merchant's id answers exactly like an unknown one."""
        other = await registered(storage)
        await stored(storage, purchase := a_purchase(await registered(storage)))

        assert await storage.records.purchase(purchase.merchant_id, purchase.purchase_id) == purchase
        assert await storage.records.purchase(other.merchant_id, purchase.purchase_id) is None

    async def test_purchases_are_listed_newest_first_page_by_page(self, storage: BillingStorage) -> None:
        """Pages follow each other without gap or repeat; other merchants' purchases are on none."""
        merchant = await registered(storage)
        purchases = await _five(storage, merchant)
        await _five(storage, await registered(storage))
        wanted = PurchaseFilter(merchant_id=merchant.merchant_id, limit=2)
        pages: list[list[Purchase]] = []

        for _ in range(4):
            pages.append(list(await storage.records.purchases(wanted)))
            wanted = replace(wanted, after=pages[-1][-1].purchase_id) if pages[-1] else wanted

        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert [each for page in pages for each in page] == purchases[::-1]

    async def test_purchases_can_be_listed_by_status(self, storage: BillingStorage) -> None:
        """Together with paging."""
        merchant = await registered(storage)
        purchases = await _five(storage, merchant)
        declined = [each for each in purchases if each.status is PurchaseStatus.DECLINED]
        wanted = PurchaseFilter(merchant_id=merchant.merchant_id, status=PurchaseStatus.DECLINED)

        everything = await storage.records.purchases(wanted)
        after = await storage.records.purchases(replace(wanted, after=declined[1].purchase_id))

        assert list(everything) == declined[::-1]
        assert list(after) == declined[:1]

    async def test_archived_purchases_are_listed_by_themselves(self, storage: BillingStorage) -> None:
        """Newest first, by status and page by page, as the live ones are; never in both lists."""
        merchant = await registered(storage)
        purchases = await _five(storage, merchant)
        async with storage.units() as uow:
            await uow.purchases.archive(MOMENT + 99 * DAY, 99)
            await uow.commit()
        archived = [each for each in purchases if not each.is_open]
        wanted = PurchaseFilter(merchant_id=merchant.merchant_id, archived=True)

        assert list(await storage.records.purchases(wanted)) == archived[::-1]
        assert list(await storage.records.purchases(replace(wanted, limit=1))) == archived[-1:]
        assert list(await storage.records.purchases(replace(wanted, after=archived[1].purchase_id))) == archived[:1]
        declined = replace(wanted, status=PurchaseStatus.DECLINED)
        assert {each.status for each in await storage.records.purchases(declined)} == {PurchaseStatus.DECLINED}
        live = await storage.records.purchases(replace(wanted, archived=False))
        assert list(live) == [each for each in purchases if each.is_open]

    async def test_totals_count_archived_purchases_too(self, storage: BillingStorage) -> None:
        """The figures are the same before and after archiving, and of this merchant alone."""
        merchant = await registered(storage)
        await _five(storage, await registered(storage))
        purchases = await _five(storage, merchant)

        before = await storage.records.totals(merchant.merchant_id)
        async with storage.units() as uow:
            moved = await uow.purchases.archive(MOMENT + 99 * DAY, 99)
            await uow.commit()
        after = await storage.records.totals(merchant.merchant_id)

        assert moved == 8
        for totals in (before, after):
            assert {status: count for status, count in totals.counts.items() if count} == {
                PurchaseStatus.PENDING: 1,
                PurchaseStatus.DECLINED: 2,
                PurchaseStatus.COMPLETED: 1,
                PurchaseStatus.PARTIALLY_REFUNDED: 1,
            }
            assert (totals.credits_purchased, totals.credits_reversed) == (110 + 1000, 40)
            assert totals.last == purchases[-1]


async def _five(storage: BillingStorage, merchant: Merchant) -> list[Purchase]:
    """Five purchases, oldest first: credits 100 + 10 and 1000 were paid, 40 taken back."""
    small = an_offer("small", credits=100, bonus_credits=10)
    purchases = [
        a_purchase(merchant, status=PurchaseStatus.DECLINED, created_at=MOMENT),
        a_purchase(merchant, status=PurchaseStatus.COMPLETED, created_at=MOMENT + DAY, offer=small),
        a_purchase(merchant, created_at=MOMENT + 2 * DAY),
        a_purchase(
            merchant,
            status=PurchaseStatus.PARTIALLY_REFUNDED,
            created_at=MOMENT + 3 * DAY,
            credits_reversed=40,
            refunded_minor=280,
        ),
        a_purchase(merchant, status=PurchaseStatus.DECLINED, created_at=MOMENT + 4 * DAY),
    ]
    await stored(storage, *purchases[::-1])
    return purchases
