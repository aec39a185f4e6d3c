"""What is held about a merchant handed out, and its identity taken away, by operators on a real Postgres."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from benchmarks.past import write_past
from jsonschema import Draft202012Validator, FormatChecker
from tests.adapters.postgres.test_redaction import dumped
from tests.apps.cli.conftest import Billing, Books, Sandbox, environment_of, typed

from billing_adapters.postgres import migrations
from billing_core.domain.pseudonyms import is_pseudonym
from billing_core.merchant_file import schema

WHY = ("--reason", "asked to by mail", "--actor", "ada")
REDACT = ("merchants", "redact", "m-1", *WHY)


@pytest.fixture
def gone(books: Books, sandbox: Sandbox, _wait_for: Callable[[Coroutine[Any, Any, Any]], Any]) -> Books:
    """A shop's books, of which nothing can be paid any more."""
    _wait_for(sandbox.execute("update purchases set expires_at = now()"))
    return books


def document_of(stdout: str) -> dict[str, Any]:
    """The export, but for the moment it was made at."""
    document: dict[str, Any] = json.loads(stdout)
    del document["exported_at"]
    return document


class TestExport:
    def test_it_writes_the_whole_document(self, billing: Billing, books: Books) -> None:
        """To stdout, as its schema says, with everything there is."""
        result = billing("merchants", "export", "m-1")

        document = json.loads(result.stdout)
        validator = Draft202012Validator(schema(), format_checker=FormatChecker())
        assert [each.message for each in validator.iter_errors(document)] == []
        assert (document["merchant"]["merchant_id"], document["trials"][0]["trial_id"]) == ("m-1", str(books.trial_id))
        assert {each["purchase"]["purchase_id"] for each in document["purchases"]} == {
            str(books.open_id),
            str(books.review_id),
        }
        assert len(document["history"]) == len(document["events"]) == 4

    @pytest.mark.usefixtures("books")
    def test_a_file_has_the_same_for_its_owner_alone(self, billing: Billing, tmp_path: Path) -> None:
        """And what was written is said, as JSON where asked for."""
        path = tmp_path / "m-1.json"

        told = billing.json("merchants", "export", "m-1", "--out", str(path))
        said = billing("merchants", "export", "m-1", "--out", str(path))

        assert document_of(path.read_text()) == document_of(billing("merchants", "export", "m-1", "--json").stdout)
        assert told == {"merchant_id": "m-1", "bytes": path.stat().st_size, "out": str(path)}
        assert (said.stdout, said.stderr) == (
            "",
            f"Everything held about m-1 is in {path} ({path.stat().st_size} bytes).\n",
        )
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_unknown_merchant_leaves_no_file(self, billing: Billing, tmp_path: Path) -> None:
        """Exit 1 and the code."""
        result = billing("merchants", "export", "nobody", "--out", str(tmp_path / "file"))

        assert (result.exit_code, result.stdout, list(tmp_path.iterdir())) == (1, "", [])
        assert result.stderr.startswith("MERCHANT_NOT_FOUND: ")

    @pytest.mark.usefixtures("books")
    def test_a_place_that_cannot_be_written_is_one_sentence(self, billing: Billing, tmp_path: Path) -> None:
        """Exit 1, the code and the path."""
        result = billing("merchants", "export", "m-1", "--out", str(tmp_path / "nowhere" / "file"))

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"CANNOT_WRITE: {tmp_path}/nowhere/file.part: No such file")


