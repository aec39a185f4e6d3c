"""Messages that could not be handled: looked at, sent again, given up."""

from uuid import UUID, uuid4

import pytest
from tests.apps.cli.conftest import Billing, Books, typed


class TestParked:
    def test_a_parked_message_is_listed_and_shown_whole(self, billing: Billing, books: Books) -> None:
        """The list says why; the message is shown with its headers and body."""
        listed = billing.json("parked", "list")["data"]
        shown = billing.json("parked", "show", str(books.parked_id))

        assert [each["id"] for each in listed] == [str(books.parked_id)]
        assert (shown["reason"], shown["headers"]) == ("the body is not JSON", {"Nats-Msg-Id": "x-1"})
        assert shown["body"].endswith(" not json")

    def test_what_others_sent_does_not_steer_the_terminal(self, billing: Billing, books: Books) -> None:
        """Control characters of a parked body are not printed as such."""
        shown = billing("parked", "show", str(books.parked_id))

        assert "not json" in shown.stdout
        assert "\x1b" not in shown.stdout

    @pytest.mark.usefixtures("streams")
    def test_a_replay_sends_it_and_takes_it_off_the_list(self, billing: Billing, books: Books) -> None:
        """A dry run sends nothing; a replay does, and the message then no longer waits."""
        dry = billing.json("parked", "replay", str(books.parked_id), "--dry-run")
        waiting = billing.json("parked", "list")["data"]
        sent = billing.json("parked", "replay", str(books.parked_id))
        left = billing.json("parked", "list")["data"]
        kept = billing.json("parked", "list", "--all")["data"]

        assert (dry["sent"], len(waiting)) == (False, 1)
        assert (sent["sent"], left) == (True, [])
        assert [each["id"] for each in kept] == [str(books.parked_id)]
        assert kept[0]["replayed_at"] is not None

    def test_an_unknown_one_is_refused(self, billing: Billing) -> None:
        """Neither a replay nor its dry run invents a message."""
        for arguments in (["replay"], ["replay", "--dry-run"], ["show"]):
            result = billing("parked", arguments[0], str(uuid4()), *arguments[1:])

            assert result.exit_code == 1
            assert result.stderr.startswith("PARKED_MESSAGE_NOT_FOUND: ")


def waiting(billing: Billing) -> list[str]:
    """The ids of the messages that wait."""
    return [each["id"] for each in billing.json("parked", "list")["data"]]


class TestDrop:
    def test_it_takes_the_message_off_the_list_and_says_who_and_why(self, billing: Billing, books: Books) -> None:
        """A dry run changes nothing; a dropped message is shown among all, whole, and can still be sent again."""
        arguments = ("parked", "drop", str(books.parked_id), "--reason", "a test system", "--actor", "ada")

        dry = billing.json(*arguments, "--dry-run")
        before = waiting(billing)
        done = billing.json(*arguments, "--yes")
        (kept,) = billing.json("parked", "list", "--all")["data"]
        shown = billing.json("parked", "show", str(books.parked_id))

        assert [each["dropped"] for each in (*dry["data"], *done["data"])] == [False, True]
        assert (before, waiting(billing)) == ([str(books.parked_id)], [])
        assert (kept["dropped_by"], kept["drop_reason"]) == ("operator:ada", "a test system")
        assert kept["dropped_at"] is not None
        assert kept["replayed_at"] is None
        assert shown["body"].endswith(" not json")
        assert "dropped" in billing("parked", "list", "--all").stdout
        assert billing.json("parked", "replay", str(books.parked_id), "--dry-run")["sent"] is False

    def test_without_a_terminal_somebody_must_have_said_yes(self, billing: Billing, books: Books) -> None:
        """Off a terminal nobody can be asked: exit 2, and nothing is dropped."""
        result = billing("parked", "drop", str(books.parked_id), "--reason", "why")

        assert (result.exit_code, result.stdout) == (2, "")
        assert "--yes" in result.stderr
        assert waiting(billing) == [str(books.parked_id)]

    @pytest.mark.parametrize(("answer", "exit_code", "left"), [(b"n\n", 1, 1), (b"y\n", 0, 0)])
    def test_on_a_terminal_the_person_is_asked(
        self, billing: Billing, books: Books, answer: bytes, exit_code: int, left: int
    ) -> None:
        """The question names the message and why it was parked; only yes goes on."""
        ended, question = typed(billing.environment, answer, "parked", "drop", str(books.parked_id), "--reason", "why")

        assert ended == exit_code
        assert f"Give up 1 message(s): {books.parked_id} (evt.merchant.created: the body is not JSON)?" in question
        assert len(waiting(billing)) == left

    def test_all_or_none(self, billing: Billing, books: Books) -> None:
        """One unknown id, or one dropped before: exit 1, and the others wait on."""
        unknown = uuid4()

        def drop(*parked_ids: UUID) -> str:
            result = billing("parked", "drop", *map(str, parked_ids), "--reason", "why", "--yes")
            assert (result.exit_code, result.stdout) == (1, "")
            return result.stderr

        with_unknown = drop(books.parked_id, unknown)
        left = waiting(billing)
        billing.json("parked", "drop", str(books.parked_id), "--reason", "why", "--yes")

        assert with_unknown.startswith(f"PARKED_MESSAGE_NOT_FOUND: there is no parked message {unknown}")
        assert left == [str(books.parked_id)]
        assert drop(books.parked_id).startswith("PARKED_MESSAGE_NOT_WAITING: ")
