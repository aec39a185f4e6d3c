"""The contract of the read side."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.ports.records import Overview, PurchaseFilter, PurchasesFound, PurchaseTotals
from billing_core.testing.builders import a_merchant, a_purchase, a_trial, an_id, an_offer
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered, stored
from billing_core.views import PurchaseSummary

DAY = timedelta(days=1)


class BillingRecordsContract(StorageSuite):
    """Every promise of `BillingRecords`."""

    async def test_what_is_unknown_is_none_or_empty(self, storage: BillingStorage) -> None:
        """A merchant nobody announced has nothing."""
        records = storage.records

        assert await records.merchant("nobody") is None
        assert await records.trial("nobody") is None
        assert await records.purchase("nobody", an_id()) is None
        assert await records.purchases(PurchaseFilter(merchant_id="nobody")) == PurchasesFound(
            platform=None, purchases=[]
        )
        assert list(await records.history("nobody", an_id())) == []
        assert not await records.trial_claimed("nobody")
        assert await records.overview("nobody") is None

    async def test_a_merchant_that_was_only_announced_has_an_empty_overview(self, storage: BillingStorage) -> None:
        """No trial, no purchase, and the merchant itself; its list says which platform it is on."""
        merchant = await registered(storage)

        overview = await storage.records.overview(merchant.merchant_id)
        found = await storage.records.purchases(PurchaseFilter(merchant_id=merchant.merchant_id))

        nothing = PurchaseTotals(counts={}, credits_purchased=0, credits_reversed=0, last=None)
        assert overview == Overview(merchant=merchant, trial=None, trial_claimed=False, totals=nothing)
        assert not await storage.records.trial_claimed(merchant.merchant_id)
        assert found == PurchasesFound(platform=merchant.platform, purchases=[])

    async def test_the_overview_has_the_newest_trial_and_the_claim(self, storage: BillingStorage) -> None:
        """The claim is the platform account's, also where the trial was another merchant's of it."""
        first = await registered(storage)
        second = await registered(storage, a_merchant(platform_account_id=first.platform_account_id))
        await stored(storage, trial := a_trial(first))
        async with storage.units() as uow:
            assert await uow.trials.claim(trial)
            await uow.commit()

        of_first = await storage.records.overview(first.merchant_id)
        of_second = await storage.records.overview(second.merchant_id)

        assert of_first is not None
        assert of_second is not None
        assert (of_first.trial, of_first.trial_claimed) == (trial, True)
        assert (of_second.trial, of_second.trial_claimed) == (None, True)
        assert await storage.records.trial_claimed(second.merchant_id)

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
        pages: list[list[PurchaseSummary]] = []

        for _ in range(4):
            pages.append(await _listed(storage, wanted))
            wanted = replace(wanted, after=pages[-1][-1].purchase_id) if pages[-1] else wanted

        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert [each for page in pages for each in page] == _summaries(purchases[::-1])

    async def test_purchases_can_be_listed_by_status(self, storage: BillingStorage) -> None:
        """Together with paging."""
        merchant = await registered(storage)
        purchases = await _five(storage, merchant)
        declined = [each for each in purchases if each.status is PurchaseStatus.DECLINED]
        wanted = PurchaseFilter(merchant_id=merchant.merchant_id, status=PurchaseStatus.DECLINED)

        everything = await _listed(storage, wanted)
        after = await _listed(storage, replace(wanted, after=declined[1].purchase_id))

        assert everything == _summaries(declined[::-1])
        assert after == _summaries(declined[:1])

    async def test_archived_purchases_are_listed_by_themselves(self, storage: BillingStorage) -> None:
        """Newest first, by status and page by page, as the live ones are; never in both lists."""
        merchant = await registered(storage)
        purchases = await _five(storage, merchant)
        async with storage.units() as uow:
            await uow.purchases.archive(MOMENT + 99 * DAY, 99)
            await uow.commit()
        archived = [each for each in purchases if not each.is_open]
        wanted = PurchaseFilter(merchant_id=merchant.merchant_id, archived=True)

        assert await _listed(storage, wanted) == _summaries(archived[::-1])
        assert await _listed(storage, replace(wanted, limit=1)) == _summaries(archived[-1:])
        assert await _listed(storage, replace(wanted, after=archived[1].purchase_id)) == _summaries(archived[:1])
        declined = replace(wanted, status=PurchaseStatus.DECLINED)
        assert {each.status for each in await _listed(storage, declined)} == {PurchaseStatus.DECLINED}
        live = await _listed(storage, replace(wanted, archived=False))
        assert live == _summaries([each for each in purchases if each.is_open])

    async def test_totals_count_archived_purchases_too(self, storage: BillingStorage) -> None:
        """The figures are the same before and after archiving, and of this merchant alone."""
        merchant = await registered(storage)
        await _five(storage, await registered(storage))
        purchases = await _five(storage, merchant)

        before = await storage.records.overview(merchant.merchant_id)
        async with storage.units() as uow:
            moved = await uow.purchases.archive(MOMENT + 99 * DAY, 99)
            await uow.commit()
        after = await storage.records.overview(merchant.merchant_id)

        assert moved == 8
        for overview in (before, after):
            assert overview is not None
            totals = overview.totals
            assert {status: count for status, count in totals.counts.items() if count} == {
                PurchaseStatus.PENDING: 1,
                PurchaseStatus.DECLINED: 2,
                PurchaseStatus.COMPLETED: 1,
                PurchaseStatus.PARTIALLY_REFUNDED: 1,
            }
            assert (totals.credits_purchased, totals.credits_reversed) == (110 + 1000, 40)
            assert totals.last == PurchaseSummary.of(purchases[-1])


async def _listed(storage: BillingStorage, wanted: PurchaseFilter) -> list[PurchaseSummary]:
    return list((await storage.records.purchases(wanted)).purchases)


def _summaries(purchases: Sequence[Purchase]) -> list[PurchaseSummary]:
    return [PurchaseSummary.of(each) for each in purchases]


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
