"""Sales in figures: what is a part of what, and what is never added up."""

from datetime import timedelta
from typing import Any

import pytest

from billing_core.domain.sales import Period, SalesLine, SalesQuestion, SalesReport, TrialLine
from billing_core.testing.clock import MOMENT

PERIOD = Period(since=MOMENT, until=MOMENT + timedelta(days=1))


def a_line(key: str = "large", currency: str = "USD", **values: int) -> SalesLine:
    """Four purchases, three of them paid, with something given back."""
    figures: dict[str, Any] = {
        "created": 4, "open": 1, "paid": 3, "paid_minor": 3000, "refunded_minor": 250, "disputed_minor": 1000,
        "credits_sold": 300, "credits_reversed": 125,
    }  # fmt: skip
    return SalesLine(key=key, currency=currency, **figures | values)


class TestPeriod:
    @pytest.mark.parametrize("length", [timedelta(0), timedelta(microseconds=-1)])
    def test_begins_before_it_ends(self, length: timedelta) -> None:
        """An empty time has no sales to ask for."""
        with pytest.raises(ValueError, match=r"^a period begins before it ends$"):
            Period(since=MOMENT, until=MOMENT + length)


class TestSalesLine:
    def test_conversion_is_what_was_paid_of_what_was_created(self) -> None:
        """And of nothing it is nothing."""
        assert a_line().conversion == 0.75
        assert a_line(created=0, paid=0).conversion == 0.0

    def test_net_is_what_was_paid_and_is_still_there(self) -> None:
        """Without what was given back and what a dispute withholds."""
        assert a_line().net_minor == 1750

    @pytest.mark.parametrize(
        ("currency", "minor", "amount"),
        [("USD", 175000, "1750.00"), ("JPY", 3 * 10**12, "3000000000000"), ("KWD", -5, "-0.005")],
    )
    def test_amounts_have_their_currencys_decimals(self, currency: str, minor: int, amount: str) -> None:
        """Also sums beyond any price."""
        assert a_line(currency=currency).amount(minor) == amount


class TestTrialLine:
    def test_conversion_is_who_bought_of_who_started(self) -> None:
        """And of nothing it is nothing."""
        assert TrialLine(key="all", started=8, converted=2).conversion == 0.25
        assert TrialLine(key="all", started=0, converted=0).conversion == 0.0


class TestSalesReport:
    def test_puts_lines_in_order_and_adds_up_each_currency_by_itself(self) -> None:
        """By key, then by currency; the totals have every figure, and no currency has another's money."""
        lines = [a_line("small", "USD"), a_line("small", "EUR", created=9), a_line("large", "USD", created=5)]

        report = SalesReport.of(SalesQuestion(period=PERIOD, by="pack"), lines, [])

        assert [(each.key, each.currency) for each in report.lines] == [
            ("large", "USD"), ("small", "EUR"), ("small", "USD"),
        ]  # fmt: skip
        assert list(report.totals) == [
            a_line("all", "EUR", created=9),
            SalesLine(
                key="all",
                currency="USD",
                created=9,
                open=2,
                paid=6,
                paid_minor=6000,
                refunded_minor=500,
                disputed_minor=2000,
                credits_sold=600,
                credits_reversed=250,
            ),
        ]

    def test_adds_trials_up(self) -> None:
        """They have no currency."""
        trials = [TrialLine(key="stripe", started=3, converted=1), TrialLine(key="sandbox", started=5, converted=3)]

        report = SalesReport.of(SalesQuestion(period=PERIOD, by="platform"), [], trials)

        assert [each.key for each in report.trials] == ["sandbox", "stripe"]
        assert report.all_trials == TrialLine(key="all", started=8, converted=4)
        assert (list(report.lines), list(report.totals)) == ([], [])
