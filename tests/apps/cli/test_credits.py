"""Goodwill credits from the command line, on a real Postgres."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from tests.apps.cli.conftest import Billing, Books, Sandbox, typed

WHY = ("--reason", "sorry for the outage", "--actor", "ada")
GRANT = ("credits", "grant", "m-1")


def goodwill(billing: Billing) -> int:
    """The goodwill credits the merchant's screen shows."""
    credits_: int = billing.json("merchants", "show", "m-1")["goodwill"]["credits"]
    return credits_


@pytest.mark.usefixtures("books")
class TestGrant:
    def test_it_is_announced_and_shown_with_who_and_why(self, billing: Billing) -> None:
        """A dry run tells the same and gives nothing; the merchant's screen then has the grant."""
        dry = billing.json(*GRANT, "50", *WHY, "--dry-run")
        after_dry = goodwill(billing)
        done = billing.json(*GRANT, "50", *WHY, "--grant-id", dry["grant_id"], "--yes")
        screen = billing("merchants", "show", "m-1").stdout

        assert (dry["dry_run"], dry["credits"], dry["left_today"], after_dry) == (True, 50, 950, 0)
        assert (done["grant_id"], done["repeated"], done["left_today"]) == (dry["grant_id"], False, 950)
        assert done["announced"] == ["evt.billing.credits.granted"]
        assert (done["actor"], done["reason"]) == ("operator:ada", "sorry for the outage")
        (kept,) = billing.json("merchants", "show", "m-1")["goodwill"]["newest"]
        assert (kept["grant_id"], kept["credits"], kept["actor"]) == (done["grant_id"], 50, "operator:ada")
        assert "50 in 1 grant(s); the newest 50 at " in screen
        assert "by operator:ada: sorry for the outage" in screen

    @pytest.mark.usefixtures("streams")
    def test_the_event_says_what_was_given(self, billing: Billing) -> None:
        """What the Credit Service reads has the grant's id, its credits, who and why."""
        done = billing.json(*GRANT, "50", *WHY, "--yes")
        billing.json("jobs", "run", "relay-events")

        tail = ("--type", "credits.granted", "--since", "1h", "--no-follow")
        event = billing.json("events", "tail", *tail)

        assert event["data"] == {
            "merchant_id": "m-1",
            "platform": "sandbox",
            "grant_id": done["grant_id"],
            "credits": 50,
            "reason": "sorry for the outage",
            "actor": "operator:ada",
        }

    def test_a_repeated_command_gives_nothing_more(self, billing: Billing) -> None:
        """The same id again, by whomever: exit 0, told as given before, without a question."""
        grant_id = str(uuid4())
        billing.json(*GRANT, "50", *WHY, "--grant-id", grant_id, "--yes")

        again = billing.json(*GRANT, "50", "--reason", "typed twice", "--actor", "bob", "--grant-id", grant_id)
        people = billing(*GRANT, "50", *WHY, "--grant-id", grant_id)
        other = billing(*GRANT, "51", *WHY, "--grant-id", grant_id, "--yes")

        assert (again["repeated"], again["actor"], again["announced"]) == (True, "operator:ada", [])
        assert people.stdout.startswith(f"Grant {grant_id} was given before; nothing was given now")
        assert (other.exit_code, other.stdout) == (1, "")
        assert other.stderr.startswith("GRANT_ID_REUSED: This grant id gave 50 credits to m-1 already.")
        assert goodwill(billing) == 50

    def test_an_operator_s_day_has_an_end(self, billing: Billing) -> None:
        """By default at 1000 credits; a colleague has their own."""
        billing.json(*GRANT, "1000", *WHY, "--yes")

        refused = billing(*GRANT, "1", *WHY, "--yes")
        colleague = billing.json(*GRANT, "1", "--reason", "why", "--actor", "bob", "--yes")

        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.startswith("GRANT_CAP_EXCEEDED: operator:ada may grant 0 more now: ")
        assert colleague["left_today"] == 999
        assert goodwill(billing) == 1001

    def test_the_catalogue_says_how_much_that_is(self, billing: Billing, tmp_path: Path) -> None:
        """The same file that holds the packs."""
        catalog = tmp_path / "catalog.toml"
        catalog.write_text(
            'version = "v"\ngoodwill_credits_per_day = 10\n'
            '[[packs]]\ncode = "small"\ncredits = 100\nprices = { USD = "9.99" }\n'
        )
        billing.environment["BILLING_CATALOG"] = str(catalog)

        refused = billing(*GRANT, "11", *WHY, "--dry-run")

        assert refused.stderr.startswith("GRANT_CAP_EXCEEDED: operator:ada may grant 10 more now: ")
        assert "goodwill_credits_per_day" in refused.stderr


class TestBeforeItIsDone:
    def test_without_a_terminal_somebody_must_have_said_yes(self, billing: Billing, books: Books) -> None:
        """Off a terminal nobody can be asked: exit 2, and nothing is given."""
        result = billing("credits", "grant", books.merchant_id, "50", *WHY)

        assert (result.exit_code, result.stdout) == (2, "")
        assert "--yes" in result.stderr
        assert goodwill(billing) == 0

    @pytest.mark.usefixtures("books")
    @pytest.mark.parametrize(("answer", "exit_code", "given"), [(b"n\n", 1, 0), (b"y\n", 0, 50)])
    def test_on_a_terminal_the_person_is_asked(
        self, billing: Billing, answer: bytes, exit_code: int, given: int
    ) -> None:
        """The question says to whom, how many, and what is left of the day; only yes goes on."""
        ended, question = typed(billing.environment, answer, *GRANT, "50", *WHY)

        assert ended == exit_code
        assert "Give m-1 50 credits for nothing (operator:ada may give 950 more within 24 hours)?" in question
        assert goodwill(billing) == given

    def test_a_merchant_nobody_announced_is_refused(self, billing: Billing) -> None:
        """Exit 1 and the code, before anything is asked."""
        result = billing("credits", "grant", "nobody", "50", *WHY)

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("MERCHANT_NOT_FOUND: ")

    async def test_an_answer_that_was_lost_says_how_to_find_out(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """Whether it was given is not known then: the refusal has the id under which the repeat gives once."""
        await sandbox.execute(
            "create function answer_is_lost() returns trigger language plpgsql as"
            " $$ begin raise exception 'connection lost' using errcode = '08006'; end $$"
        )
        await sandbox.execute(
            "create constraint trigger lost after insert on credit_grants deferrable initially deferred"
            " for each row execute function answer_is_lost()"
        )
        try:
            result = billing("credits", "grant", books.merchant_id, "50", *WHY, "--yes")
        finally:
            await sandbox.execute("drop function answer_is_lost() cascade")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("SERVICE_UNAVAILABLE: ")
        (grant_id,) = re.findall(r"the same command with --grant-id (\S+) gives them once", result.stderr)
        assert billing.json(*GRANT, "50", *WHY, "--grant-id", grant_id, "--yes")["repeated"] is False

    def test_a_database_that_is_away_is_one_sentence(self, lone_billing: Billing) -> None:
        """Nothing was begun, so nothing is said of a grant."""
        result = lone_billing("credits", "grant", "m-1", "50", *WHY, "--yes")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("SERVICE_UNAVAILABLE: ")
        assert "--grant-id" not in result.stderr
