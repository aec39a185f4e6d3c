"""Once each, in order, whatever the broker does; and what cannot be read stands in nobody's way."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import MerchantEvents, a_merchant
from billing_core.testing.stories import Story, deliveries, stories
from credit_service.store import CreditStore


def bodies(*events: OutboxEvent) -> list[bytes]:
    """The messages as they arrive."""
    return [event.body for event in events]


def a_bought_pack() -> MerchantEvents:
    """A trial of 500, a pack of 1000 credits of which 400 were taken back."""
    told = MerchantEvents(a_merchant("m-1"))
    told.tell("evt.billing.trial.started", credits=500)
    told.tell("evt.billing.credits.purchased", credits=1000)
    told.tell("evt.billing.credits.reversed", credits=400)
    return told


class TestBalances:
    """What a merchant has."""

    @given(data=st.data(), told=st.lists(stories(), max_size=3, unique_by=lambda story: story.merchant.merchant_id))
    def test_any_delivery_of_any_stories_ends_in_the_same_balances(
        self, data: st.DataObject, told: list[Story]
    ) -> None:
        """Repeated, out of order, in batches of any size, merchants mixed: what Billing's own books say."""
        store = CreditStore(":memory:")
        delivered = data.draw(deliveries([event for story in told for event in story.events]))

        for batch in data.draw(_batches(delivered)):
            store.take(bodies(*batch))

        assert store.balances() == {each.merchant.merchant_id: each.credits for each in told if each.events}
        assert list(store.gaps()) == []
        assert list(store.parked()) == []
        store.close()

    def test_an_ended_trial_takes_its_own_credits_and_no_others(self, store: CreditStore) -> None:
        """What was bought and granted stays."""
        told = MerchantEvents(a_merchant("m-1"))
        started = told.tell("evt.billing.trial.started", credits=500)
        told.tell("evt.billing.credits.purchased", credits=100, bonus_credits=10)
        told.tell("evt.billing.credits.granted", credits=50)
        trial_id = json.loads(started.body)["data"]["trial_id"]
        told.tell("evt.billing.trial.expired", trial_id=trial_id, credits=500)

        store.take(bodies(*told.published))

        assert store.balances() == {"m-1": 160}

    def test_a_dispute_that_is_won_brings_the_credits_back(self, store: CreditStore) -> None:
        """Reversed, then restored."""
        told = a_bought_pack()
        told.tell("evt.billing.credits.restored", credits=400)

        store.take(bodies(*told.published))

        assert store.balances() == {"m-1": 1500}


class TestOrder:
    """A merchant's events count by their sequence."""

    def test_what_came_too_early_waits_and_the_gap_is_told_with_its_remedy(self, store: CreditStore) -> None:
        """Until then nothing after the gap counts; then everything does, at once."""
        first, second, third = a_bought_pack().published
        store.take(bodies(first, third))

        (gap,) = store.gaps()
        assert store.balances() == {"m-1": 500}
        assert gap.remedy == "billing events republish --merchant m-1 --from 2 --to 2"

        store.take(bodies(second))
        assert store.balances() == {"m-1": 1100}
        assert list(store.gaps()) == []

    def test_one_merchants_gap_holds_up_no_other(self, store: CreditStore) -> None:
        """Each has a sequence of their own."""
        other = MerchantEvents(a_merchant("m-2")).tell("evt.billing.credits.granted", credits=7)

        store.take(bodies(*a_bought_pack().published[1:], other))

        assert store.balances() == {"m-2": 7}
        assert [(gap.merchant_id, gap.first, gap.last) for gap in store.gaps()] == [("m-1", 1, 1)]


class TestTransactions:
    """All of a batch or nothing."""

    def test_what_was_not_committed_never_happened_and_comes_again(self, store: CreditStore) -> None:
        """A store that fails in the middle of a batch keeps nothing of it."""
        messages = bodies(*a_bought_pack().published)

        with pytest.raises(sqlite3.Error):
            store.take([*messages[:2], _Unstorable(messages[2])])
        before = store.balances()
        store.take(messages)

        assert before == {}
        assert store.balances() == {"m-1": 1100}

    def test_two_processes_share_a_file(self, tmp_path: Path) -> None:
        """Each takes half of the messages, twice over; every event counts once."""
        one, other = CreditStore(tmp_path / "credits.db"), CreditStore(tmp_path / "credits.db")
        first, second, third = bodies(*a_bought_pack().published)

        one.take([third])
        other.take([first, third])
        one.take([second, first])

        assert one.balances() == other.balances() == {"m-1": 1100}
        one.close()
        other.close()

    def test_what_is_committed_survives_the_process(self, tmp_path: Path) -> None:
        """What waits for its turn too: it was acknowledged."""
        first, second, third = bodies(*a_bought_pack().published)
        before = CreditStore(tmp_path / "credits.db")
        before.take([first, third])
        before.close()
        after = CreditStore(tmp_path / "credits.db")

        after.take([second])

        assert after.balances() == {"m-1": 1100}
        after.close()


class TestPoison:
    """What cannot be applied is kept whole, said why, and passed by."""

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"type": "evt.other"}', b'{"type": "evt.billing.trial.started"}']
    )
    def test_what_cannot_be_read_is_parked_once_and_the_next_counts(self, store: CreditStore, body: bytes) -> None:
        """However often it is delivered."""
        store.take([body, *bodies(*a_bought_pack().published), body])

        (parked,) = store.parked()
        assert parked.body == body
        assert parked.reason
        assert store.balances() == {"m-1": 1100}

    def test_another_event_under_a_number_that_is_taken_is_parked(self, store: CreditStore) -> None:
        """Two facts cannot both be a merchant's second event; which is right is for a person to say."""
        told, other = a_bought_pack(), MerchantEvents(a_merchant("m-1"))
        other.tell("evt.billing.trial.started")
        forged = other.tell("evt.billing.credits.granted", credits=10**6)

        store.take(bodies(*told.published, forged))

        (parked,) = store.parked()
        assert parked.reason.startswith("number 2 of m-1 is event ")
        assert store.balances() == {"m-1": 1100}

    def test_an_event_under_another_number_than_before_is_parked(self, store: CreditStore) -> None:
        """An id is one fact, and a fact has one place."""
        first, *_ = a_bought_pack().published
        moved = json.dumps({**json.loads(first.body), "sequence": 9}).encode()

        store.take([first.body, moved])

        (parked,) = store.parked()
        assert "is number 1 of m-1 already" in parked.reason
        assert list(store.gaps()) == []

    def test_a_parked_message_can_be_tried_again(self, store: CreditStore) -> None:
        """It is taken once what was wrong is mended, and parked again where it is not."""
        store.take([b"nonsense"])
        (parked,) = store.parked()

        assert store.replay(parked.parked_id) is False
        assert [each.body for each in store.parked()] == [b"nonsense"]
        with pytest.raises(KeyError):
            store.replay("no such message")


class _Unstorable(bytes):
    """A message that is well-formed and that SQLite cannot store: the machine fails in the middle of a batch."""

    def __conform__(self, _: object) -> object:
        raise sqlite3.OperationalError("disk I/O error")


def _batches(delivered: Sequence[OutboxEvent]) -> st.SearchStrategy[list[list[OutboxEvent]]]:
    """The deliveries cut into batches, empty ones too."""
    cuts = st.lists(st.integers(0, len(delivered)), max_size=8).map(sorted)
    return cuts.map(lambda at: [list(delivered[a:b]) for a, b in zip([0, *at], [*at, len(delivered)], strict=True)])
