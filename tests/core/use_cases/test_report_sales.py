"""What was sold is told as it stands now, and an export gives every purchase once."""

from datetime import timedelta

import pytest

from billing_core.domain.sales import Period, SalesQuestion
from billing_core.testing import InMemoryBilling
from billing_core.use_cases.export_purchases import ExportPurchases

DAY = timedelta(days=1)


@pytest.fixture
async def period(billing: InMemoryBilling) -> Period:
    """A day in which a merchant on trial bought twice and paid once, and a half was given back."""
    caller = await billing.register()
    await billing.activate_trial(caller, "key-1")
    paid, _ = await billing.buy(caller, "large"), await billing.buy(caller, "small")
    await billing.pay(paid)
    billing.platform.refund(str(paid.platform_reference), 3500)
    await billing.notify(str(paid.platform_reference))
    return Period(since=billing.clock.now() - DAY, until=billing.clock.now() + DAY)


class TestReportSales:
    async def test_tells_sales_and_conversion(self, billing: InMemoryBilling, period: Period) -> None:
        """Created to paid, trial to paid, money in, money back."""
        report = await billing.report_sales(SalesQuestion(period=period, by="pack"))

        told = [(each.key, each.created, each.paid, each.net_minor, each.credits_reversed) for each in report.lines]
        assert told == [("large", 1, 1, 3499, 501), ("small", 1, 0, 0, 0)]
        (total,) = report.totals
        assert (total.conversion, total.open, total.amount(total.net_minor)) == (0.5, 1, "34.99")
        assert (report.all_trials.started, report.all_trials.converted) == (1, 1)
        assert report.question.by == "pack"

    async def test_of_another_time_nothing(self, billing: InMemoryBilling, period: Period) -> None:
        """No line, no total."""
        before = Period(since=period.since - DAY, until=period.since)

        report = await billing.report_sales(SalesQuestion(period=before))

        assert (list(report.lines), list(report.totals), report.all_trials.started) == ([], [], 0)


class TestExportPurchases:
    @pytest.mark.parametrize("page", [1, 2, 3, 7])
    async def test_gives_every_purchase_once_whatever_the_page(self, billing: InMemoryBilling, page: int) -> None:
        """In the order they were made, archived ones among them, in pages of no more than asked for."""
        bought = [await billing.buy(await billing.register()) for _ in range(6)]
        await billing.pay(bought[0])
        billing.clock.advance(91 * DAY)
        await billing.archive_purchases()
        bought.append(await billing.buy(await billing.register()))
        period = Period(since=billing.clock.now() - 99 * DAY, until=billing.clock.now() + DAY)
        export = ExportPurchases(reports=billing.storage.reports, page=page)

        pages = [list(each) async for each in export.pages(period)]

        given = [each for some in pages for each in some]
        assert [each.purchase.purchase_id for each in given] == [each.id for each in bought]
        assert [each.archived for each in given] == [True] + [False] * 6
        assert max(map(len, pages)) <= page
        assert await export.count(period) == 7

    async def test_of_another_time_no_page(self, billing: InMemoryBilling, period: Period) -> None:
        """Not even an empty one."""
        before = Period(since=period.since - DAY, until=period.since)

        assert [each async for each in billing.export_purchases.pages(before)] == []
