"""Checks on published events, for the services that read them."""

from typing import Any

from billing_core.domain.events import Fact
from billing_core.messages import Event, decode_event


def decode(body: bytes) -> Event[Fact]:
    """This will read a published message and hold it against its model. Raises MalformedMessage."""
    return decode_event(body)


def assert_event(body: bytes, type: str, **data: Any) -> Event[Fact]:  # noqa: A002 - the envelope's own word
    """This will check that the message is a whole event of that type whose data has the given values, and return
    it. Raises AssertionError or MalformedMessage."""
    event = decode_event(body)
    assert event.type == type, f"expected {type}, got {event.type}"
    assert event.subject == event.data.merchant_id
    told = event.data.model_dump()
    differing = {name: told.get(name, "missing") for name, value in data.items() if told.get(name, "missing") != value}
    assert not differing, f"{type} tells {differing}, expected { ({name: data[name] for name in differing}) }"
    return event
