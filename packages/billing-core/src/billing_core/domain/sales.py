"""Sales in figures: what was bought in a time, how much of it was paid and given back, and how many trials led to it.

A purchase counts in the time it was created in, with how it stands now; so what was paid is a part of what was created.
Money of different currencies is never added up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Literal, get_args

from billing_core.domain.money import decimal_amount

SalesKey = Literal["pack", "platform", "currency", "day"]
SALES_KEYS: tuple[SalesKey, ...] = get_args(SalesKey)
EVERYTHING = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A half-open time: from `since` on, up to `until` and without it."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ValueError("a period begins before it ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesQuestion:
    """Which sales, and by what (None: all together). Test purchases count only where `test` says so."""

    period: Period
    by: SalesKey | None = None
    test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesLine:
    """The purchases of one key in one currency.

    `paid_minor` is what was paid, of which `refunded_minor` was given back and `disputed_minor` is withheld by an open
    or lost dispute. `credits_reversed` were taken back of the `credits_sold`.
    """

    key: str
    currency: str
    created: int
    open: int
    paid: int
    paid_minor: int
    refunded_minor: int
    disputed_minor: int
    credits_sold: int
    credits_reversed: int

    @property
    def conversion(self) -> float:
        """Which part of what was created is paid by now, from 0 to 1."""
        return _part(self.paid, self.created)

    @property
    def net_minor(self) -> int:
        """What was paid and is still there."""
        return self.paid_minor - self.refunded_minor - self.disputed_minor

    def amount(self, minor: int) -> str:
        """An amount of this line as people write it."""
        return decimal_amount(minor, self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """The trials of one key that started, and of how many the merchant bought while it ran (contract §5)."""

    key: str
    started: int
    converted: int

    @property
    def conversion(self) -> float:
        """Which part of the trials led to a purchase, from 0 to 1."""
        return _part(self.converted, self.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesReport:
    """The answer: lines by key and currency, a total for each currency, and the trials."""

    question: SalesQuestion
    lines: Sequence[SalesLine]
    totals: Sequence[SalesLine]
    trials: Sequence[TrialLine]
    all_trials: TrialLine

    @classmethod
    def of(cls, question: SalesQuestion, lines: Iterable[SalesLine], trials: Iterable[TrialLine]) -> "SalesReport":
        """This will put the lines in order and add them up."""
        ordered = sorted(lines, key=attrgetter("key", "currency"))
        begun = sorted(trials, key=attrgetter("key"))
        currencies = sorted({each.currency for each in ordered})
        return cls(
            question=question,
            lines=ordered,
            totals=[_total([each for each in ordered if each.currency == currency]) for currency in currencies],
            trials=begun,
            all_trials=TrialLine(
                key=EVERYTHING,
                started=sum(each.started for each in begun),
                converted=sum(each.converted for each in begun),
            ),
        )


def _total(lines: Sequence[SalesLine]) -> SalesLine:
    return SalesLine(
        key=EVERYTHING,
        currency=lines[0].currency,
        created=sum(each.created for each in lines),
        open=sum(each.open for each in lines),
        paid=sum(each.paid for each in lines),
        paid_minor=sum(each.paid_minor for each in lines),
        refunded_minor=sum(each.refunded_minor for each in lines),
        disputed_minor=sum(each.disputed_minor for each in lines),
        credits_sold=sum(each.credits_sold for each in lines),
        credits_reversed=sum(each.credits_reversed for each in lines),
    )


def _part(some: int, of: int) -> float:
    return some / of if of else 0.0
