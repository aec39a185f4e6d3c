"""Telling other services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """An event ready to go: `body` is the whole message, `event_id` the id it is deduplicated by."""

    event_id: UUID
    merchant_id: str
    sequence: int
    type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Part `number`, from 0, of the `of` parts that merchants are divided into: each is in one, always the same."""

    number: int = 0
    of: int = 1


# The one lane there is where nothing is divided.
ONE_LANE: Final = Lane()


class EventPublisher(Protocol):
    """Publishes our events."""

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """This will publish all events in the order given, each under its own id.

        When it returns, the broker has every one of them durably, once, however often they were published before
        (within the broker's duplicate window). Raises PublishingUnavailable where that is not certain: some, in
        order from the first, may have arrived, and all may be published again.
        """
        ...


class MessageSender(Protocol):
    """Sends a message of another service's kind: replays of parked messages, notices of the sandbox."""

    async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """This will put the message into the stream of its subject. Raises PublishingUnavailable."""
        ...
