"""The ways to build it wrong that need the real servers' adapters: what the simulator has in memory, in processes."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.faults.defects import delivery, settling
from tests.faults.defects.defect import Patch

from billing_adapters.nats import publisher
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.postgres import journal
from billing_adapters.postgres.inbox import PostgresInbox
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.rows import Values
from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent


def no_inbox(patch: Patch) -> None:
    """nobody notes which messages were handled, nor does a purchase note that its payment is counted"""
    delivery.forget_messages(patch, PostgresInbox)
    settling.paid_again(patch)


def no_message_id(patch: Patch) -> None:
    """events are published without their id, so the broker cannot know repeats"""

    def headers(event: OutboxEvent) -> dict[str, str]:
        del event
        return {"Content-Type": publisher.CONTENT_TYPE}

    patch(publisher, "_headers", headers)


def cursor_relay(patch: Patch) -> None:
    """the relay reads on after the last event it published, past those that commit later"""

    async def after_the_last(self: PostgresOutbox, limit: int) -> Sequence[OutboxEvent]:
        async with self._database.transaction() as wire:
            rows = await wire._connection.fetch(
                "select merchant_id, sequence, event_id, type, body from outbox where position >"
                " coalesce((select max(position) from outbox where published_at is not null), 0)"
                " order by position limit $1",
                limit,
            )
        return [OutboxEvent(**row) for row in rows]

    patch(PostgresOutbox, "unpublished", after_the_last)


def publish_in_transaction(patch: Patch) -> None:
    """events are published inside the transaction that records them"""
    open_connections: list[NatsConnection] = []
    init, record, events_of = NatsConnection.__init__, journal.PostgresJournal.record, journal._events
    made: list[Values] = []

    def remember(self: NatsConnection, url: str, **options: Any) -> None:
        init(self, url, **options)
        open_connections.append(self)

    def events(changes: Sequence[Any], sequences: dict[str, int]) -> list[Values]:
        made[:] = events_of(changes, sequences)
        return list(made)

    async def publish_at_once(self: journal.PostgresJournal, changes: Sequence[Any]) -> None:
        made.clear()
        await record(self, changes)
        names = ("merchant_id", "sequence", "event_id", "type", "body")
        told: Any = [dict(zip(names, values, strict=True)) for values in made]
        with suppress(PublishingUnavailable):  # the relay will see to it, they thought
            await NatsEventPublisher(open_connections[0]).publish([OutboxEvent(**each) for each in told])

    patch(NatsConnection, "__init__", remember)
    patch(journal, "_events", events)
    patch(journal.PostgresJournal, "record", publish_at_once)
