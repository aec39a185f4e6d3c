"""What operators and support ask, on real servers."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.apps.cli.conftest import Billing, Books

from billing_adapters.resources import open_resources
from billing_adapters.settings import load_settings
from billing_cli.container import build_container


class TestContainer:
    async def test_every_provider_builds(self, database_url: str, redis_url: str, nats_url: str) -> None:
        """A misspelt keyword in the wiring passes the type checker, and fails here."""
        settings = load_settings(database_url=database_url, redis_url=redis_url, nats_url=nats_url)

        async with open_resources(settings, app="tests") as resources:
            container = build_container(settings=settings, resources=resources)
            built = {name: provider() for name, provider in container.providers.items()}

        assert {"jobs", "platforms", "records", "replay_parked", "support", "units"} <= built.keys()


class TestMerchants:
    def test_one_screen_tells_what_needs_a_person(self, billing: Billing, books: Books) -> None:
        """The merchant's screen has who, trial, figures, what is open, what to review, and the next command."""
        screen = billing.json("merchants", "show", books.merchant_id)

        assert (screen["merchant"]["id"], screen["merchant"]["platform_account_id"]) == ("m-1", "shop-1")
        assert (screen["trial"]["id"], screen["trial"]["status"]) == (str(books.trial_id), "active")
        assert set(screen["open"]) == {str(books.open_id), str(books.review_id)}
        assert screen["needs_review"] == [str(books.review_id)]
        assert screen["next"][0].startswith(f"billing purchases resolve {books.review_id} --accept ")

    def test_people_read_the_same(self, billing: Billing, books: Books) -> None:
        """Without --json the same facts are lines of text."""
        result = billing("merchants", "show", books.merchant_id)

        assert result.exit_code == 0
        for expected in ("Merchant m-1", "shop-1", "active", str(books.open_id), "Next:"):
            assert expected in result.stdout

    def test_an_unknown_merchant_is_refused(self, billing: Billing) -> None:
        """Nobody by that id: exit 1, the code on stderr, nothing on stdout."""
        result = billing("merchants", "show", "nobody", "--json")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("MERCHANT_NOT_FOUND: ")


class TestTrials:
    def test_a_trial_is_shown_with_its_history(self, billing: Billing, books: Books) -> None:
        """The trial and every change of it, oldest first."""
        trial = billing.json("trials", "show", books.merchant_id)

        assert (trial["id"], trial["status"], trial["credits"]) == (str(books.trial_id), "active", 500)
        assert [(each["what"], each["actor"]) for each in trial["history"]] == [("started", "tests")]


class TestPurchases:
    def test_the_list_answers_each_question(self, billing: Billing, books: Books) -> None:
        """Newest first, and only those of the merchant, the status or the need for review asked for."""

        def listed(*question: str) -> list[str]:
            return [each["id"] for each in billing.json("purchases", "list", *question)["data"]]

        assert listed() == [str(books.review_id), str(books.open_id)]
        assert listed("--limit", "1") == [str(books.review_id)]
        assert listed("--needs-review") == [str(books.review_id)]
        assert listed("--merchant", "m-1", "--status", "created") == [str(books.review_id), str(books.open_id)]
        assert listed("--status", "completed") == []
        assert listed("--merchant", "m-2") == []

    def test_a_pipe_gets_tabs(self, billing: Billing, books: Books) -> None:
        """Where stdout is no terminal, rows are separated by tabs under one line of names."""
        lines = billing("purchases", "list").stdout.splitlines()

        assert lines[0].split("\t")[:3] == ["id", "merchant", "pack"]
        assert [line.split("\t")[0] for line in lines[1:]] == [str(books.review_id), str(books.open_id)]

    def test_one_is_shown_with_why_it_needs_review(self, billing: Billing, books: Books) -> None:
        """An operator sees what merchants see, and the reason of the review."""
        purchase = billing.json("purchases", "show", str(books.review_id))

        assert (purchase["pack"], purchase["needs_review"]) == ("large", True)
        assert "USD 0.01" in purchase["review_reason"]

    def test_its_history_says_who_and_what(self, billing: Billing, books: Books) -> None:
        """Every change with its author, in order."""
        entries = billing.json("purchases", "history", str(books.review_id))["data"]

        assert [(each["number"], each["what"]) for each in entries] == [(1, "created"), (2, "needs_review")]

    def test_an_unknown_one_is_refused(self, billing: Billing) -> None:
        """An id nobody has: exit 1 and the code."""
        result = billing("purchases", "show", str(uuid4()))

        assert result.exit_code == 1
        assert result.stderr.startswith("PURCHASE_NOT_FOUND: ")


