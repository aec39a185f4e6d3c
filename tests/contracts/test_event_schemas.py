"""The schemas other services read are those of the events we send."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from billing_core.domain.events import Change
from billing_core.domain.money import Money
from billing_core.domain.packs import TrialTerms
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus, create_purchase
from billing_core.domain.trials import refuse_trial, start_trial
from billing_core.messages import encode_event, schemas
from billing_core.testing import MOMENT, a_merchant, a_purchase, a_report, an_offer, an_origin
from billing_core.testing.builders import a_grant

FROZEN = Path(__file__).parents[2] / "schemas" / "events"
SCHEMAS = schemas()
BY = an_origin(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", reason="a test")


def _trial_changes() -> list[Change]:
    merchant, terms = a_merchant(), TrialTerms()
    started = start_trial(UUID(int=1), merchant, terms, MOMENT, BY)
    trial, later = started.trial, started.trial.ends_at
    decisions = [
        started,
        trial.expire(later, BY),
        trial.remind(later - timedelta(days=1), BY),
        trial.extend(later + timedelta(days=1), MOMENT, BY),
        trial.note_purchase(UUID(int=2), terms, MOMENT, BY),
        trial.end(MOMENT, BY),
        refuse_trial(UUID(int=3), merchant, terms, MOMENT, BY),
    ]
    return [change for decision in decisions for change in decision.changes]


def _purchase_changes() -> list[Change]:
    pending = a_purchase(offer=an_offer(bonus_credits=5))
    created = create_purchase(
        UUID(int=4),
        a_merchant(),
        pending.offer,
        return_url="https://shop.example",
        lifetime=timedelta(hours=1),
        test=False,
        now=MOMENT,
        by=BY,
    )
    paid = pending.settle(a_report(pending), MOMENT, BY)
    refunded = _reported(paid.purchase, refunded_minor=1)
    decisions = [
        created,
        paid,
        refunded,
        _reported(refunded.purchase, refunded_minor=0),
        _reported(paid.purchase, dispute=DisputeStatus.OPEN),
        _reported(pending, price=Money(amount_minor=1, currency="USD")),
        *(_reported(pending, status=end) for end in PaymentStatus if end not in ("paid", "pending", "processing")),
        a_purchase(status=PurchaseStatus.CREATED).fail("refused", MOMENT, BY),
    ]
    return [change for decision in decisions for change in decision.changes]


def _reported(purchase: Purchase, **values: Any) -> Any:
    return purchase.settle(a_report(purchase, **values), MOMENT, BY)


CHANGES = [*_trial_changes(), *_purchase_changes(), a_grant().change(BY)]


def _event(change: Change) -> Mapping[str, Any]:
    return json.loads(encode_event(change, 1))  # type: ignore[no-any-return] # an event is an object


class TestEventSchemas:
    def test_frozen_files_equal_the_running_code(self) -> None:
        """`script/schemas` was run after the last change of an event."""
        frozen = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FROZEN.glob("*.json")}

        assert frozen == SCHEMAS

    @pytest.mark.parametrize("kind", sorted(SCHEMAS))
    def test_each_is_a_json_schema(self, kind: str) -> None:
        """Any 2020-12 validator takes it."""
        Draft202012Validator.check_schema(SCHEMAS[kind])

    def test_the_events_below_cover_every_type(self) -> None:
        """No schema goes without an event to hold it against."""
        assert {change.fact.type for change in CHANGES if change.fact is not None} == set(SCHEMAS)

    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.number}-{change.fact.type}")
    def test_every_event_satisfies_its_schema(self, change: Change) -> None:
        """What the domain decides is what the schema promises, with a traceparent and without."""
        untraced = replace(change, by=an_origin())

        for event in (_event(change), _event(untraced)):
            validator = Draft202012Validator(SCHEMAS[event["type"]], format_checker=FormatChecker())
            assert [error.message for error in validator.iter_errors(event)] == []

    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.number}-{change.fact.type}")
    def test_an_event_that_lacks_a_promised_field_is_refused(self, change: Change) -> None:
        """The schema promises every field there is, but for a reason that may not be given."""
        event = _event(change)
        validator = Draft202012Validator(SCHEMAS[event["type"]])

        for name in set(event):
            assert not validator.is_valid({key: value for key, value in event.items() if key != name}), name
        for name in set(event["data"]) - {"reason"}:
            data = {key: value for key, value in event["data"].items() if key != name}
            assert not validator.is_valid({**event, "data": data}), name
