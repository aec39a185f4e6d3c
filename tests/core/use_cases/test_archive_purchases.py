"""Purchases whose life ended long ago leave the hot table and stay within reach."""

from datetime import timedelta

from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW, ReviewFinding
from billing_core.testing import InMemoryBilling, a_caller, a_merchant, a_purchase
from billing_core.use_cases.archive_purchases import ArchivePurchases

TICK = timedelta(microseconds=1)


async def _stored(billing: InMemoryBilling, *purchases: Purchase) -> None:
    async with billing.storage.units() as uow:
        await uow.merchants.add([a_merchant(each.merchant_id) for each in purchases])
        await uow.purchases.add(list(purchases))
        await uow.commit()


class TestArchivePurchases:
    async def test_archives_90_days_after_the_end_and_not_before(self, billing: InMemoryBilling) -> None:
        """Ninety days and a moment."""
        ended = a_purchase(status=PurchaseStatus.EXPIRED)
        await _stored(billing, ended)
        assert ended.ended_at is not None

        early = await billing.archive_purchases(ended.ended_at + timedelta(days=90))
        late = await billing.archive_purchases(ended.ended_at + timedelta(days=90) + TICK)

        assert (early.done, late.done) == (0, 1)

    async def test_leaves_open_purchases_and_those_a_person_must_look_at(self, billing: InMemoryBilling) -> None:
        """What is not settled is not put away."""
        await _stored(
            billing,
            a_purchase(),
            a_purchase(status=PurchaseStatus.EXPIRED, review=NO_REVIEW.adding(ReviewFinding(reason="look"))),
        )
        billing.clock.advance(timedelta(days=400))

        assert (await billing.archive_purchases()).done == 0

    async def test_works_through_any_number_in_batches(self, billing: InMemoryBilling) -> None:
        """More than one batch is no hindrance, and a second run finds nothing."""
        await _stored(billing, *(a_purchase(status=PurchaseStatus.COMPLETED) for _ in range(5)))
        billing.clock.advance(timedelta(days=400))
        job = ArchivePurchases(units=billing.storage.units, clock=billing.clock, batch=2)

        assert ((await job()).done, (await job()).done) == (5, 0)

    async def test_an_archived_purchase_stays_readable_by_id(self, billing: InMemoryBilling) -> None:
        """The merchant finds it as before."""
        merchant = a_merchant()
        purchase = a_purchase(merchant, status=PurchaseStatus.COMPLETED)
        await _stored(billing, purchase)
        billing.clock.advance(timedelta(days=400))

        await billing.archive_purchases()

        assert purchase.purchase_id in billing.storage.tables.archive
        assert (await billing.read.purchase(a_caller(merchant), purchase.purchase_id)).id == purchase.purchase_id
