"""Facts: each has one id for ever, derived from what it tells."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from billing_core.domain.events import FACTS, Change, Fact, Origin, Price, TrialExpired, TrialExpiring, rfc3339
from billing_core.domain.money import Money

NOW = datetime(2026, 3, 20, 9, 30, tzinfo=UTC)
BY = Origin(actor="test", correlation_id="c-1")
EXPIRED = TrialExpired(merchant_id="m-1", platform="sandbox", trial_id=UUID(int=1), credits=5, expired_at=NOW)
EXPIRING = TrialExpiring(merchant_id="m-1", platform="sandbox", trial_id=UUID(int=1), ends_at=NOW)


def _change(fact: Fact | None, **values: Any) -> Change:
    fields: dict[str, Any] = {
        "merchant_id": "m-1",
        "subject": "trial",
        "subject_id": UUID(int=1),
        "number": 2,
        "what": "changed",
        "status_before": "active",
        "status_after": "expired",
        "at": NOW,
        "by": BY,
    }
    return Change(fact=fact, **(fields | values))


class TestEventId:
    def test_is_the_same_on_every_attempt(self) -> None:
        """Who tells a once-only fact, when, and as which change does not matter."""
        other = _change(EXPIRED, at=NOW + timedelta(days=1), by=Origin(actor="x", correlation_id="y"), number=9)

        assert _change(EXPIRED).event_id == other.event_id

    def test_is_the_same_in_every_process_and_version(self) -> None:
        """The id is written down here: a change of how it is made would announce every fact a second time."""
        assert str(_change(EXPIRED).event_id) == "ed63a12c-e2ea-5ab2-bd90-ab1555524c5f"

    def test_is_one_for_ever_for_each_fact_that_happens_once(self) -> None:
        """Whatever decides such a fact again, consumers drop it: its id leaves out the number of the change."""
        once = {fact.type.removeprefix("evt.billing.") for fact in FACTS if fact.once}

        assert once == {
            "trial.started", "trial.expired", "trial.converted", "trial.ended", "trial.refused",
            "credits.purchased", "credits.granted", "purchase.created",
        }  # fmt: skip

    def test_tells_repeatable_facts_of_one_subject_apart(self) -> None:
        """A second reminder is another event, the same reminder again is not."""
        assert _change(EXPIRING, number=2).event_id != _change(EXPIRING, number=3).event_id
        assert _change(EXPIRING, number=2).event_id == _change(EXPIRING, number=2).event_id

    def test_differs_between_subjects_and_kinds_of_fact(self) -> None:
        """No two facts share an id."""
        ids = {
            _change(EXPIRED).event_id,
            _change(EXPIRED, subject_id=UUID(int=2)).event_id,
            _change(EXPIRING).event_id,
        }

        assert len(ids) == 3

    def test_a_change_that_announces_nothing_has_no_event_id(self) -> None:
        """Asking for it is a programming error."""
        with pytest.raises(ValueError, match="announces nothing"):
            _ = _change(None).event_id


class TestFacts:
    def test_every_fact_has_a_type_of_its_own_below_evt_billing(self) -> None:
        """The type is the subject consumers subscribe to."""
        types = [fact.type for fact in FACTS]

        assert len(set(types)) == len(types)
        assert all(kind.startswith("evt.billing.") for kind in types)

    def test_no_fact_is_forgotten(self) -> None:
        """Every fact the domain can tell is among those with a schema."""
        told, waiting = set(), [Fact]
        while waiting:
            kind = waiting.pop()
            waiting.extend(kind.__subclasses__())
            # pydantic makes no subclasses of facts; those that begin with an underscore are shapes, not facts
            if kind is not Fact and not kind.__name__.startswith("_"):
                told.add(kind)

        assert told == set(FACTS)

    def test_a_fact_cannot_be_changed(self) -> None:
        """What is true stays."""
        with pytest.raises(ValidationError):
            EXPIRED.credits = 6  # type: ignore[misc] # that it is refused is the test


class TestWireValues:
    def test_a_moment_is_written_in_utc_with_microseconds_and_z(self) -> None:
        """One spelling for every moment, whatever zone it came in."""
        assert rfc3339(NOW) == "2026-03-20T09:30:00.000000Z"
        assert rfc3339(NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))) == rfc3339(NOW)

    def test_are_told_in_utc_wherever_the_machine_stands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server set to Tokyo's time announces the same moment in the same words."""
        with monkeypatch.context() as tokyo:
            tokyo.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            told = rfc3339(NOW)
        time.tzset()

        assert told == "2026-03-20T09:30:00.000000Z"

    def test_a_price_carries_cents_for_programs_and_a_decimal_for_people(self) -> None:
        """Both say the same."""
        assert Price.of(Money(amount_minor=6999, currency="USD")).model_dump() == {
            "amount_minor": 6999,
            "currency": "USD",
            "amount": "69.99",
        }
