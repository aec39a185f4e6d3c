"""What operators do with trials: extend, end, regrant, on a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.apps.cli.conftest import Billing, Books, Sandbox, typed

WHY = ("--reason", "asked by phone", "--actor", "ada")


def trial_of(billing: Billing, merchant: str = "m-1") -> tuple[str, str]:
    """The trial's status and end."""
    shown = billing.json("trials", "show", merchant)
    return shown["status"], shown["ends_at"]


def history(billing: Billing) -> list[tuple[str, str, str | None]]:
    """What happened to the merchant's newest trial: what, who, why."""
    return [(each["what"], each["actor"], each["reason"]) for each in billing.json("trials", "show", "m-1")["history"]]


class TestExtend:
    @pytest.mark.usefixtures("books")
    def test_days_are_added_to_the_end_there_is(self, billing: Billing) -> None:
        """The dry run tells the same and changes nothing; the history says who and why."""
        _, before = trial_of(billing)
        arguments = ("trials", "extend", "m-1", "--days", "7", *WHY)

        dry = billing.json(*arguments, "--dry-run")
        after_dry = trial_of(billing)
        done = billing.json(*arguments, "--yes")

        later = datetime.fromisoformat(before) + timedelta(days=7)
        assert (dry["dry_run"], done["dry_run"], after_dry) == (True, False, ("active", before))
        assert dry["ends_at_after"] == done["ends_at_after"]
        assert (done["ends_at_before"], datetime.fromisoformat(done["ends_at_after"])) == (before, later)
        assert (done["status_after"], done["announced"]) == ("active", ["evt.billing.trial.extended"])
        assert trial_of(billing) == ("active", done["ends_at_after"])
        assert history(billing)[-1] == ("extended", "operator:ada", "asked by phone")

    @pytest.mark.usefixtures("books")
    def test_a_moment_counts_once_however_often_it_is_typed(self, billing: Billing) -> None:
        """The second time there is nothing later to extend to: exit 1, and the end there is."""
        until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        arguments = ("trials", "extend", "m-1", "--until", until, *WHY, "--yes")

        billing.json(*arguments)
        again = billing(*arguments)

        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr.startswith("INVALID_TRIAL_END: The trial runs until ")

    def test_people_read_what_came_of_it(self, billing: Billing, books: Books) -> None:
        """Before and after, what was announced, and by whom."""
        lines = billing("trials", "extend", "m-1", "--days", "1", *WHY, "--yes").stdout

        assert lines.startswith("Trial of m-1\n")
        for expected in ("active, until ", "trial.extended", "operator:ada", "trials-extend:"):
            assert expected in lines


class TestEnd:
    @pytest.mark.usefixtures("books")
    def test_it_is_over_at_once(self, billing: Billing) -> None:
        """Ended once: again is refused, with what can be done instead."""
        arguments = ("trials", "end", "m-1", *WHY)

        dry = billing.json(*arguments, "--dry-run")
        after_dry = trial_of(billing)
        done = billing.json(*arguments, "--yes")
        again = billing(*arguments, "--yes")

        assert (dry["status_after"], after_dry[0]) == ("ended", "active")
        assert (done["status_before"], done["status_after"]) == ("active", "ended")
        assert done["announced"] == ["evt.billing.trial.ended"]
        assert history(billing)[-1] == ("ended", "operator:ada", "asked by phone")
        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr.startswith("TRIAL_NOT_RUNNING: m-1 has no running trial: its newest trial is ended; ")
        assert "`billing trials regrant m-1`" in again.stderr


