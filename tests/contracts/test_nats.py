"""JetStream keeps the contract of publishing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.nats.streams import ensure_streams
from billing_adapters.nats.tail import tail
from billing_core.testing.contracts import EventPublisherContract
from billing_core.testing.contracts.event_publisher import Published


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message as it is in the stream."""

    type: str
    body: bytes


class TestNatsEventPublisher(EventPublisherContract):
    """On a real server, with the stream as Billing makes it."""

    @pytest.fixture
    async def connection(self, nats_url: str) -> AsyncIterator[NatsConnection]:
        """A connection to the server, with an empty stream."""
        async with open_nats(nats_url, name="contract") as connection:
            assert await connection.wait_connected(30)
            await ensure_streams(connection, manage_all=False)
            yield connection

    @pytest.fixture
    def publisher(self, connection: NatsConnection) -> NatsEventPublisher:
        """The publisher under test."""
        return NatsEventPublisher(connection)

    @pytest.fixture
    def published(self, connection: NatsConnection) -> Published:
        """Reads back the whole stream."""

        async def read() -> list[Stored]:
            messages = tail(connection, "evt.billing.>", since_s=3600, follow=False)
            return [Stored(type=each.subject, body=each.body) async for each in messages]

        return read
