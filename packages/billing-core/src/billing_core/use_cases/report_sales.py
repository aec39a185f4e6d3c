"""Tell what was sold in a time."""

from billing_core.domain.sales import SalesQuestion, SalesReport
from billing_core.ports.reports import BillingReports


class ReportSales:
    """Answers with sales and conversion in figures."""

    def __init__(self, *, reports: BillingReports) -> None:
        self._reports = reports

    async def __call__(self, question: SalesQuestion) -> SalesReport:
        """This will ask storage for the figures, two questions whatever the number of merchants, and add them up."""
        return SalesReport.of(question, await self._reports.sales(question), await self._reports.trials(question))
