"""The contract of the purchases."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import Review, ReviewFinding
from billing_core.testing.builders import a_purchase, an_id, an_offer
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
ABOUT_ONE = ReviewFinding(reason="payment pay-3: it is of «EUR 2.00», grün", about="pay-größer: 3")
ABOUT_NONE = ReviewFinding(reason="its platform refuses to say")


class PurchasesContract(StorageSuite):
    """Every promise of `Purchases` but the claims and the archive."""

    async def test_every_field_of_a_purchase_comes_back(self, storage: BillingStorage) -> None:
        """A purchase is read as it was stored, its times in UTC to the microsecond."""
        purchase = a_purchase(
            await registered(storage),
            offer=an_offer(
                "grün", credits=10**9, bonus_credits=10**9, price=Money(amount_minor=10**12, currency="JPY")
            ),
            return_url="https://shop.example/zurück?a=1&b=%20",
            status=PurchaseStatus.DISPUTED,
            test=True,
            late=True,
            review=Review(
                findings=(
                    ReviewFinding(reason="the platform says «EUR 1.00» — not USD 69.99", about="pay-größer"),
                    ABOUT_ONE,
                    ABOUT_NONE,
                ),
                dismissed=("first, of «EUR 2.00»", "then another", "first, of «EUR 2.00»"),
            ),
            paid_minor=10**12,
            refunded_minor=5,
            dispute=DisputeStatus.OPEN,
            credits_reversed=2 * 10**9,
            completed_at=MOMENT + TICK,
            ended_at=MOMENT + 2 * TICK,
            observed_at=MOMENT + 3 * TICK,
            version=9,
        )

        await stored(storage, purchase)
        read = await storage.records.purchase(purchase.merchant_id, purchase.purchase_id)

        assert read == purchase
        assert read is not None
        assert read.completed_at is not None
        assert read.completed_at.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("status", list(PurchaseStatus))
    async def test_a_purchase_of_every_status_comes_back(self, storage: BillingStorage, status: PurchaseStatus) -> None:
        """Absent fields stay absent."""
        purchase = a_purchase(await registered(storage), status=status)

        await stored(storage, purchase)

        async with storage.units() as uow:
            assert await uow.purchases.get(purchase.merchant_id, purchase.purchase_id) == purchase

    @pytest.mark.parametrize("dismissed", [(), ("one",), tuple(f"finding {number}" for number in (3, 1, 5, 2, 4))])
    async def test_what_a_person_decided_comes_back(self, storage: BillingStorage, dismissed: tuple[str, ...]) -> None:
        """None, one or several dismissed findings in their order; nothing in question, nothing paid is not no text
        and not zero."""
        merchant = await registered(storage)
        in_question = ReviewFinding(reason="payment pay-2: it is not the one this purchase was given", about="pay-2")
        undecided = a_purchase(merchant, review=Review(dismissed=dismissed))
        decided = a_purchase(
            merchant,
            status=PurchaseStatus.COMPLETED,
            review=Review(findings=(in_question,), dismissed=dismissed),
            paid_minor=0,
        )

        await stored(storage, undecided, decided)

        for purchase in (undecided, decided):
            read = await storage.records.purchase(purchase.merchant_id, purchase.purchase_id)
            assert read == purchase
            async with storage.units() as uow:
                assert await uow.purchases.get(purchase.merchant_id, purchase.purchase_id) == purchase

    @pytest.mark.parametrize("about", [None, "pay-2"])
    @pytest.mark.parametrize("further", [(), (ABOUT_ONE,), (ABOUT_NONE,), (ABOUT_NONE, ABOUT_ONE) * 2])
    async def test_every_finding_that_waits_for_a_person_comes_back(
        self, storage: BillingStorage, further: tuple[ReviewFinding, ...], about: str | None
    ) -> None:
        """None, one or several behind the first in their order, each about a payment or about none; answered, it is
        gone."""
        merchant = await registered(storage)
        asked = a_purchase(merchant, review=Review(findings=(ReviewFinding(reason="odd", about=about), *further)))
        await stored(storage, asked)
        key = (asked.merchant_id, asked.purchase_id)

        read = await storage.records.purchase(*key)
        async with storage.units() as uow:
            held = (await uow.purchases.lock([key]))[asked.purchase_id]
            answered = replace(held, review=Review(findings=held.review.findings[1:]), version=held.version + 1)
            await uow.purchases.save([answered])
            await uow.commit()

        assert read == held == asked
        assert held.review.findings == (ReviewFinding(reason="odd", about=about), *further)
        assert await storage.records.purchase(*key) == answered

    async def test_get_answers_for_the_owner_alone(self, storage: BillingStorage) -> None:
        """Another merchant's purchase is as unknown as one that does not exist."""
        purchase = a_purchase(await registered(storage))
        other = await registered(storage)
        await stored(storage, purchase)

        async with storage.units() as uow:
            assert await uow.purchases.get(other.merchant_id, purchase.purchase_id) is None
            assert await uow.purchases.get(purchase.merchant_id, an_id()) is None

    async def test_open_of_gives_the_merchants_open_purchases_newest_first(self, storage: BillingStorage) -> None:
        """Ended ones and other merchants' are left out."""
        merchant = await registered(storage)
        created = a_purchase(merchant, status=PurchaseStatus.CREATED)
        pending = a_purchase(merchant, created_at=MOMENT + HOUR)
        oldest = a_purchase(merchant, created_at=MOMENT - HOUR)
        ended = a_purchase(merchant, status=PurchaseStatus.COMPLETED)
        elsewhere = a_purchase(await registered(storage))
        await stored(storage, oldest, pending, created, ended, elsewhere)

        async with storage.units() as uow:
            assert list(await uow.purchases.open_of(merchant.merchant_id)) == [pending, created, oldest]

    async def test_lock_gives_the_owners_purchases_and_leaves_out_the_rest(self, storage: BillingStorage) -> None:
        """Unknown ids and ids under another merchant are left out, repeats counted once."""
        one, other = a_purchase(await registered(storage)), a_purchase(await registered(storage))
        await stored(storage, one, other)
        mine = (one.merchant_id, one.purchase_id)

        async with storage.units() as uow:
            held = await uow.purchases.lock(
                [mine, mine, (one.merchant_id, other.purchase_id), (one.merchant_id, an_id())]
            )
            nothing = await uow.purchases.lock([])

        assert held == {one.purchase_id: one}
        assert nothing == {}

    async def test_a_locked_purchase_makes_the_next_unit_wait(self, storage: BillingStorage) -> None:
        """The second unit gets it when the first has ended, as the first saved it."""
        purchase = a_purchase(await registered(storage))
        await stored(storage, purchase)
        paid = _paid(purchase)
        wanted = [(purchase.merchant_id, purchase.purchase_id)]

        async def lock() -> Mapping[UUID, Purchase]:
            async with storage.units() as second:
                return await second.purchases.lock(wanted)

        async with storage.units() as first:
            await first.purchases.lock(wanted)
            await first.purchases.save([paid])
            waiting = await self.stays_waiting(lock())
            await first.commit()

        assert await in_time(waiting) == {purchase.purchase_id: paid}

    async def test_two_batches_in_opposite_order_never_deadlock(self, storage: BillingStorage) -> None:
        """Rows are taken in one order, whatever the order asked for; every unit ends."""
        merchant = await registered(storage)
        purchases = [a_purchase(merchant) for _ in range(8)]
        await stored(storage, *purchases)
        wanted = [(merchant.merchant_id, each.purchase_id) for each in purchases]

        async def touch(order: list[tuple[str, UUID]]) -> int:
            async with storage.units() as uow:
                held = await uow.purchases.lock(order)
                await uow.purchases.save([replace(each, version=each.version + 1) for each in held.values()])
                await uow.commit()
                return len(held)

        counts = await asyncio.gather(*(touch(wanted[::step]) for step in (1, -1) * 4))

        assert counts == [8] * 8
        versions = {(await storage.records.purchase(*each)).version for each in wanted}  # type: ignore[union-attr]  # they exist
        assert versions == {purchases[0].version + 8}

    async def test_saved_purchases_are_stored_whole(self, storage: BillingStorage) -> None:
        """Every field that can change is replaced, for every purchase of the batch."""
        merchant = await registered(storage)
        purchases = [a_purchase(merchant, status=PurchaseStatus.CREATED) for _ in range(3)]
        await stored(storage, *purchases)
        changed = [
            replace(
                _paid(each),
                platform_reference=f"ref-{each.purchase_id}",
                checkout_url="https://pay.example/x",
                test=True,
                late=True,
                review=Review(
                    findings=(ReviewFinding(reason="odd", about="ref-of-another"), ABOUT_NONE, ABOUT_ONE),
                    dismissed=("odder", "oddest"),
                ),
                paid_minor=8,
                refunded_minor=7,
                dispute=DisputeStatus.WON,
                credits_reversed=3,
                observed_at=MOMENT + TICK,
            )
            for each in purchases
        ]

        async with storage.units() as uow:
            await uow.purchases.lock([(merchant.merchant_id, each.purchase_id) for each in purchases])
            await uow.purchases.save(changed)
            await uow.purchases.save([])
            await uow.commit()

        read = [await storage.records.purchase(merchant.merchant_id, each.purchase_id) for each in purchases]
        assert read == changed

    async def test_due_for_check_gives_those_that_were_called_off_while_they_can_be_paid(
        self, storage: BillingStorage
    ) -> None:
        """With a check time like an open one, without it never; a paid one never, saved or stored."""
        merchant = await registered(storage)
        called_off = a_purchase(merchant, status=PurchaseStatus.CANCELLED, check_at=MOMENT - HOUR)
        paid_later = a_purchase(merchant, status=PurchaseStatus.CANCELLED, check_at=MOMENT - HOUR)
        over = a_purchase(merchant, status=PurchaseStatus.CANCELLED)
        paid = a_purchase(merchant, status=PurchaseStatus.COMPLETED)
        open_ = a_purchase(merchant, check_at=MOMENT)
        await stored(storage, called_off, paid_later, over, paid, open_)

        async with storage.units() as uow:
            await uow.purchases.lock([(merchant.merchant_id, paid_later.purchase_id)])
            await uow.purchases.save([_paid(paid_later)])
            await uow.commit()

        async with storage.units() as uow:
            assert list(await uow.purchases.due_for_check(MOMENT, 10)) == [called_off, open_]
            assert called_off not in await uow.purchases.open_of(merchant.merchant_id)
            assert called_off not in await uow.purchases.past_deadline(called_off.expires_at, 10)

    async def test_due_for_check_gives_open_purchases_longest_due_first(self, storage: BillingStorage) -> None:
        """The moment itself counts; later and ended ones are left out, and no more than the limit given."""
        merchant = await registered(storage)
        due = [a_purchase(merchant, check_at=MOMENT - n * HOUR) for n in (0, 2, 1)]
        later = a_purchase(merchant, check_at=MOMENT + TICK)
        await stored(storage, *due, later, a_purchase(merchant, status=PurchaseStatus.EXPIRED))

        async with storage.units() as uow:
            everything = await uow.purchases.due_for_check(MOMENT, 10)
            limited = await uow.purchases.due_for_check(MOMENT, 2)

        assert list(everything) == [due[1], due[2], due[0]]
        assert list(limited) == [due[1], due[2]]

    async def test_past_deadline_gives_open_purchases_by_id_after_the_last(self, storage: BillingStorage) -> None:
        """`expires_at <= now` counts; pages follow each other without a gap."""
        merchant = await registered(storage)
        past = [a_purchase(merchant, expires_at=MOMENT - n * HOUR) for n in (0, 2, 1)]
        open_still = a_purchase(merchant, expires_at=MOMENT + TICK)
        over = a_purchase(merchant, expires_at=MOMENT, status=PurchaseStatus.EXPIRED)
        await stored(storage, *past, open_still, over)

        async with storage.units() as uow:
            first = await uow.purchases.past_deadline(MOMENT, 2)
            second = await uow.purchases.past_deadline(MOMENT, 2, first[-1].purchase_id)

        assert [*first, *second] == past

    async def test_listing_open_work_waits_for_nobody(self, storage: BillingStorage) -> None:
        """What another unit holds is listed all the same: these reads do not hold."""
        merchant = await registered(storage)
        purchase = a_purchase(merchant, expires_at=MOMENT, check_at=MOMENT)
        await stored(storage, purchase)

        async with storage.units() as holder, storage.units() as reader:
            await holder.purchases.lock([(merchant.merchant_id, purchase.purchase_id)])
            due = await asyncio.wait_for(reader.purchases.due_for_check(MOMENT, 1), 20)
            past = await asyncio.wait_for(reader.purchases.past_deadline(MOMENT, 1), 20)
            mine = await asyncio.wait_for(reader.purchases.open_of(merchant.merchant_id), 20)

        assert list(due) == list(past) == list(mine) == [purchase]


def _paid(purchase: Purchase) -> Purchase:
    return replace(
        purchase,
        status=PurchaseStatus.COMPLETED,
        completed_at=MOMENT + HOUR,
        ended_at=MOMENT + HOUR,
        check_at=None,
        version=purchase.version + 1,
    )
