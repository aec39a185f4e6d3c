"""The contract of the reports."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing_core.domain.money import Money
from billing_core.domain.packs import Offer
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.sales import Period, SalesKey, SalesLine, SalesQuestion, TrialLine
from billing_core.domain.trials import TrialStatus
from billing_core.ports.reports import StoredPurchase
from billing_core.testing.builders import a_merchant, a_purchase, a_trial, an_offer
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered, stored

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
MIDNIGHT = MOMENT.replace(hour=0, minute=0, second=0, microsecond=0)
PERIOD = Period(since=MIDNIGHT, until=MIDNIGHT + 2 * DAY)
ALL = SalesQuestion(period=PERIOD)
# The largest amounts there are, so that three of them are more than any one price may be.
LARGE = Money(amount_minor=10**12, currency="VND")


class BillingReportsContract(StorageSuite):
    """Every promise of `BillingReports`."""

    async def test_where_there_is_nothing_nothing_is_told(self, storage: BillingStorage) -> None:
        """No lines of zeros."""
        assert list(await storage.reports.sales(ALL)) == []
        assert list(await storage.reports.trials(ALL)) == []
        assert await storage.reports.count_purchases(PERIOD) == 0
        assert list(await storage.reports.purchases(PERIOD, None, 10)) == []

    async def test_purchases_are_counted_by_how_they_stand(self, storage: BillingStorage) -> None:
        """Created, open and paid ones; money paid, given back and withheld; credits sold and taken back."""
        merchant = await registered(storage)
        bonus = an_offer(credits=100, bonus_credits=10, price=Money(amount_minor=1000, currency="USD"))
        given: list[dict[str, Any]] = [
            {},
            {"status": PurchaseStatus.CREATED},
            {"status": PurchaseStatus.DECLINED},
            {"status": PurchaseStatus.COMPLETED, "late": True},
            {"status": PurchaseStatus.COMPLETED, "paid_minor": 900, "refunded_minor": 0},
            {"status": PurchaseStatus.PARTIALLY_REFUNDED, "refunded_minor": 300, "credits_reversed": 33},
            {"status": PurchaseStatus.DISPUTED, "dispute": DisputeStatus.OPEN, "credits_reversed": 110},
            {
                "status": PurchaseStatus.REFUNDED,
                "dispute": DisputeStatus.LOST,
                "refunded_minor": 200,
                "credits_reversed": 110,
            },
            {"status": PurchaseStatus.COMPLETED, "dispute": DisputeStatus.WON},
        ]
        await stored(storage, *(a_purchase(merchant, offer=bonus, **values) for values in given))

        assert list(await storage.reports.sales(ALL)) == [
            SalesLine(
                key="all",
                currency="USD",
                created=9,
                open=2,
                paid=6,
                paid_minor=5900,
                refunded_minor=500,
                disputed_minor=1800,
                credits_sold=660,
                credits_reversed=253,
            )
        ]

    async def test_archived_purchases_count_as_before(self, storage: BillingStorage) -> None:
        """The figures, the count and the list are the same but for where the purchases are."""
        merchant = await registered(storage)
        purchases = [
            a_purchase(merchant, status=status)
            for status in (PurchaseStatus.COMPLETED, PurchaseStatus.DECLINED, PurchaseStatus.PENDING)
        ]
        await stored(storage, *purchases)
        before = list(await storage.reports.sales(ALL))

        async with storage.units() as uow:
            assert await uow.purchases.archive(MOMENT + 99 * DAY, 1) == 1
            await uow.commit()

        assert list(await storage.reports.sales(ALL)) == before
        assert await storage.reports.count_purchases(PERIOD) == 3
        listed = await storage.reports.purchases(PERIOD, None, 10)
        assert [each.purchase for each in listed] == purchases
        assert [each.archived for each in listed].count(True) == 1

    async def test_only_what_was_created_in_the_period_counts(self, storage: BillingStorage) -> None:
        """From its first microsecond on, up to its last one; for trials, when they started."""
        merchant = await registered(storage)
        moments = (MIDNIGHT - TICK, MIDNIGHT, MIDNIGHT + 2 * DAY - TICK, MIDNIGHT + 2 * DAY)
        purchases = [a_purchase(merchant, created_at=moment) for moment in moments]
        await stored(storage, *purchases)
        for moment in moments:
            await stored(storage, a_trial(merchant, started_at=moment, status=TrialStatus.EXPIRED))

        (line,) = await storage.reports.sales(ALL)
        listed = await storage.reports.purchases(PERIOD, None, 10)

        assert (line.created, await storage.reports.count_purchases(PERIOD)) == (2, 2)
        assert [each.purchase for each in listed] == purchases[1:3]
        assert list(await storage.reports.trials(ALL)) == [TrialLine(key="all", started=2, converted=0)]

    async def test_test_purchases_count_only_where_asked_for(self, storage: BillingStorage) -> None:
        """Goods bought for no money are no sales; they are listed all the same."""
        merchant = await registered(storage)
        await stored(storage, a_purchase(merchant, test=True), a_purchase(merchant))

        (real,) = await storage.reports.sales(ALL)
        (both,) = await storage.reports.sales(replace(ALL, test=True))

        assert (real.created, both.created) == (1, 2)
        assert await storage.reports.count_purchases(PERIOD) == 2

    @pytest.mark.parametrize(
        ("by", "keys"),
        [
            ("pack", {("large", "USD"): 2, ("small", "EUR"): 1, ("small", "USD"): 1}),
            ("platform", {("sandbox", "EUR"): 1, ("sandbox", "USD"): 2, ("stripe", "USD"): 1}),
            ("currency", {("EUR", "EUR"): 1, ("USD", "USD"): 3}),
            ("day", {("2026-01-01", "EUR"): 1, ("2026-01-01", "USD"): 1, ("2026-01-02", "USD"): 2}),
            (None, {("all", "EUR"): 1, ("all", "USD"): 3}),
        ],
    )
    async def test_lines_are_by_key_and_never_across_currencies(
        self, storage: BillingStorage, by: SalesKey | None, keys: dict[tuple[str, str], int]
    ) -> None:
        """Over all merchants; a day is a day of UTC."""
        one, other = await registered(storage), await registered(storage, a_merchant(platform="stripe"))
        euros = _small("EUR")
        first, second = MIDNIGHT, MIDNIGHT + DAY
        await stored(
            storage,
            a_purchase(one, offer=euros, created_at=first),
            a_purchase(one, created_at=second - TICK),
            a_purchase(one, created_at=second),
            a_purchase(other, offer=_small("USD"), created_at=second + DAY - TICK),
        )

        lines = await storage.reports.sales(replace(ALL, by=by))

        days = {"2026-01-01": f"{first:%Y-%m-%d}", "2026-01-02": f"{second:%Y-%m-%d}"}
        expected = {(days.get(key, key), currency): many for (key, currency), many in keys.items()}
        assert {(line.key, line.currency): line.created for line in lines} == expected
        assert len(lines) == len(expected)

    async def test_sums_may_be_larger_than_any_price(self, storage: BillingStorage) -> None:
        """A shop sells more than its dearest pack."""
        merchant = await registered(storage)
        offer = an_offer(price=LARGE, credits=10**9)
        await stored(storage, *(a_purchase(merchant, offer=offer, status=PurchaseStatus.COMPLETED) for _ in range(3)))

        (line,) = await storage.reports.sales(ALL)

        assert (line.paid_minor, line.credits_sold) == (3 * 10**12, 3 * 10**9)

    @pytest.mark.parametrize("by", ["platform", "day", "pack", "currency", None])
    async def test_trials_are_counted_by_what_they_have(self, storage: BillingStorage, by: SalesKey | None) -> None:
        """Platform and day; refused ones never began, and converted is who bought, whatever became of the trial."""
        one, other = await registered(storage), await registered(storage, a_merchant(platform="stripe"))
        bought = {"converted_at": MIDNIGHT + 3 * DAY}
        await stored(
            storage,
            a_trial(one, started_at=MIDNIGHT, status=TrialStatus.REFUSED),
            a_trial(one, started_at=MIDNIGHT, status=TrialStatus.EXPIRED, **bought),
            a_trial(one, started_at=MIDNIGHT + DAY, status=TrialStatus.ACTIVE),
            a_trial(other, started_at=MIDNIGHT + DAY, status=TrialStatus.CONVERTED, **bought),
        )

        lines = await storage.reports.trials(replace(ALL, by=by))

        first, second = f"{MIDNIGHT:%Y-%m-%d}", f"{MIDNIGHT + DAY:%Y-%m-%d}"
        expected = {"platform": {"sandbox": (2, 1), "stripe": (1, 1)}, "day": {first: (1, 1), second: (2, 1)}}
        told = {line.key: (line.started, line.converted) for line in lines}
        assert told == expected.get(by or "", {"all": (3, 2)})

    async def test_pages_follow_each_other_while_purchases_are_archived(self, storage: BillingStorage) -> None:
        """Each purchase comes once, by id, wherever it is when its page is asked for."""
        merchant = await registered(storage)
        purchases = [a_purchase(merchant, status=PurchaseStatus.EXPIRED) for _ in range(5)]
        await stored(storage, *purchases[::-1])
        pages: list[Sequence[StoredPurchase]] = []

        for _ in range(4):
            after = pages[-1][-1].purchase.purchase_id if pages and pages[-1] else None
            pages.append(await storage.reports.purchases(PERIOD, after, 2) if after or not pages else [])
            async with storage.units() as uow:
                await uow.purchases.archive(MOMENT + 99 * DAY, 1)
                await uow.commit()

        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert [each.purchase for page in pages for each in page] == purchases


def _small(currency: str) -> Offer:
    return an_offer("small", price=Money(amount_minor=999, currency=currency))
