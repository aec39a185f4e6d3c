"""Give every purchase of a time, one page after the other."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from billing_core.domain.sales import Period
from billing_core.ports.reports import BillingReports, StoredPurchase

PAGE = 2_000


class ExportPurchases:
    """Streams purchases; never more than a page of them is held."""

    def __init__(self, *, reports: BillingReports, page: int = PAGE) -> None:
        self._reports, self._page = reports, page

    async def count(self, period: Period) -> int:
        """How many there are to come."""
        return await self._reports.count_purchases(period)

    async def pages(self, period: Period) -> AsyncIterator[Sequence[StoredPurchase]]:
        """This will give all purchases created in the period, by id, in pages; what is created later is in none."""
        after: UUID | None = None
        while page := await self._reports.purchases(period, after, self._page):
            yield page
            after = page[-1].purchase.purchase_id