class TestJobs:
    def test_the_list_has_every_job_of_the_contract(self, billing: Billing) -> None:
        """Each job has a name, an interval and, before its first run, no last run."""
        jobs = {job["name"]: job for job in billing.json("jobs", "list")["data"]}

        assert {
            "expire-trials",
            "expire-purchases",
            "reconcile-purchases",
            "purge-idempotency",
            "archive-purchases",
            "relay-events",
        } <= jobs.keys()
        assert jobs["expire-trials"]["last_run"] is None

    @pytest.mark.usefixtures("streams")
    def test_a_job_told_a_later_time_does_what_is_due_then(self, billing: Billing, books: Books) -> None:
        """A trial does not expire today, does in 15 days, once, and the relay then tells NATS of it."""
        later = (datetime.now(UTC) + timedelta(days=15)).isoformat()

        today = billing.json("jobs", "run", "expire-trials")
        in_15_days = billing.json("jobs", "run", "expire-trials", "--now", later)
        again = billing.json("jobs", "run", "expire-trials", "--now", later)
        billing.json("jobs", "run", "relay-events")
        events = billing("events", "tail", "--since", "1h", "--no-follow", "--merchant", books.merchant_id, "--json")

        assert [run["done"] for run in (today, in_15_days, again)] == [0, 1, 0]
        types = [json.loads(line)["type"] for line in events.stdout.splitlines()]
        assert types[-1] == "evt.billing.trial.expired"

    def test_an_unknown_job_is_refused_with_the_known_ones(self, billing: Billing) -> None:
        """The refusal names what could have been meant."""
        result = billing("jobs", "run", "expire-everything")

        assert result.exit_code == 1
        assert result.stderr.startswith("UNKNOWN_JOB: ")
        assert "expire-trials" in result.stderr


@pytest.mark.usefixtures("streams", "books")
class TestEvents:
    def test_a_type_a_merchant_and_a_limit_narrow_the_tail(self, billing: Billing) -> None:
        """The tail shows the events asked for and no others."""
        billing.json("jobs", "run", "relay-events")

        def told(*question: str) -> list[str]:
            result = billing("events", "tail", "--since", "1h", "--no-follow", "--json", *question)
            assert result.exit_code == 0, result.stderr
            return [json.loads(line)["type"] for line in result.stdout.splitlines()]

        assert told("--type", "trial.*") == ["evt.billing.trial.started"]
        assert len(told("--type", "evt.billing.purchase.created", "--limit", "1")) == 1
        assert told("--merchant", "m-2") == []
        assert len(told()) == 4

    def test_a_line_for_people_has_time_merchant_sequence_and_type(self, billing: Billing) -> None:
        """Without --json each event is one line."""
        billing.json("jobs", "run", "relay-events")

        lines = billing("events", "tail", "--since", "1h", "--no-follow", "--type", "trial.started").stdout.splitlines()

        assert len(lines) == 1
        assert "  m-1  #1  evt.billing.trial.started  {" in lines[0]


class TestDatabase:
    def test_an_empty_database_is_brought_up_once(self, billing: Billing, empty_database_url: str) -> None:
        """`check` fails before `upgrade` and passes after; a second upgrade changes nothing."""
        billing.environment["BILLING_DATABASE_URL"] = empty_database_url

        before = billing("db", "check", "--json")
        dry = billing.json("db", "upgrade", "--dry-run")
        first = billing.json("db", "upgrade")
        second = billing.json("db", "upgrade")
        after = billing.json("db", "check")
        current = billing.json("db", "current")

        assert (dry["dry_run"], dry["pending"]) == (True, json.loads(before.stdout)["pending"])
        assert (before.exit_code, json.loads(before.stdout)["up_to_date"]) == (1, False)
        assert (first["before"], first["changed"], second["changed"]) == (None, True, False)
        assert after == {"up_to_date": True, "pending": []}
        assert current["current"] == current["head"]
