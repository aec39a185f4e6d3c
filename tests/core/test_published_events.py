"""Events built and judged for the services that read them: built ones are Billing's own, and nothing else passes."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from billing_core.errors import MalformedMessage
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import (
    InMemoryBilling,
    MerchantEvents,
    a_merchant,
    an_event,
    assert_event,
    assert_sequence,
    decode,
    event_faults,
)
from billing_core.testing.event_builders import EVENT_TYPES
from billing_core.testing.stories import events
from billing_core.use_cases.inbound import Done

PURCHASED = "evt.billing.credits.purchased"


class TestAnEvent:
    """One event, as Billing would publish it."""

    @pytest.mark.parametrize("type_", EVENT_TYPES)
    def test_every_kind_can_be_built_and_is_faultless(self, type_: str) -> None:
        """Without a word about its data."""
        merchant = a_merchant("m-1")

        event = an_event(type_, merchant, sequence=7)

        told = assert_event(event, type_, merchant_id="m-1", platform="sandbox")
        assert (told.sequence, told.subject, told.id) == (7, "m-1", event.event_id)
        assert (event.type, event.sequence, event.merchant_id) == (type_, 7, "m-1")

    def test_it_tells_what_the_test_says(self) -> None:
        """Only that; the rest is usual."""
        told = decode(an_event(PURCHASED, credits=7, late=True).body).data.model_dump()

        assert (told["credits"], told["late"], told["bonus_credits"], told["test"]) == (7, True, 0, False)

    @pytest.mark.parametrize(("type_", "data"), [("evt.billing.nothing", {}), (PURCHASED, {"credit": 7})])
    def test_what_does_not_exist_cannot_be_built(self, type_: str, data: dict[str, Any]) -> None:
        """A misspelt field would leave the test about nothing."""
        with pytest.raises(ValueError, match=r"is no event of Billing|has no credit; it has purchase_id"):
            an_event(type_, **data)

    def test_what_happens_once_has_one_id_and_the_rest_one_for_each_time(self) -> None:
        """As Billing derives them: told twice it is the same fact, and a second refund is another."""
        told = MerchantEvents()
        bought = told.tell(PURCHASED)
        purchase_id = decode(bought.body).data.model_dump()["purchase_id"]
        again = told.tell(PURCHASED, purchase_id=purchase_id)
        refunds = [told.tell("evt.billing.credits.reversed", purchase_id=purchase_id, credits=1) for _ in range(2)]

        assert bought.event_id == again.event_id
        assert len({bought.event_id, *(each.event_id for each in refunds)}) == 3

    @given(event=events())
    @settings(max_examples=100)
    def test_drawn_events_are_faultless(self, event: OutboxEvent) -> None:
        """Whatever their figures and texts."""
        assert list(event_faults(event)) == []

    @given(event=events(PURCHASED))
    @settings(max_examples=5)
    def test_drawn_events_are_of_the_types_asked_for(self, event: OutboxEvent) -> None:
        """And of no others."""
        assert event.type == PURCHASED


class TestMerchantEvents:
    """A merchant's whole series."""

    def test_they_are_numbered_from_1_and_follow_each_other(self) -> None:
        """One merchant, one sequence, later each time."""
        told = MerchantEvents(a_merchant("m-1"))
        for type_ in EVENT_TYPES:
            told.tell(type_)

        read = [decode(each.body) for each in told.published]
        assert [each.sequence for each in read] == list(range(1, len(EVENT_TYPES) + 1))
        assert {each.subject for each in read} == {"m-1"}
        assert [each.time for each in read] == sorted({each.time for each in read})
        assert_sequence(told.published)


class TestFaults:
    """What Billing would never publish."""

    async def test_what_billing_publishes_has_none(self, billing: InMemoryBilling) -> None:
        """The judge is not stricter than the truth."""
        caller = await billing.register()
        await billing.activate_trial(caller, "key-1")
        assert await billing.pay(await billing.buy(caller)) == Done()
        await billing.relay_events()

        assert [list(event_faults(each)) for each in billing.published] == [[]] * 4

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (lambda e: e.pop("source"), "/source is missing"),
            (lambda e: e.pop("specversion"), "/specversion is missing"),
            (lambda e: e.update(source="billing"), "/source is 'billing'"),
            (lambda e: e.update(subject="m-2"), "/subject is 'm-2'"),
            (lambda e: e.update(colour="red"), "/colour is nothing Billing says"),
            (lambda e: e.update(id="0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"), "not derived from what the event tells"),
            (lambda e: e.update(sequence="1"), "/sequence is '1' where Billing writes 1"),
            (lambda e: e.update(sequence=0), "sequence: Input should be greater than or equal to 1"),
            (lambda e: e.update(time="2026-03-02T10:30:15.123456+01:00"), "/time is"),
            (lambda e: e.update(type="evt.billing.other"), "is no event of Billing"),
            (lambda e: e["data"].pop("late"), "data/late: Field required"),
            (lambda e: e["data"].update(credits="1000"), "/data/credits is '1000' where Billing writes 1000"),
            (lambda e: e["data"].update(test=0), "/data/test is 0 where Billing writes False"),
            (lambda e: e["data"].update(balance=7), "/data/balance is nothing Billing says"),
            (lambda e: e["data"]["price"].update(amount="6999"), "/data/price/amount is '6999'"),
        ],
    )
    def test_each_is_told(self, change: Callable[[Any], object], fault: str) -> None:
        """One thing wrong, one sentence, with its place."""
        document = json.loads(an_event(PURCHASED, a_merchant("m-1")).body)
        change(document)

        (told,) = event_faults(json.dumps(document).encode())

        assert fault in told

    def test_another_id_for_a_later_time_of_the_same_is_not_judged_but_its_kind_is(self) -> None:
        """How often a thing happened before is not in the event; that its id is derived can be seen."""
        document = json.loads(an_event("evt.billing.credits.reversed").body)
        document["id"] = "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"

        assert "not derived" in event_faults(json.dumps(document).encode())[0]

    def test_a_moment_may_be_written_without_its_zeros(self) -> None:
        """It is the same moment."""
        document = json.loads(an_event(PURCHASED).body)
        document["data"]["completed_at"] = "2026-03-02T09:30:15.123456Z"
        document["time"] = "2026-03-02T09:30:15Z"

        assert list(event_faults(json.dumps(document).encode())) == []

    def test_assert_event_refuses_what_has_one(self) -> None:
        """A service's own stand-in for Billing is held to what Billing does."""
        document = {**json.loads(an_event(PURCHASED).body), "extra": 1}

        with pytest.raises(AssertionError, match="/extra is nothing Billing says"):
            assert_event(json.dumps(document).encode(), PURCHASED)


class TestSequence:
    """A merchant's events are numbered without gaps, and none comes twice."""

    def test_gaps_and_repeats_are_told(self) -> None:
        """Each merchant by itself."""
        told, other = MerchantEvents(a_merchant("m-1")), MerchantEvents(a_merchant("m-2"))
        first, second = (told.tell(PURCHASED) for _ in range(2))
        beside = other.tell(PURCHASED)

        assert_sequence([first, beside, second])
        for wrong, message in (
            ([second], "m-1 are numbered [2]"),
            ([second, first], "m-1 are numbered [2, 1]"),
            ([first, beside, first], f"event {first.event_id} comes twice"),
        ):
            with pytest.raises(AssertionError, match=re.escape(message)):
                assert_sequence(wrong)

    def test_what_is_no_event_is_refused(self) -> None:
        """Instead of being passed over."""
        with pytest.raises(MalformedMessage):
            assert_sequence([b"{}"])
