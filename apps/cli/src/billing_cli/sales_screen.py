"""A report of sales as it is printed."""

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from billing_cli.terminal import Row, moment, print_table, say
from billing_core.domain.events import rfc3339
from billing_core.domain.sales import SalesLine, SalesReport, TrialLine

FIGURES = (
    "created", "open", "paid", "conversion", "sold", "given back", "disputed", "net", "credits", "taken back",
)  # fmt: skip
TRIAL_FIGURES = ("started", "bought", "conversion")
CSV_COLUMNS = (
    "key", "currency", "created", "open", "paid", "conversion", "sold", "refunded", "disputed", "net", "credits_sold",
    "credits_reversed",
)  # fmt: skip


def print_report(report: SalesReport) -> None:
    """This will print a table of the purchases and one of the trials; what was asked stands on stderr."""
    period, by = report.question.period, report.question.by
    counted = "test ones too" if report.question.test else "without test ones"
    say(f"Purchases created from {moment(period.since)} to {moment(period.until)}, {counted}, as they stand now.")
    names = [] if by in (None, "currency") else [by]
    lines = list(report.lines)
    if names and lines:
        lines += report.totals
    rows = [_row(each, named=bool(names)) for each in lines]
    columns = (*names, "currency", *FIGURES)
    print_table(columns, rows, nothing="Nobody chose a pack in that time.", figures=len(FIGURES))
    trials = list(report.trials) if len(report.trials) < 2 else [*report.trials, report.all_trials]
    if trials:
        sys.stdout.write("\n")
    keyed = by if by in ("platform", "day") else "trials"
    print_table(
        (keyed, *TRIAL_FIGURES),
        [(each.key, each.started, each.converted, _percent(each.conversion)) for each in trials],
        nothing="No trial started in that time.",
        figures=len(TRIAL_FIGURES),
    )


def write_csv(report: SalesReport) -> None:
    """This will write a line for each key and currency, without totals, for programs that add up themselves."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_values(each) for each in report.lines)


def document(report: SalesReport) -> dict[str, Any]:
    """The report for programs."""
    question = report.question
    return {
        "from": rfc3339(question.period.since),
        "to": rfc3339(question.period.until),
        "by": question.by,
        "test": question.test,
        "data": [_line(each) for each in report.lines],
        "totals": [_line(each) for each in report.totals],
        "trials": {**_trial_line(report.all_trials), "data": [_trial_line(each) for each in report.trials]},
    }


def _row(line: SalesLine, *, named: bool) -> Row:
    key, currency, created, open_, paid, conversion, *rest = _values(line)
    shown = (currency, created, open_, paid, f"{float(str(conversion)):.1%}", *rest)
    return (key if key != "all" else "total", *shown) if named else shown


def _values(line: SalesLine) -> Sequence[object]:
    """The line in the order of CSV_COLUMNS."""
    money = (line.paid_minor, line.refunded_minor, line.disputed_minor, line.net_minor)
    return (
        line.key,
        line.currency,
        line.created,
        line.open,
        line.paid,
        round(line.conversion, 4),
        *(line.amount(minor) for minor in money),
        line.credits_sold,
        line.credits_reversed,
    )


def _line(line: SalesLine) -> Mapping[str, Any]:
    def money(minor: int) -> Mapping[str, object]:
        return {"amount_minor": minor, "currency": line.currency, "amount": line.amount(minor)}

    return {
        "key": line.key,
        "currency": line.currency,
        "created": line.created,
        "open": line.open,
        "paid": line.paid,
        "conversion": round(line.conversion, 4),
        "sold": money(line.paid_minor),
        "refunded": money(line.refunded_minor),
        "disputed": money(line.disputed_minor),
        "net": money(line.net_minor),
        "credits_sold": line.credits_sold,
        "credits_reversed": line.credits_reversed,
    }


def _trial_line(line: TrialLine) -> dict[str, Any]:
    return {
        "key": line.key,
        "started": line.started,
        "converted": line.converted,
        "conversion": round(line.conversion, 4),
    }


def _percent(part: float) -> str:
    return f"{part:.1%}"