class TestRedact:
    async def test_its_names_are_gone_and_what_it_bought_is_not(
        self, billing: Billing, gone: Books, database_url: str
    ) -> None:
        """The dry run tells the same and changes nothing; everything is told to programs."""
        before = await dumped(database_url)
        purchases = _listed(billing)

        dry = billing.json(*REDACT, "--dry-run")
        after_dry = await dumped(database_url)
        done = billing.json(*REDACT, "--yes")

        assert (dry["dry_run"], done["dry_run"], after_dry) == (True, False, before)
        assert {**dry, "dry_run": False, "correlation_id": done["correlation_id"]} == done
        assert (done["merchant_id"], done["was_redacted_before"]) == ("m-1", False)
        assert is_pseudonym(done["known_again_as"])
        assert done["redacted"] == {
            "merchants": 1, "trials": 1, "purchases": 2, "history": 4, "grants": 0, "events": 4, "parked": 0, "keys": 0,
        }  # fmt: skip
        assert "shop-1" not in repr(await dumped(database_url))
        assert "shop.example" not in repr(await dumped(database_url))
        assert _listed(billing) == purchases

    @pytest.mark.usefixtures("gone")
    def test_it_is_told_in_the_export_who_did_it_and_why(self, billing: Billing) -> None:
        """And `show` goes on working, under the name that stands for the shop."""
        done = billing.json(*REDACT, "--yes")

        (record,) = json.loads(billing("merchants", "export", "m-1").stdout)["privacy"]
        shown = billing.json("merchants", "show", "m-1")

        assert (record["what"], record["actor"], record["reason"]) == ("redacted", "operator:ada", "asked to by mail")
        assert shown["merchant"]["platform_account_id"] == done["known_again_as"]

    @pytest.mark.usefixtures("gone")
    def test_typed_again_there_is_nothing_left(self, billing: Billing) -> None:
        """Which is said, and no refusal."""
        billing.json(*REDACT, "--yes")

        again, told = billing(*REDACT, "--yes"), billing.json(*REDACT, "--yes")

        assert again.exit_code == 0
        assert "none left to redact" in again.stdout
        assert (told["was_redacted_before"], sum(told["redacted"].values())) == (True, 0)

    @pytest.mark.usefixtures("gone")
    def test_people_read_what_came_of_it(self, billing: Billing) -> None:
        """How many rows of what, what stands for the shop, and by whom."""
        lines = billing(*REDACT, "--yes").stdout

        assert lines.startswith("m-1 is redacted\n")
        for expected in ("known again as", "redacted:", "purchases", "entries of the history", "operator:ada"):
            assert expected in lines

    @pytest.mark.usefixtures("books")
    def test_a_purchase_that_can_be_paid_puts_it_off(self, billing: Billing) -> None:
        """Refused at once, with until when and what to do; there is no way around it."""
        result = billing(*REDACT, "--yes")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("PURCHASES_STILL_PAYABLE: m-1 has a purchase that can be paid until ")
        assert "`billing purchases cancel ID`" in result.stderr

    def test_an_unknown_merchant_is_refused(self, billing: Billing) -> None:
        """Before anybody is asked."""
        result = billing("merchants", "redact", "nobody", *WHY)

        assert result.exit_code == 1
        assert result.stderr.startswith("MERCHANT_NOT_FOUND: ")

    @pytest.mark.usefixtures("gone")
    def test_without_a_key_or_with_another_one_it_is_refused(self, billing: Billing) -> None:
        """With the variable to set."""
        billing.environment["BILLING_REDACTION_KEY"] = None
        without = billing(*REDACT, "--yes")
        billing.environment["BILLING_REDACTION_KEY"] = "a" * 32
        first = billing(*REDACT, "--yes")
        billing.environment["BILLING_REDACTION_KEY"] = "b" * 32
        other = billing(*REDACT, "--yes")
        billing.environment["BILLING_REDACTION_KEY"] = "short"
        short = billing(*REDACT, "--yes")

        assert [each.exit_code for each in (without, first, other, short)] == [1, 0, 1, 1]
        assert without.stderr.startswith("REDACTION_NOT_CONFIGURED: Nothing can be redacted without a key: set ")
        assert other.stderr.startswith("REDACTION_NOT_CONFIGURED: BILLING_REDACTION_KEY is not the key ")
        assert "BILLING_REDACTION_KEY: Value error, must have at least 32 bytes" in short.stderr
        assert "short" not in short.stderr.partition("BILLING_REDACTION_KEY")[2]

    @pytest.mark.usefixtures("gone")
    def test_it_asks_first(self, billing: Billing) -> None:
        """No is no; and where nobody can be asked, it wants `--yes`."""
        code, told = typed(billing.environment, b"n\n", *REDACT)
        alone = billing(*REDACT)

        assert (code, alone.exit_code) == (1, 2)
        assert "Redact m-1 (sandbox, shop-1) in 12 rows, for ever?" in told
        assert not is_pseudonym(billing.json("merchants", "show", "m-1")["merchant"]["platform_account_id"])


def _listed(billing: Billing) -> list[dict[str, Any]]:
    """The merchant's purchases, but for whose they are and where their merchant returned to."""
    names = {"platform_account_id", "return_url"}
    listed = billing.json("purchases", "list", "--merchant", "m-1")["data"]
    return [{name: value for name, value in each.items() if name not in names} for each in listed]


class TestMemory:
    MANY = 6_000

    @pytest.fixture
    def long_past(
        self, billing: Billing, empty_database_url: str, _wait_for: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> Billing:
        """The command, on a database in which one merchant bought everything, and another one nothing."""

        async def prepare() -> None:
            await migrations.upgrade(empty_database_url)
            connection = await asyncpg.connect(empty_database_url)
            await write_past(connection, self.MANY, per_merchant=self.MANY)
            await connection.execute(
                "insert into merchants (merchant_id, platform, platform_account_id, registered_at)"
                " values ('new', 'sandbox', 'new.example', now())"
            )
            await connection.execute("update purchases set expires_at = created_at - interval '1 minute'")
            await connection.close()

        _wait_for(prepare())
        billing.environment["BILLING_DATABASE_URL"] = empty_database_url
        return billing

    def test_it_stays_the_same_however_much_there_is(self, long_past: Billing, tmp_path: Path) -> None:
        """Thousands of purchases with all their history take as much as none, to hand out and to redact; held together
        they would be some forty megabytes more. What is handed out is whole."""
        nothing = most_memory(long_past, "merchants", "export", "new", "--out", str(tmp_path / "new"))
        everything = most_memory(long_past, "merchants", "export", "past-1", "--out", str(tmp_path / "all"))
        redacting = most_memory(long_past, "merchants", "redact", "past-1", *WHY, "--yes")

        document = json.loads((tmp_path / "all").read_text())
        assert len(document["purchases"]) == self.MANY * 11 // 10
        assert len(document["history"]) > 3 * self.MANY
        assert everything - nothing < 16_000
        assert redacting - nothing < 16_000


def most_memory(billing: Billing, *arguments: str) -> int:
    """This will run the command in a process of its own, and give the most memory it had, in kB."""
    program = (
        "import resource, sys\n"
        "from billing_cli.main import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment_of(billing.environment),
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])
