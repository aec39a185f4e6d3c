"""Checks on published events, for the services that read them and for whoever plays Billing to them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from billing_core.domain.events import EVENT_ID_NAMESPACE, Fact, Price
from billing_core.domain.money import Money
from billing_core.errors import MalformedMessage
from billing_core.messages import SOURCE, Event, decode_event
from billing_core.ports.publishing import OutboxEvent

EVENT_ID_VERSION = 5
_SUBJECTS = ("trial_id", "purchase_id", "grant_id")


def decode(body: bytes) -> Event[Fact]:
    """This will read a published message and hold it against its model. Raises MalformedMessage."""
    return decode_event(body)


def assert_event(event: bytes | OutboxEvent, type: str, **data: Any) -> Event[Fact]:  # noqa: A002 - the envelope's word
    """This will check that the message is one Billing publishes, of that type, whose data has the given values, and
    return it. Raises AssertionError or MalformedMessage."""
    body = _body(event)
    told = decode_event(body)
    assert told.type == type, f"expected {type}, got {told.type}"
    faults = event_faults(body)
    assert not faults, f"{type} is not as Billing writes it: {'; '.join(faults)}"
    values = told.data.model_dump()
    differing = {name: values.get(name, "missing") for name in data if values.get(name, "missing") != data[name]}
    assert not differing, f"{type} tells {differing}, expected { ({name: data[name] for name in differing}) }"
    return told


def assert_sequence(events: Iterable[bytes | OutboxEvent]) -> None:
    """This will check that each merchant's events are numbered from 1 without gaps in the order given, and that no id
    comes twice. Raises AssertionError or MalformedMessage."""
    numbers: dict[str, list[int]] = defaultdict(list)
    ids: set[UUID] = set()
    for each in map(decode_event, map(_body, events)):
        assert each.id not in ids, f"event {each.id} comes twice"
        ids.add(each.id)
        numbers[each.subject].append(each.sequence)
    for merchant_id, told in numbers.items():
        assert told == list(range(1, len(told) + 1)), f"the events of {merchant_id} are numbered {told}"


def event_faults(event: bytes | OutboxEvent) -> Sequence[str]:
    """Everything in which the message is not as Billing writes it, a sentence each; none: it could be Billing's own.

    Stricter than reading: what Billing never leaves out must be there, and nothing it never says may be.
    """
    body = _body(event)
    try:
        told = decode_event(body)
    except MalformedMessage as wrong:
        return (str(wrong),)
    written = json.loads(told.model_dump_json())
    return (*_differences(json.loads(body), written, ""), *_contradictions(told))


def _differences(found: Any, written: Any, place: str) -> Iterator[str]:
    """Where a document is not what Billing would have written of the same event."""
    if isinstance(found, dict) and isinstance(written, dict):
        for name in sorted({*found, *written}):
            inner = f"{place}/{name}"
            if name not in found:
                yield f"{inner} is missing"
            elif name not in written:
                yield f"{inner} is nothing Billing says"
            else:
                yield from _differences(found[name], written[name], inner)
    elif type(found) is not type(written) or not (found == written or _same_moment(found, written)):
        yield f"{place} is {found!r} where Billing writes {written!r}"


def _same_moment(one: Any, other: Any) -> bool:
    try:
        return datetime.fromisoformat(one) == datetime.fromisoformat(other) and one.endswith("Z")
    except (TypeError, ValueError):
        return False  # no moments


def _contradictions(event: Event[Fact]) -> Iterator[str]:
    if event.source != SOURCE:
        yield f"/source is {event.source!r} where Billing writes {SOURCE!r}"
    if event.subject != event.data.merchant_id:
        yield f"/subject is {event.subject!r}, /data/merchant_id {event.data.merchant_id!r}"
    if not _is_id_of(event):
        yield f"/id is {event.id}, which is not derived from what the event tells"
    price = getattr(event.data, "price", None)
    if isinstance(price, Price):
        due = Price.of(Money(amount_minor=price.amount_minor, currency=price.currency)).amount
        if price.amount != due:
            yield f"/data/price/amount is {price.amount!r}, for {price.amount_minor} minor units it is {due!r}"


def _is_id_of(event: Event[Fact]) -> bool:
    """Of what happens once the id follows from whom it happened to; of the rest also from how often before."""
    if not event.data.once:
        return event.id.version == EVENT_ID_VERSION
    subject = next(getattr(event.data, name) for name in _SUBJECTS if hasattr(event.data, name))
    return event.id == uuid5(EVENT_ID_NAMESPACE, f"{event.type}|{subject}")


def _body(event: bytes | OutboxEvent) -> bytes:
    return event.body if isinstance(event, OutboxEvent) else event
