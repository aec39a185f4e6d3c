"""What was sold, as table, CSV, JSON and picture, on a real Postgres."""

import csv
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.apps.cli.conftest import Billing, environment_of, in_database

from billing_cli.commands.report import A_MONTH
from billing_cli.sales_picture import draw
from billing_core.domain.money import Money
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.sales import Period, SalesLine, SalesQuestion, SalesReport
from billing_core.domain.trials import TrialStatus
from billing_core.ports.storage import UnitOfWork
from billing_core.testing.builders import a_merchant, a_purchase, a_trial, an_offer

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PNG = b"\x89PNG\r\n\x1a\n"


async def _fill(uow: UnitOfWork) -> None:
    """Two shops: packs in two currencies, one half given back, one archived, one for a test, two trials."""
    one, other = a_merchant("m-1", platform="shopify"), a_merchant("m-2", platform="stripe")
    euros = an_offer("small", credits=100, price=Money(amount_minor=949, currency="EUR"))
    paid, half = PurchaseStatus.COMPLETED, PurchaseStatus.PARTIALLY_REFUNDED
    at = NOW - 2 * DAY
    await uow.merchants.add([one, other])
    await uow.trials.add([a_trial(one, started_at=at, converted_at=NOW), a_trial(other, started_at=at - 20 * DAY)])
    await uow.trials.add([a_trial(a_merchant("m-1"), started_at=at, status=TrialStatus.REFUSED)])
    await uow.purchases.add(
        [
            a_purchase(one, created_at=at, status=paid),
            a_purchase(one, created_at=at, status=half, refunded_minor=3500, credits_reversed=501),
            a_purchase(one, created_at=NOW - DAY),
            a_purchase(other, created_at=at, status=paid, offer=euros),
            a_purchase(other, created_at=at, status=PurchaseStatus.EXPIRED, offer=euros),
            a_purchase(other, created_at=at, status=paid, test=True),
            a_purchase(other, created_at=NOW - 40 * DAY, status=paid),
        ]
    )
    assert await uow.purchases.archive(NOW - 39 * DAY, 9) == 1
    await uow.commit()


@pytest.fixture
def billing(billing: Billing, database_url: str) -> Billing:
    """The command, on the books of two shops."""
    in_database(database_url, _fill)
    return billing


def figures(report: dict[str, Any]) -> list[tuple[object, ...]]:
    """Key, currency, created, paid, net."""
    return [
        (each["key"], each["currency"], each["created"], each["paid"], each["net"]["amount"]) for each in report["data"]
    ]


