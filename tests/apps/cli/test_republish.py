"""Events published again from the outbox: under the same ids, in order, and never a second fact."""

import json
from typing import Any

import pytest
from tests.apps.cli.conftest import Billing, Books, on_nats

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import BILLING, ensure_streams

OF_THE_SHOP = ("events", "republish", "--merchant", "m-1")


def told(billing: Billing) -> list[dict[str, Any]]:
    """Every event on the stream."""
    lines = billing("events", "tail", "--since", "1h", "--no-follow", "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in events]


async def lose_everything(connection: NatsConnection) -> None:
    """The stream is gone, with all messages and all ids it knew."""
    await connection.jetstream.delete_stream(BILLING)
    await ensure_streams(connection, manage_all=False)


@pytest.fixture
def published(billing: Billing, books: Books, streams: None) -> list[dict[str, Any]]:
    """The four events of the shop's books, on the stream."""
    billing.json("jobs", "run", "relay-events")
    return told(billing)


class TestRepublish:
    def test_what_the_stream_knows_is_not_stored_again(self, billing: Billing, published: list[dict[str, Any]]) -> None:
        """However often, by whichever way: the stream drops every repeat, and the command says so."""
        ways = (
            OF_THE_SHOP,
            ("events", "republish", "--since", "1h"),
            ("events", "republish", "--id", ids(published)[2]),
        )

        figures = [billing.json(*way) for way in ways]

        assert [(each["published"], each["stored"]) for each in figures] == [(4, 0), (4, 0), (1, 0)]
        assert told(billing) == published

    def test_what_the_stream_lost_comes_back_the_same(
        self, billing: Billing, published: list[dict[str, Any]], nats_url: str
    ) -> None:
        """Under the same ids, with the same bytes, in each merchant's order."""
        on_nats(nats_url, lose_everything)
        assert told(billing) == []

        done = billing.json(*OF_THE_SHOP)

        assert (done["published"], done["stored"], done["known_before"]) == (4, 4, 0)
        assert told(billing) == published
        assert [each["sequence"] for each in published] == [1, 2, 3, 4]

    def test_a_range_or_some_ids_and_no_others(
        self, billing: Billing, published: list[dict[str, Any]], nats_url: str
    ) -> None:
        """Sequences from and to are both meant; ids go out in their order, not in the order they were typed."""
        on_nats(nats_url, lose_everything)
        first, second, third, fourth = ids(published)

        middle = billing.json(*OF_THE_SHOP, "--from", "2", "--to", "3")
        after_middle = ids(told(billing))
        outer = billing.json("events", "republish", "--id", fourth, "--id", first)

        assert (middle["stored"], after_middle) == (2, [second, third])
        assert (outer["stored"], ids(told(billing))[2:]) == (2, [first, fourth])

    def test_a_dry_run_counts_and_publishes_nothing(
        self, billing: Billing, published: list[dict[str, Any]], nats_url: str
    ) -> None:
        """It tells how many there are."""
        on_nats(nats_url, lose_everything)

        dry = billing.json("events", "republish", "--since", "1h", "--dry-run")

        assert (dry["dry_run"], dry["found"], dry["published"]) == (True, len(published), 0)
        assert told(billing) == []

    def test_progress_is_told_beside_the_answer(self, billing: Billing, published: list[dict[str, Any]]) -> None:
        """Lines on stderr where it is no terminal; the answer alone on stdout."""
        result = billing(*OF_THE_SHOP)

        assert "publishing again: 4 of 4" in result.stderr
        assert result.stdout.startswith("4 of 4 event(s) published again: 0 stored anew, 4 still known")

    @pytest.mark.usefixtures("books", "streams")
    def test_what_never_went_out_is_left_to_the_relay(self, billing: Billing) -> None:
        """Or it would overtake the events before it."""
        result = billing(*OF_THE_SHOP, "--from", "2")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("NOTHING_TO_PUBLISH: ")
        assert told(billing) == []

    @pytest.mark.usefixtures("published")
    def test_an_unknown_id_is_named_and_nothing_published(self, billing: Billing) -> None:
        """One wrong id among others stops them all."""
        unknown = "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"

        result = billing("events", "republish", "--id", unknown)

        assert (result.exit_code, result.stdout) == (1, "")
        assert unknown in result.stderr

    @pytest.mark.usefixtures("published")
    def test_nats_away_halfway_is_told_with_what_was_done(self, billing: Billing) -> None:
        """The figures stand on stdout, and the reason and that it may be repeated on stderr."""
        billing.environment["BILLING_NATS_URL"] = "nats://127.0.0.1:1"

        result = billing(*OF_THE_SHOP, "--json")

        figures = json.loads(result.stdout)
        assert (result.exit_code, figures["found"], figures["published"]) == (1, 4, 0)
        assert figures["stopped"]["code"] == "PUBLISHING_UNAVAILABLE"
        assert "run it again" in result.stderr