class TestRegrant:
    def test_a_shop_gets_another_trial_once_the_first_is_over(self, billing: Billing, books: Books) -> None:
        """Refused while one runs; then a new one with an event of its own, and the merchant cannot start a third."""
        arguments = ("trials", "regrant", "m-1", *WHY)

        too_early = billing(*arguments, "--dry-run")
        billing.json("trials", "end", "m-1", *WHY, "--yes")
        dry = billing.json(*arguments, "--dry-run")
        after_dry = trial_of(billing)
        done = billing.json(*arguments, "--yes")

        assert (too_early.exit_code, too_early.stdout) == (1, "")
        assert too_early.stderr.startswith("TRIAL_STILL_RUNNING: ")
        assert "`billing trials extend m-1`" in too_early.stderr
        assert (dry["id"], dry["status_before"], dry["status_after"], after_dry[0]) == (None, None, "active", "ended")
        assert done["announced"] == ["evt.billing.trial.started"]
        assert done["id"] not in (None, str(books.trial_id))
        assert trial_of(billing) == ("active", done["ends_at_after"])
        assert history(billing) == [("started", "operator:ada", "asked by phone")]

    async def test_a_reinstalled_shop_is_given_one(self, billing: Billing, books: Books, sandbox: Sandbox) -> None:
        """Its new merchant id is refused a trial, and `merchants show` says what to type."""
        await sandbox.execute(
            "insert into merchants (merchant_id, platform, platform_account_id, registered_at)"
            " values ('m-2', 'sandbox', 'shop-1', now()), ('m-3', 'sandbox', 'shop-3', now())"
        )

        refused = billing.json("merchants", "show", "m-2")
        running = billing("trials", "regrant", "m-2", *WHY, "--yes")
        billing.json("trials", "end", "m-1", *WHY, "--yes")
        done = billing.json("trials", "regrant", "m-2", *WHY, "--yes")
        never = billing("trials", "regrant", "m-3", *WHY, "--yes")

        assert refused["trial"]["status"] == "refused"
        assert 'billing trials regrant m-2 --reason "…"   # another trial for its shop' in refused["next"]
        assert running.stderr.startswith("TRIAL_STILL_RUNNING: The shop's trial still runs, as m-1's; ")
        assert (done["merchant_id"], done["status_after"]) == ("m-2", "active")
        assert trial_of(billing)[0] == "ended"
        assert never.stderr.startswith("TRIAL_NOT_USED: ")


class TestBeforeItIsDone:
    @pytest.mark.usefixtures("books")
    @pytest.mark.parametrize("act", [("extend", "--days", "3"), ("end",)], ids=" ".join)
    def test_without_a_terminal_somebody_must_have_said_yes(self, billing: Billing, act: tuple[str, ...]) -> None:
        """Off a terminal nobody can be asked: exit 2, and nothing is changed."""
        before = trial_of(billing)

        result = billing("trials", act[0], "m-1", *act[1:], *WHY)

        assert (result.exit_code, result.stdout) == (2, "")
        assert "--yes" in result.stderr
        assert trial_of(billing) == before

    @pytest.mark.usefixtures("books")
    @pytest.mark.parametrize(("answer", "exit_code", "status"), [(b"n\n", 1, "active"), (b"y\n", 0, "ended")])
    def test_on_a_terminal_the_person_is_asked(
        self, billing: Billing, answer: bytes, exit_code: int, status: str
    ) -> None:
        """The question says whose trial and until when it would run; only yes goes on."""
        ends_at = datetime.fromisoformat(trial_of(billing)[1])

        ended, question = typed(billing.environment, answer, "trials", "end", "m-1", *WHY)

        assert ended == exit_code
        assert f"End the trial of m-1 now, which would run until {ends_at:%Y-%m-%d %H:%M:%S}Z?" in question
        assert trial_of(billing)[0] == status

    @pytest.mark.parametrize("act", [("extend", "--days", "3"), ("end",), ("regrant",)], ids=" ".join)
    def test_a_merchant_nobody_announced_is_refused(self, billing: Billing, act: tuple[str, ...]) -> None:
        """Exit 1 and the code, before anything is asked."""
        result = billing("trials", act[0], "nobody", *act[1:], *WHY)

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("MERCHANT_NOT_FOUND: ")


class TestNext:
    @pytest.mark.usefixtures("books")
    def test_the_trials_screen_says_what_to_type(self, billing: Billing) -> None:
        """For a running trial to extend or end it, for one that is over to give another."""
        running = billing.json("trials", "show", "m-1")["next"]
        billing.json("trials", "end", "m-1", *WHY, "--yes")
        over = billing("trials", "show", "m-1").stdout

        assert [line.split(" --")[0] for line in running] == ["billing trials extend m-1", "billing trials end m-1"]
        assert "Next:\n  billing trials regrant m-1" in over