class TestSales:
    def test_the_last_30_days_are_told_by_currency(self, billing: Billing) -> None:
        """Without test purchases; refunds and credits taken back are shown, and trials that led to a purchase."""
        report = billing.json("report", "sales")

        assert figures(report) == [("all", "EUR", 2, 1, "9.49"), ("all", "USD", 3, 2, "104.98")]
        euros, dollars = report["data"]
        assert (euros["conversion"], dollars["open"], dollars["sold"]["amount"]) == (0.5, 1, "139.98")
        assert (dollars["refunded"]["amount_minor"], dollars["credits_sold"], dollars["credits_reversed"]) == (
            3500,
            2000,
            501,
        )
        assert report["trials"] == {
            "key": "all", "started": 2, "converted": 1, "conversion": 0.5,
            "data": [{"key": "all", "started": 2, "converted": 1, "conversion": 0.5}],
        }  # fmt: skip
        assert datetime.fromisoformat(report["to"]) - datetime.fromisoformat(report["from"]) == A_MONTH
        assert (report["by"], report["test"], report["plot"]) == (None, False, None)

    @pytest.mark.parametrize(
        ("by", "keys"),
        [
            ("pack", [("large", "USD"), ("small", "EUR")]),
            ("platform", [("shopify", "USD"), ("stripe", "EUR")]),
            ("currency", [("EUR", "EUR"), ("USD", "USD")]),
            ("day", [(f"{NOW - 2 * DAY:%Y-%m-%d}", "EUR"), (f"{NOW - 2 * DAY:%Y-%m-%d}", "USD"),
                     (f"{NOW - DAY:%Y-%m-%d}", "USD")]),
        ],
    )  # fmt: skip
    def test_it_is_told_by_each_key(self, billing: Billing, by: str, keys: list[tuple[str, str]]) -> None:
        """A line for each key and currency; trials where they have such a key."""
        report = billing.json("report", "sales", "--by", by)

        assert [(each["key"], each["currency"]) for each in report["data"]] == keys
        assert [each["currency"] for each in report["totals"]] == ["EUR", "USD"]
        assert report["trials"]["started"] == 2
        assert len(report["trials"]["data"]) == (2 if by in ("platform", "day") else 1)

    def test_another_time_and_test_purchases_are_told_where_asked_for(self, billing: Billing) -> None:
        """What was archived is in it."""
        everything = billing.json("report", "sales", "--from", "60d", "--test")
        day = f"{NOW - 2 * DAY:%Y-%m-%d}"
        before = billing.json("report", "sales", "--from", "60d", "--to", day)

        assert figures(everything) == [("all", "EUR", 2, 1, "9.49"), ("all", "USD", 5, 4, "244.96")]
        assert figures(before) == [("all", "USD", 1, 1, "69.99")]
        assert before["to"] == f"{day}T00:00:00.000000Z"

    def test_csv_has_a_line_for_each_key_and_no_totals(self, billing: Billing) -> None:
        """Programs add up themselves."""
        rows = list(csv.DictReader(billing("report", "sales", "--by", "pack", "--csv").stdout.splitlines()))

        assert [(row["key"], row["currency"], row["sold"], row["refunded"], row["net"]) for row in rows] == [
            ("large", "USD", "139.98", "35.00", "104.98"),
            ("small", "EUR", "9.49", "0.00", "9.49"),
        ]
        assert rows[0]["conversion"] == "0.6667"

    def test_a_pipe_gets_tabs_and_what_was_asked_stands_on_stderr(self, billing: Billing) -> None:
        """Two tables with an empty line between them, the purchases with a total for each currency."""
        result = billing("report", "sales", "--by", "pack")

        purchases, trials = result.stdout.split("\n\n")
        rows = [line.split("\t") for line in purchases.splitlines()]
        assert rows[0][:6] == ["pack", "currency", "created", "open", "paid", "conversion"]
        assert [row[:6] for row in rows[1:]] == [
            ["large", "USD", "3", "1", "2", "66.7%"],
            ["small", "EUR", "2", "0", "1", "50.0%"],
            ["total", "EUR", "2", "0", "1", "50.0%"],
            ["total", "USD", "3", "1", "2", "66.7%"],
        ]
        assert trials.splitlines() == ["trials\tstarted\tbought\tconversion", "all\t2\t1\t50.0%"]
        assert "without test ones, as they stand now." in result.stderr

    def test_people_at_a_terminal_get_figures_in_columns(self, billing: Billing) -> None:
        """Aligned to the right, so that they can be compared."""
        lines = on_a_terminal(billing, "report", "sales", "--by", "pack").splitlines()

        header, large, small, *_ = (line for line in lines if line.startswith(("pack", "large", "small")))
        assert large.index("139.98") + len("139.98") == header.index("sold") + len("sold")
        assert small.index("9.49") + len("9.49") == header.index("sold") + len("sold")

    def test_nothing_sold_is_no_error(self, billing: Billing) -> None:
        """Exit 0, nothing on stdout, a sentence on stderr."""
        result = billing("report", "sales", "--from", "2001-01-01", "--to", "2001-01-02")

        assert (result.exit_code, result.stdout) == (0, "")
        assert "Nobody chose a pack in that time." in result.stderr


