"""Every purchase as a file, on a real Postgres."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from benchmarks.past import write_past
from pyarrow import parquet
from tests.apps.cli.conftest import Billing, environment_of, in_database
from tests.apps.cli.test_report import without

from billing_adapters.postgres import migrations
from billing_cli.purchase_file import NAMES, open_file
from billing_core.domain.money import Money
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW, ReviewFinding
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import UnitOfWork
from billing_core.testing.builders import a_merchant, a_purchase, an_offer

NOW = datetime.now(UTC)
AT = NOW - timedelta(days=40, microseconds=1)
SHOP = a_merchant("m-1")
ODD = 'said "no", twice;\t«naïve»'
PURCHASES = [
    a_purchase(
        SHOP,
        created_at=AT,
        status=PurchaseStatus.PARTIALLY_REFUNDED,
        offer=an_offer("small", credits=100, bonus_credits=5, price=Money(amount_minor=1500, currency="JPY")),
        paid_minor=1600,
        refunded_minor=100,
        credits_reversed=7,
    ),
    a_purchase(SHOP, created_at=NOW - timedelta(days=2), review=NO_REVIEW.adding(ReviewFinding(reason=ODD))),
    a_purchase(SHOP, created_at=NOW - timedelta(days=1), status=PurchaseStatus.CREATED, test=True),
]


async def _fill(uow: UnitOfWork) -> None:
    await uow.merchants.add([SHOP])
    await uow.purchases.add(PURCHASES)
    assert await uow.purchases.archive(NOW - timedelta(days=30), 9) == 1
    await uow.commit()


@pytest.fixture
def billing(billing: Billing, database_url: str) -> Billing:
    """The command, on three purchases, the first of them archived."""
    in_database(database_url, _fill)
    return billing


class TestCsv:
    def test_has_a_row_for_every_purchase_in_the_order_they_were_made(self, billing: Billing) -> None:
        """Archived and test ones too; whatever stands in a text stays in its cell."""
        result = billing("export", "purchases")

        rows = list(csv.DictReader(result.stdout.splitlines()))
        assert [row["id"] for row in rows] == [str(each.purchase_id) for each in PURCHASES]
        assert tuple(rows[0]) == NAMES
        first, second, third = rows
        assert (first["amount"], first["amount_minor"], first["currency"], first["paid_minor"]) == (
            "1500",
            "1500",
            "JPY",
            "1600",
        )
        assert (first["credits"], first["bonus_credits"], first["credits_reversed"]) == ("100", "5", "7")
        assert (first["status"], first["archived"], second["archived"]) == ("partially_refunded", "true", "false")
        assert (first["created_at"], second["completed_at"]) == (f"{AT:%Y-%m-%dT%H:%M:%S.%f}Z", "")
        assert (second["needs_review"], second["review_reason"], third["test"]) == ("true", ODD, "true")
        assert result.stderr == "exporting purchases: 3 of 3\n"

    @pytest.mark.parametrize(
        ("period", "many"),
        [(("--from", "30d"), 2), (("--to", "30d"), 1), (("--from", "3d", "--to", "36h"), 1), (("--from", "1h"), 0)],
        ids=str,
    )
    def test_a_time_narrows_it(self, billing: Billing, period: tuple[str, ...], many: int) -> None:
        """By when a purchase was created; of nothing there is the line of names alone."""
        assert len(billing("export", "purchases", *period).stdout.splitlines()) == 1 + many


class TestJsonLines:
    def test_has_an_object_for_every_purchase(self, billing: Billing) -> None:
        """Numbers are numbers, and what there is none of is null."""
        lines = billing("export", "purchases", "--format", "jsonl").stdout.splitlines()

        first, second, _ = map(json.loads, lines)
        assert tuple(first) == NAMES
        assert (first["amount_minor"], first["archived"], first["refunded_minor"]) == (1500, True, 100)
        assert (second["completed_at"], second["paid_minor"], second["review_reason"]) == (None, None, ODD)


class TestParquet:
    def test_has_typed_columns(self, billing: Billing, tmp_path: Path) -> None:
        """Moments are moments, to the microsecond and in UTC."""
        path = tmp_path / "purchases.parquet"

        told = billing.json("export", "purchases", "--format", "parquet", "--out", str(path))

        table = parquet.read_table(path)
        rows = table.to_pylist()
        assert told == {"purchases": 3, "format": "parquet", "out": str(path)}
        assert tuple(table.column_names) == NAMES
        assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
        assert (rows[0]["created_at"], rows[0]["amount_minor"], rows[0]["archived"]) == (AT, 1500, True)
        assert (rows[1]["completed_at"], rows[1]["review_reason"]) == (None, ODD)

    def test_of_nothing_there_is_a_file_with_columns(self, billing: Billing, tmp_path: Path) -> None:
        """Whoever reads it needs no special case."""
        path = tmp_path / "purchases.parquet"

        billing.json("export", "purchases", "--format", "parquet", "--from", "1h", "--out", str(path))

        assert (parquet.read_table(path).num_rows, tuple(parquet.read_schema(path).names)) == (0, NAMES)

    def test_many_pages_are_few_row_groups(self, tmp_path: Path) -> None:
        """Readers take a row group at once; pages of a thousand would make them slow."""
        page = [StoredPurchase(purchase=PURCHASES[0], archived=True)] * 1000

        with open_file("parquet", tmp_path / "many.parquet") as write:
            for _ in range(120):
                write(page)

        written = parquet.ParquetFile(tmp_path / "many.parquet")
        assert [written.metadata.row_group(group).num_rows for group in range(written.num_row_groups)] == [
            50_000,
            50_000,
            20_000,
        ]

    def test_without_pyarrow_it_says_what_to_install(self, lone_billing: Billing, tmp_path: Path) -> None:
        """Before anything is asked: exit 1 and the remedy; the other formats need nothing."""
        path = tmp_path / "purchases.parquet"

        done = without("pyarrow", lone_billing, "export", "purchases", "--format", "parquet", "--out", str(path))
        other = without("pyarrow", lone_billing, "export", "purchases")

        assert (done.returncode, done.stdout, path.exists()) == (1, "", False)
        assert done.stderr == (
            "EXTRA_MISSING: Parquet needs pyarrow, which is not installed: pip install 'billing-cli[parquet]'\n"
        )
        assert other.stderr.startswith("SERVICE_UNAVAILABLE: ")


class TestFile:
    def test_it_has_what_stdout_would_have(self, billing: Billing, tmp_path: Path) -> None:
        """Byte for byte, and stdout has nothing."""
        path = tmp_path / "purchases.csv"

        result = billing("export", "purchases", "--out", str(path))

        assert (result.exit_code, result.stdout) == (0, "")
        assert path.read_bytes() == billing("export", "purchases").stdout.encode()
        assert f"3 purchases are in {path}." in result.stderr

    @pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
    def test_it_appears_whole_or_not_at_all(self, tmp_path: Path, format_: str) -> None:
        """What breaks off half-way leaves the file that was there, and no other."""
        path = tmp_path / "purchases"
        path.write_text("the one before")

        with pytest.raises(RuntimeError, match="broke off"), open_file(format_, path) as write:
            write([StoredPurchase(purchase=PURCHASES[0], archived=True)])
            raise RuntimeError("broke off")

        assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("purchases", "the one before")]

    @pytest.mark.parametrize("place", ["nowhere/purchases.csv", "file/purchases.csv"])
    def test_a_place_that_cannot_be_written_is_one_sentence(self, billing: Billing, tmp_path: Path, place: str) -> None:
        """Exit 1, the code and the path."""
        (tmp_path / "file").touch()

        result = billing("export", "purchases", "--out", str(tmp_path / place))

        assert (result.exit_code, result.stdout) == (1, "")
        assert re.match(r"CANNOT_WRITE: .*purchases\.csv\.part: (No such file|Not a directory)", result.stderr)


class TestMemory:
    MANY = 20_000

    @pytest.fixture
    def long_past(
        self, billing: Billing, empty_database_url: str, _wait_for: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> Billing:
        """The command, on a database with twenty-two thousand purchases."""

        async def prepare() -> None:
            await migrations.upgrade(empty_database_url)
            connection = await asyncpg.connect(empty_database_url)
            await write_past(connection, self.MANY)
            await connection.close()

        _wait_for(prepare())
        billing.environment["BILLING_DATABASE_URL"] = empty_database_url
        return billing

    @pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
    def test_it_stays_the_same_however_many_there_are(self, long_past: Billing, tmp_path: Path, format_: str) -> None:
        """Eleven pages take as much as one: held together they would be some forty megabytes more. Each purchase comes
        once, and there is a line of progress for each twentieth at most."""
        one_page, _ = exported(long_past, tmp_path / "few", format_, "--to", "108d")
        all_pages, told = exported(long_past, tmp_path / "all", format_)

        if format_ == "csv":
            rows = (tmp_path / "all").read_text().splitlines()
            assert len({row.partition(",")[0] for row in rows[1:]}) == len(rows) - 1 == self.MANY * 11 // 10
        assert 2 <= told.count("exporting purchases: ") <= 21
        assert all_pages - one_page < 16_000


def exported(billing: Billing, path: Path, format_: str, *period: str) -> tuple[int, str]:
    """This will export in a process of its own, and give the most memory it had, in kB, and its stderr."""
    program = (
        "import resource, sys\n"
        "from billing_cli.main import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "purchases", "--format", format_, "--out", str(path), *period],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment_of(billing.environment),
    )
    return int(done.stdout), done.stderr


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_a_purchase_of_any_status_can_be_written(tmp_path: Path, format_: str) -> None:
    """Each column takes what stands there, or that nothing does."""
    purchases = [a_purchase(status=status) for status in PurchaseStatus]

    with open_file(format_, tmp_path / "all") as write:
        write([StoredPurchase(purchase=each, archived=False) for each in purchases])

    assert (tmp_path / "all").stat().st_size > 0
    if format_ == "parquet":
        assert parquet.read_table(tmp_path / "all")["status"].to_pylist() == list(PurchaseStatus)
