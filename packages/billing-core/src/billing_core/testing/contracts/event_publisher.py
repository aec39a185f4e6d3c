"""The contract of publishing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from billing_core.messages import encode_event
from billing_core.ports.publishing import EventPublisher, OutboxEvent
from billing_core.testing.builders import a_merchant
from billing_core.testing.contracts.journal import created


class ReadBack(Protocol):
    """A message as a consumer of the broker finds it."""

    @property
    def type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


Published = Callable[[], Awaitable[Sequence[ReadBack]]]


class EventPublisherContract:
    """Every promise of `EventPublisher`. Give the fixtures `publisher` and `published`: an async function that reads
    back all the broker has, in order, from empty at the start of each test; `type` is the subject it is under."""

    async def test_events_are_with_the_broker_when_publish_returns(
        self, publisher: EventPublisher, published: Published
    ) -> None:
        """Byte for byte, under their types, in the order given."""
        events = _events(5)

        await publisher.publish(events)

        assert _told(await published()) == [(event.type, event.body) for event in events]

    async def test_publishing_again_never_makes_a_second_fact(
        self, publisher: EventPublisher, published: Published
    ) -> None:
        """The broker drops what it has, one by one, and takes the rest."""
        events = _events(4)
        await publisher.publish(events[:2])

        await publisher.publish(events)
        await publisher.publish(events)

        assert _told(await published()) == [(event.type, event.body) for event in events]

    async def test_nothing_to_publish_is_nothing_published(
        self, publisher: EventPublisher, published: Published
    ) -> None:
        """Empty batches are allowed."""
        await publisher.publish([])

        assert list(await published()) == []

    async def test_a_large_batch_keeps_its_order(self, publisher: EventPublisher, published: Published) -> None:
        """As many as the relay sends at once, and more."""
        events = _events(1_000)

        await publisher.publish(events)

        assert _told(await published()) == [(event.type, event.body) for event in events]

    async def test_two_at_once_publish_everything_once(self, publisher: EventPublisher, published: Published) -> None:
        """A relay that lost its leadership without knowing does no harm but to the order across the two."""
        events = _events(50)

        await asyncio.gather(publisher.publish(events), publisher.publish(events))

        assert sorted(_told(await published())) == sorted((event.type, event.body) for event in events)


def _events(count: int) -> list[OutboxEvent]:
    merchant = a_merchant()
    changes = [created(merchant) for _ in range(count)]
    return [
        OutboxEvent(
            event_id=change.event_id,
            merchant_id=merchant.merchant_id,
            sequence=sequence,
            type="evt.billing.purchase.created",
            body=encode_event(change, sequence),
        )
        for sequence, change in enumerate(changes, start=1)
    ]


def _told(messages: Sequence[ReadBack]) -> list[tuple[str, bytes]]:
    return [(message.type, message.body) for message in messages]
