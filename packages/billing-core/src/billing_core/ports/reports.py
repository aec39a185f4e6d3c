"""What is asked about all merchants at once: figures, and every purchase one after the other. No locks are taken.

Archived purchases are in every answer. Any method may raise StorageUnavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from billing_core.domain.purchases import Purchase
from billing_core.domain.sales import Period, SalesLine, SalesQuestion, TrialLine


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPurchase:
    """A purchase, and whether it was moved to the archive."""

    purchase: Purchase
    archived: bool


class BillingReports(Protocol):
    """Questions about everything there is."""

    async def sales(self, question: SalesQuestion) -> Sequence[SalesLine]:
        """The purchases created in the period, a line for each key and currency that has any, in no order. Days are
        UTC's."""
        ...

    async def trials(self, question: SalesQuestion) -> Sequence[TrialLine]:
        """The trials started in the period, a line for each platform or day that has any; all in one line where they
        are asked for by what trials have not. Refused ones are none."""
        ...

    async def count_purchases(self, period: Period) -> int:
        """How many purchases were created in the period."""
        ...

    async def purchases(self, period: Period, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """Up to `limit` purchases created in the period, by id, those after `after`. Asked for page by page, each
        purchase comes once, also where one is archived or brought back in between."""
        ...
