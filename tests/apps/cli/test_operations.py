"""What operators do with purchases: reconcile, cancel, resolve, on a real Postgres and the sandbox's books."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.apps.cli.conftest import Billing, Books, Sandbox, typed


def events(billing: Billing, purchase_id: UUID) -> list[tuple[str, str, str | None]]:
    """What happened to the purchase: what, who, why."""
    entries = billing.json("purchases", "history", str(purchase_id))["data"]
    return [(each["what"], each["actor"], each["reason"]) for each in entries[1:]]


def state(billing: Billing, purchase_id: UUID) -> tuple[str, bool]:
    """The purchase's status, and whether a person must look."""
    shown = billing.json("purchases", "show", str(purchase_id))
    return shown["status"], shown["needs_review"]


class TestReconcile:
    async def test_a_paid_purchase_whose_notice_was_lost_is_settled(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """The platform is asked; what it says, what changed and what was announced is told; again changes nothing."""
        await sandbox.pay(books.open_id)

        done = billing.json("purchases", "reconcile", str(books.open_id), "--actor", "ada")
        again = billing.json("purchases", "reconcile", str(books.open_id))

        (found,) = done["data"]
        assert (found["status_before"], found["status_after"]) == ("created", "completed")
        assert found["announced"] == ["evt.billing.credits.purchased"]
        assert (found["platform_says"]["status"], found["platform_says"]["price"]["amount"]) == ("paid", "9.99")
        assert done["summary"] == {"asked": 1, "changed": 1, "unchanged": 0, "need_review": 0, "failed": 0}
        assert events(billing, books.open_id) == [("completed", "operator:ada", None)]
        assert (again["summary"]["changed"], again["data"][0]["announced"]) == (0, [])

    async def test_a_dry_run_tells_the_same_and_changes_nothing(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """The answer is the one of the real run; the purchase stays as it was."""
        await sandbox.pay(books.open_id)

        dry = billing.json("purchases", "reconcile", "--all-open", "--dry-run")

        after = {each["id"]: each["status_after"] for each in dry["data"]}
        assert (dry["dry_run"], after[str(books.open_id)]) == (True, "completed")
        assert state(billing, books.open_id) == ("created", False)
        assert events(billing, books.open_id) == []

    async def test_people_read_a_table_and_what_to_do_next(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """Rows on stdout, a summary and the next command on stderr."""
        await sandbox.pay(books.open_id, amount_minor=5)

        result = billing("purchases", "reconcile", str(books.open_id), str(books.open_id))

        assert result.exit_code == 0
        header, row = (line.split("\t") for line in result.stdout.splitlines())
        assert header == ["purchase", "merchant", "before", "after", "the platform says", "announced"]
        assert row[2:] == ["created", "created, needs review", "paid USD 0.05", "purchase.needs_review"]
        assert "Asked about 1: 1 changed, 0 unchanged, 1 need review" in result.stderr
        assert f"Next: billing purchases show {books.open_id}" in result.stderr

    async def test_a_merchant_s_open_ones_are_asked_by_age(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """Only the open ones of that merchant, and only those old enough."""
        await sandbox.execute(
            "update purchases set created_at = $2 where purchase_id = $1",
            books.open_id,
            datetime.now(UTC) - timedelta(hours=1),
        )

        def asked(*question: str) -> set[str]:
            return {each["id"] for each in billing.json("purchases", "reconcile", *question)["data"]}

        assert asked("--merchant", "m-1") == {str(books.open_id), str(books.review_id)}
        assert asked("--merchant", "m-1", "--older-than", "10m") == {str(books.open_id)}
        assert asked("--all-open", "--older-than", "2h") == set()

    def test_unknown_ids_are_named_and_nothing_is_asked(self, billing: Billing, books: Books) -> None:
        """One wrong id among right ones refuses the whole; so does an unknown merchant."""
        wrong = str(uuid4())

        result = billing("purchases", "reconcile", str(books.open_id), wrong)
        stranger = billing("purchases", "reconcile", "--merchant", "nobody")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("PURCHASE_NOT_FOUND: ")
        assert wrong in result.stderr
        assert str(books.open_id) not in result.stderr
        assert (stranger.exit_code, stranger.stderr.split(":")[0]) == (1, "MERCHANT_NOT_FOUND")

    def test_a_platform_that_cannot_be_asked_is_named_with_the_remedy(self, billing: Billing, books: Books) -> None:
        """Exit 1, what to do on stderr once for all, and the purchases stay as they were."""
        billing.environment |= {"BILLING_PLATFORMS": "stripe", "BILLING_STRIPE_SECRET_KEY": "sk_test_sample"}

        result = billing("purchases", "reconcile", "--all-open", "--json")

        done = json.loads(result.stdout)
        assert (result.exit_code, done["summary"]["failed"], done["summary"]["asked"]) == (1, 2, 2)
        assert {each["error"]["code"] for each in done["data"]} == {"PLATFORM_ERROR"}
        assert result.stderr.count("PLATFORM_ERROR: sandbox: ") == 1
        assert "add it to BILLING_PLATFORMS (2 purchases)" in result.stderr
        assert state(billing, books.open_id) == ("created", False)

    async def test_a_payment_that_is_another_s_is_told_and_kept_for_a_person(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """What cannot be settled stands in nobody's way, and exits with 1."""
        await sandbox.pay(books.open_id)
        await sandbox.pay(books.review_id)
        await sandbox.claim_for_another(books.open_id, books.review_id)

        result = billing("purchases", "reconcile", "--all-open", "--json")

        found = {each["id"]: each for each in json.loads(result.stdout)["data"]}
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith("REFERENCE_ALREADY_CLAIMED: ")
        assert found[str(books.open_id)]["needs_review"] is True
        assert found[str(books.review_id)]["status_after"] == "completed"


class TestCancel:
    async def test_it_says_who_and_why(self, billing: Billing, books: Books) -> None:
        """In the answer and in the history, also for a purchase whose checkout was never answered."""
        who = ("--reason", "asked by phone", "--actor", "ada", "--yes")

        cancelled = billing.json("purchases", "cancel", str(books.open_id), *who)

        assert (cancelled["status_after"], cancelled["announced"]) == ("cancelled", ["evt.billing.purchase.cancelled"])
        assert events(billing, books.open_id)[0] == ("cancelled", "operator:ada", "asked by phone")

    async def test_its_checkout_is_closed_at_the_platform(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """After the real run nobody can pay there; after the dry run they still could."""
        await sandbox.open_checkout(books.open_id)
        arguments = ("purchases", "cancel", str(books.open_id), "--reason", "asked by phone")

        dry = billing.json(*arguments, "--dry-run")
        after_dry = state(billing, books.open_id)
        cancelled = billing.json(*arguments, "--yes")
        asked = billing.json("purchases", "reconcile", str(books.open_id))

        assert (dry["dry_run"], dry["status_after"], after_dry) == (True, "cancelled", ("pending", False))
        assert (cancelled["status_before"], cancelled["status_after"]) == ("pending", "cancelled")
        assert asked["data"][0]["platform_says"]["status"] == "cancelled"

    async def test_one_that_is_paid_is_completed_instead(
        self, billing: Billing, books: Books, sandbox: Sandbox
    ) -> None:
        """The merchant gets what was paid for; the command says it did not cancel, and exits with 1."""
        await sandbox.pay(books.open_id)

        result = billing("purchases", "cancel", str(books.open_id), "--reason", "asked by phone", "--yes", "--json")

        assert result.exit_code == 1
        assert json.loads(result.stdout)["status_after"] == "completed"
        assert result.stderr.startswith("NOT_CANCELLED: by what the platform says it is completed")

    def test_one_that_is_over_is_refused(self, billing: Billing, books: Books) -> None:
        """Cancelled is cancelled: exit 1 with the reason."""
        arguments = ("purchases", "cancel", str(books.open_id), "--reason", "twice", "--yes")
        billing.json(*arguments)

        result = billing(*arguments)

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("RESOLUTION_REFUSED: this purchase is cancelled")

    def test_without_a_terminal_somebody_must_have_said_yes(self, billing: Billing, books: Books) -> None:
        """Off a terminal nobody can be asked: exit 2, and nothing is changed."""
        result = billing("purchases", "cancel", str(books.open_id), "--reason", "asked by phone")

        assert (result.exit_code, result.stdout) == (2, "")
        assert "--yes" in result.stderr
        assert state(billing, books.open_id) == ("created", False)

    @pytest.mark.parametrize(("answer", "exit_code", "status"), [(b"n\n", 1, "created"), (b"y\n", 0, "cancelled")])
    def test_on_a_terminal_the_person_is_asked(
        self, billing: Billing, books: Books, answer: bytes, exit_code: int, status: str
    ) -> None:
        """The question names the purchase and its merchant; only yes goes on."""
        ended, question = typed(
            billing.environment, answer, "purchases", "cancel", str(books.open_id), "--reason", "asked by phone"
        )

        assert ended == exit_code
        assert f"Call off purchase {books.open_id} of m-1: small, USD 9.99, created?" in question
        assert state(billing, books.open_id) == (status, False)

    def test_an_unknown_one_is_refused(self, billing: Billing) -> None:
        """An id nobody has: exit 1 and the code."""
        for arguments in (["cancel"], ["resolve", "--dismiss"]):
            result = billing("purchases", arguments[0], str(uuid4()), *arguments[1:], "--reason", "why", "--yes")

            assert (result.exit_code, result.stdout) == (1, "")
            assert result.stderr.startswith("PURCHASE_NOT_FOUND: ")


@pytest.fixture
async def mismatched_id(books: Books, sandbox: Sandbox, billing: Billing) -> UUID:
    """A purchase paid with another amount than its price, found so by the reconciler."""
    await sandbox.pay(books.open_id, amount_minor=500)
    assert billing.json("purchases", "reconcile", str(books.open_id))["summary"]["need_review"] == 1
    return books.open_id


class TestResolve:
    async def test_accepting_gives_the_credits(self, billing: Billing, mismatched_id: UUID) -> None:
        """The payment is taken for the one offered; a dry run says so first and changes nothing."""
        arguments = ("purchases", "resolve", str(mismatched_id), "--accept", "--reason", "old price", "--actor", "ada")

        dry = billing.json(*arguments, "--dry-run")
        after_dry = state(billing, mismatched_id)
        done = billing.json(*arguments, "--yes")

        assert (dry["status_after"], after_dry) == ("completed", ("created", True))
        assert (done["status_after"], done["announced"]) == ("completed", ["evt.billing.credits.purchased"])
        assert state(billing, mismatched_id) == ("completed", False)
        assert events(billing, mismatched_id)[-1] == ("completed", "operator:ada", "old price")

    async def test_dismissing_gives_none(self, billing: Billing, mismatched_id: UUID) -> None:
        """The open purchase is called off, and the same finding asks for nobody again."""
        arguments = ("purchases", "resolve", str(mismatched_id), "--dismiss", "--reason", "given back")

        done = billing.json(*arguments, "--actor", "ada", "--yes")
        again = billing.json("purchases", "reconcile", str(mismatched_id))

        assert (done["changes"], done["announced"]) == (["dismissed", "cancelled"], ["evt.billing.purchase.cancelled"])
        assert (again["summary"]["changed"], again["summary"]["need_review"]) == (0, 0)
        assert state(billing, mismatched_id) == ("cancelled", False)
        assert [each[1:] for each in events(billing, mismatched_id)[-2:]] == [("operator:ada", "given back")] * 2

    @pytest.mark.parametrize("verdict", ["--accept", "--dismiss"])
    def test_one_that_needs_no_review_is_refused(self, billing: Billing, books: Books, verdict: str) -> None:
        """There is nothing to resolve: exit 1, with or without a payment."""
        result = billing("purchases", "resolve", str(books.open_id), verdict, "--reason", "why", "--yes")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("RESOLUTION_REFUSED: ")

    async def test_what_needs_a_person_is_shown_with_the_next_command(
        self, billing: Billing, mismatched_id: UUID
    ) -> None:
        """The purchase's screen, the list and the merchant's screen say what to type."""
        shown = billing.json("purchases", "show", str(mismatched_id))
        merchant = billing("merchants", "show", "m-1").stdout

        assert shown["next"][0].startswith(f"billing purchases resolve {mismatched_id} --accept --reason ")
        assert "it is of USD 5.00, the offer was USD 9.99" in shown["review_reason"]
        listed = billing.json("purchases", "list", "--needs-review")["data"]
        assert str(mismatched_id) in {each["id"] for each in listed}
        assert "Needs a person" in merchant
        assert f"billing purchases resolve {mismatched_id} --dismiss" in merchant


class TestRehearsal:
    @pytest.mark.parametrize("job", ["reconcile-purchases", "expire-purchases"])
    async def test_a_job_s_dry_run_tells_what_it_would_do(
        self, billing: Billing, books: Books, sandbox: Sandbox, job: str
    ) -> None:
        """The paid one would be completed; nothing is changed, and the job then does just that."""
        await sandbox.pay(books.open_id)
        later = (datetime.now(UTC) + timedelta(days=3)).isoformat()

        dry = billing.json("jobs", "run", job, "--now", later, "--dry-run")
        after_dry = state(billing, books.open_id)
        billing.json("jobs", "run", job, "--now", later)

        after = {each["id"]: each["status_after"] for each in dry["data"]}
        assert (dry["dry_run"], after[str(books.open_id)]) == (True, "completed")
        assert after_dry == ("created", False)
        assert state(billing, books.open_id) == ("completed", False)

    async def test_a_job_says_what_it_could_not_settle(self, billing: Billing, books: Books, sandbox: Sandbox) -> None:
        """The others are done; the one that is not is named on stderr, and the exit code is 1."""
        await sandbox.pay(books.open_id)
        await sandbox.claim_for_another(books.open_id, books.review_id)
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()

        result = billing("jobs", "run", "reconcile-purchases", "--now", later, "--json")

        assert (result.exit_code, json.loads(result.stdout)["figures"]["faults"]) == (1, 1)
        assert result.stderr.splitlines()[-1].startswith("JOB_FAULT: ReferenceAlreadyClaimed: ")

    def test_a_job_without_one_says_so(self, billing: Billing, books: Books) -> None:
        """A job that cannot be rehearsed is not run instead; the list says which can."""
        result = billing("jobs", "run", "expire-trials", "--dry-run", "--now", "2999-01-01T00:00:00Z")
        jobs = billing.json("jobs", "list")["data"]

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("NO_DRY_RUN: expire-trials has no dry run")
        assert {each["name"] for each in jobs if each["dry_run"]} == {"reconcile-purchases", "expire-purchases"}
        assert billing.json("trials", "show", books.merchant_id)["status"] == "active"
