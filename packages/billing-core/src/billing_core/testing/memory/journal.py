"""The journal, the inbox, the idempotency keys and the parked messages in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from billing_core.domain.events import Change
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.messages import encode_event
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.storage import Dropped, ParkedMessage
from billing_core.testing.memory.merchants import merchant_row
from billing_core.testing.memory.tables import OutboxRow
from billing_core.testing.memory.transaction import Transaction


class InMemoryJournal:
    """History and outbox as one transaction writes them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def record(self, changes: Sequence[Change]) -> None:
        """See `Journal.record`."""
        # The merchant's row is what makes the sequence gap-free: the next one to count waits for our commit.
        for merchant_id in sorted({change.merchant_id for change in changes if change.fact is not None}):
            await self._tx.hold(merchant_row(merchant_id))
        for change in changes:
            key = (change.subject_id, change.number)
            await self._tx.hold(("change", *key))
            if self._tx.view.changes.get(key) is not None:
                raise self._tx.conflict(f"{change.subject} {change.subject_id} has a change {change.number} already")
            self._tx.view.changes.put(key, change)
            if change.fact is not None:
                self._announce(change, change.fact.type)

    def _announce(self, change: Change, kind: str) -> None:
        view, merchant_id = self._tx.view, change.merchant_id
        if view.merchants.get(merchant_id) is None:
            raise LookupError(f"{kind} is about merchant {merchant_id}, who was never announced")
        sequence = (view.sequences.get(merchant_id) or 0) + 1
        view.sequences.put(merchant_id, sequence)
        event = OutboxEvent(
            event_id=change.event_id,
            merchant_id=merchant_id,
            sequence=sequence,
            type=kind,
            body=encode_event(change, sequence),
        )
        view.outbox.put((merchant_id, sequence), OutboxRow(event=event, position=next(self._tx.positions)))


class InMemoryInbox:
    """Handled messages as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def seen(self, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        """See `Inbox.seen`."""
        return frozenset(each for each in message_ids if self._tx.view.inbox.get((source, each)) is not None)

    async def record(self, source: str, message_ids: Sequence[str], at: datetime) -> frozenset[str]:
        """See `Inbox.record`."""
        fresh = set()
        for message_id in sorted(set(message_ids)):
            await self._tx.hold(("inbox", source, message_id))
            if self._tx.view.inbox.get((source, message_id)) is None:
                self._tx.view.inbox.put((source, message_id), at)
                fresh.add(message_id)
        return frozenset(fresh)


class InMemoryKeyRecords:
    """Idempotency keys as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def lock(self, key: RequestKey) -> KeyRecord | None:
        """See `KeyRecords.lock`."""
        if self._tx.view.keys.get(key) is None:
            return None
        await self._tx.hold(("key", key))
        return self._tx.view.keys.get(key)

    async def save(self, record: KeyRecord) -> None:
        """See `KeyRecords.save`."""
        await self._tx.hold(("key", record.key))
        self._tx.view.keys.put(record.key, record)


class InMemoryParkedMessages:
    """Parked messages as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def add(self, messages: Sequence[ParkedMessage]) -> None:
        """See `ParkedMessages.add`."""
        for message in sorted(messages, key=lambda each: (each.source, each.message_id)):
            await self._tx.hold(("parked", message.source, message.message_id))
            if not self._waits(message):
                self._tx.view.parked.put(message.parked_id, message)

    async def get(self, parked_id: UUID) -> ParkedMessage | None:
        """See `ParkedMessages.get`."""
        return self._tx.view.parked.get(parked_id)

    async def list(self, limit: int, *, waiting_only: bool = True) -> Sequence[ParkedMessage]:
        """See `ParkedMessages.list`."""
        rows = [each for each in self._tx.view.parked.rows() if each.waits or not waiting_only]
        return sorted(rows, key=lambda each: (each.parked_at, each.parked_id), reverse=True)[:limit]

    async def mark_replayed(self, parked_id: UUID, at: datetime | None) -> None:
        """See `ParkedMessages.mark_replayed`."""
        if (message := self._tx.view.parked.get(parked_id)) is not None:
            await self._tx.hold(("parked", message.source, message.message_id))
            self._tx.view.parked.put(parked_id, replace(message, replayed_at=at))

    async def drop(self, parked_id: UUID, dropped: Dropped) -> bool:
        """See `ParkedMessages.drop`."""
        if (message := self._tx.view.parked.get(parked_id)) is None:
            return False
        await self._tx.hold(("parked", message.source, message.message_id))
        message = self._tx.view.parked.get(parked_id)  # another transaction may have been faster
        if message is None or not message.waits:
            return False
        self._tx.view.parked.put(parked_id, replace(message, dropped=dropped))
        return True

    def _waits(self, message: ParkedMessage) -> bool:
        key = (message.source, message.message_id)
        rows = self._tx.view.parked.rows()
        return any((each.source, each.message_id) == key and each.waits for each in rows)
