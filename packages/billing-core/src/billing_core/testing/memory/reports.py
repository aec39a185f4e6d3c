"""Questions about everything, in memory."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import Purchase
from billing_core.domain.sales import EVERYTHING, Period, SalesLine, SalesQuestion, TrialLine
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.ports.reports import StoredPurchase
from billing_core.testing.memory.tables import Tables

_WITHHELD = (DisputeStatus.OPEN, DisputeStatus.LOST)


class InMemoryReports:
    """Answers from what is committed."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def sales(self, question: SalesQuestion) -> Sequence[SalesLine]:
        """See `BillingReports.sales`."""
        groups: dict[tuple[str, str], list[Purchase]] = defaultdict(list)
        for stored in self._created_in(question.period):
            purchase = stored.purchase
            if question.test or not purchase.test:
                groups[_key_of(purchase, question), purchase.offer.price.currency].append(purchase)
        return [_line(key, currency, purchases) for (key, currency), purchases in groups.items()]

    async def trials(self, question: SalesQuestion) -> Sequence[TrialLine]:
        """See `BillingReports.trials`."""
        groups: dict[str, list[Trial]] = defaultdict(list)
        for trial in self._tables.trials.values():
            if _is_in(trial.started_at, question.period) and trial.status is not TrialStatus.REFUSED:
                groups[_trial_key_of(trial, question)].append(trial)
        return [
            TrialLine(key=key, started=len(trials), converted=sum(each.converted_at is not None for each in trials))
            for key, trials in groups.items()
        ]

    async def count_purchases(self, period: Period) -> int:
        """See `BillingReports.count_purchases`."""
        return sum(1 for _ in self._created_in(period))

    async def purchases(self, period: Period, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """See `BillingReports.purchases`."""
        created = sorted(self._created_in(period), key=lambda each: each.purchase.purchase_id)
        return [each for each in created if after is None or each.purchase.purchase_id > after][:limit]

    def _created_in(self, period: Period) -> Iterator[StoredPurchase]:
        for table, archived in ((self._tables.purchases, False), (self._tables.archive, True)):
            for purchase in table.values():
                if _is_in(purchase.created_at, period):
                    yield StoredPurchase(purchase=purchase, archived=archived)


def _is_in(moment: datetime, period: Period) -> bool:
    return period.since <= moment < period.until


def _key_of(purchase: Purchase, question: SalesQuestion) -> str:
    keys = {
        "pack": purchase.offer.pack,
        "platform": purchase.platform,
        "currency": purchase.offer.price.currency,
        "day": _day(purchase.created_at),
    }
    return EVERYTHING if question.by is None else keys[question.by]


def _trial_key_of(trial: Trial, question: SalesQuestion) -> str:
    return {"platform": trial.platform, "day": _day(trial.started_at)}.get(question.by or "", EVERYTHING)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _line(key: str, currency: str, purchases: Sequence[Purchase]) -> SalesLine:
    paid = [each for each in purchases if each.is_paid]
    return SalesLine(
        key=key,
        currency=currency,
        created=len(purchases),
        open=sum(each.is_open for each in purchases),
        paid=len(paid),
        paid_minor=sum(map(_paid_minor, paid)),
        refunded_minor=sum(each.refunded_minor for each in paid),
        disputed_minor=sum(_paid_minor(each) - each.refunded_minor for each in paid if each.dispute in _WITHHELD),
        credits_sold=sum(each.offer.total_credits for each in paid),
        credits_reversed=sum(each.credits_reversed for each in paid),
    )


def _paid_minor(purchase: Purchase) -> int:
    return purchase.offer.price.amount_minor if purchase.paid_minor is None else purchase.paid_minor