class TestPicture:
    @pytest.mark.parametrize("by", [(), ("--by", "day"), ("--by", "currency")], ids=str)
    def test_svg_has_its_words_as_words_and_is_the_same_each_time(
        self, billing: Billing, tmp_path: Path, by: tuple[str, ...]
    ) -> None:
        """So that it can be searched, read aloud and compared."""
        told = ("report", "sales", "--from", "2020-01-01", "--to", "2099-01-01", *by)

        first = billing.json(*told, "--plot", str(tmp_path / "one.svg"))
        billing.json(*told, "--plot", str(tmp_path / "two.svg"))

        picture = (tmp_path / "one.svg").read_bytes()
        words = "".join(ET.fromstring(picture).itertext())  # noqa: S314 - our own
        assert first["plot"] == str(tmp_path / "one.svg")
        assert picture == (tmp_path / "two.svg").read_bytes()
        for expected in ("EUR", "USD", "kept 174.97", "given back or disputed 35.00", "chosen 6", "paid 4", "2 trials"):
            assert expected in words

    def test_png_is_a_picture_beside_the_table(self, billing: Billing, tmp_path: Path) -> None:
        """The answer is the same with it; where it is stands on stderr."""
        path = tmp_path / "sales.png"

        result = billing("report", "sales", "--plot", str(path))

        assert (result.exit_code, path.read_bytes()[:8]) == (0, PNG)
        assert result.stdout.startswith("currency\t")
        assert f"The picture is in {path}." in result.stderr

    def test_a_place_that_cannot_be_written_is_one_sentence(self, billing: Billing, tmp_path: Path) -> None:
        """Exit 1, the code and the path."""
        path = tmp_path / "nowhere" / "sales.svg"

        result = billing("report", "sales", "--plot", str(path))

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"CANNOT_WRITE: {path}: No such file")

    def test_nothing_sold_is_a_picture_that_says_so(self, tmp_path: Path) -> None:
        """Whoever waits for the file gets one."""
        period = Period(since=NOW - DAY, until=NOW)

        draw(SalesReport.of(SalesQuestion(period=period), [], []), tmp_path / "none.svg")

        assert "Nobody chose a pack in that time." in (tmp_path / "none.svg").read_text()

    def test_any_number_of_days_and_any_pack_s_name_can_be_drawn(self, tmp_path: Path) -> None:
        """A year by day, and a catalogue of dear packs with long or hostile names."""
        draw(a_report("day", [f"{NOW + number * DAY:%Y-%m-%d}" for number in range(0, 365, 3)]), tmp_path / "year.png")
        draw(
            a_report("pack", [f"pack-{number}-\x1b[2J-$x$-{'x' * 60}" for number in range(40)]), tmp_path / "packs.svg"
        )

        assert (tmp_path / "year.png").read_bytes()[:8] == PNG
        ET.fromstring((tmp_path / "packs.svg").read_bytes())  # noqa: S314 - our own

    def test_without_matplotlib_it_says_what_to_install(self, lone_billing: Billing, tmp_path: Path) -> None:
        """Before anything is asked: exit 1 and the remedy."""
        done = without("matplotlib", lone_billing, "report", "sales", "--plot", str(tmp_path / "sales.svg"))

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "EXTRA_MISSING: A picture needs matplotlib, which is not installed: pip install 'billing-cli[pictures]'\n"
        )


def a_report(by: Any, keys: list[str]) -> SalesReport:
    """A report with a line for each key."""
    period = Period(since=NOW - DAY, until=NOW + 400 * DAY)
    lines = [
        SalesLine(
            key=key, currency="VND", created=10**6, open=0, paid=1, paid_minor=10**15, refunded_minor=10**14,
            disputed_minor=0, credits_sold=1, credits_reversed=1,
        )
        for key in keys
    ]  # fmt: skip
    return SalesReport.of(SalesQuestion(period=period, by=by), lines, [])


def without(library: str, billing: Billing, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """This will run the command in a process in which the library cannot be imported."""
    program = (
        "import importlib.util, sys\n"
        "find_spec = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *more: None if name == {library!r} else find_spec(name, *more)\n"
        "from billing_cli.main import app\n"
        "app(sys.argv[1:])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment_of(billing.environment),
    )


def on_a_terminal(billing: Billing, *arguments: str) -> str:
    """What the command writes to a narrow terminal."""
    master, slave = pty.openpty()
    environment = {**environment_of(billing.environment), "COLUMNS": "80", "TERM": "dumb"}
    try:
        subprocess.run(
            [sys.executable, "-m", "billing_cli", *arguments],
            stdout=slave,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
            env=environment,
        )
    finally:
        os.close(slave)
    written = b"".join(_read_all(master))
    os.close(master)
    return written.decode().replace("\r\n", "\n")


def _read_all(master: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # the other end is closed (Linux)
            return
        if not part:
            return
        yield part
