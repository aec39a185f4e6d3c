"""Ways to tell what never happened, to tell it twice, in the wrong order, or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from tests.faults.defects.defect import Patch
from tests.faults.simulation.surroundings import Surroundings

from billing_core.domain.events import Change
from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import Lane, OutboxEvent
from billing_core.testing import InMemoryPublisher
from billing_core.testing.memory.journal import InMemoryJournal
from billing_core.testing.memory.outbox import InMemoryOutbox
from billing_core.use_cases import settle_purchases
from billing_core.use_cases.jobs import JobReport
from billing_core.use_cases.relay_events import RelayEvents
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

Round = Callable[[RelayEvents], Awaitable[int]]

# --- the relay -------------------------------------------------------------------------------------------------------


def mark_before_publishing(patch: Patch) -> None:
    """events are marked published before the broker has them"""

    async def relay(self: RelayEvents) -> int:
        events = await self._outbox.unpublished(self._batch)
        if events:
            await self._outbox.mark_published(_ids(events), self._clock.now())
            await self._publisher.publish(events)
        return len(events)

    _relay_by(patch, relay)


def unconfirmed_marked(patch: Patch) -> None:
    """events are marked published although the broker did not confirm them"""

    async def relay(self: RelayEvents) -> int:
        events = await self._outbox.unpublished(self._batch)
        with suppress(PublishingUnavailable):
            await self._publisher.publish(events)
        await self._outbox.mark_published(_ids(events), self._clock.now())
        return len(events)

    _relay_by(patch, relay)


def mark_everything(patch: Patch) -> None:
    """whatever waits is marked published, with the events that were recorded in the meantime"""
    mark = InMemoryOutbox.mark_published

    async def mark_all(self: InMemoryOutbox, event_ids: Sequence[UUID], at: datetime) -> None:
        del event_ids
        await mark(self, [row.event.event_id for row in self._tables.outbox.values()], at)

    patch(InMemoryOutbox, "mark_published", mark_all)


def two_relays(patch: Patch) -> None:
    """every worker relays, each the next event that no other has in hand"""
    in_hand = set[UUID]()

    async def relay(self: RelayEvents, now: datetime | None = None) -> JobReport:
        done = 0
        while free := [each for each in await self._outbox.unpublished(self._batch) if each.event_id not in in_hand]:
            mine = free[:1]
            in_hand.update(_ids(mine))
            try:
                await self._publisher.publish(mine)
                await self._outbox.mark_published(_ids(mine), now or self._clock.now())
            finally:
                in_hand.difference_update(_ids(mine))
            done += 1
        return JobReport(done=done)

    patch(RelayEvents, "__call__", relay)


def _relay_by(patch: Patch, one_round: Round) -> None:
    """Whoever leads relays in this way."""

    async def relay(self: RelayEvents, now: datetime | None = None) -> JobReport:
        del now
        async with self._leadership.lead(self.name) as leading:
            return JobReport(done=await one_round(self) if leading else 0)

    patch(RelayEvents, "__call__", relay)


def _ids(events: Sequence[OutboxEvent]) -> Sequence[UUID]:
    return [each.event_id for each in events]


# --- the outbox and the broker ---------------------------------------------------------------------------------------


def cursor_relay(patch: Patch) -> None:
    """the relay reads on after the last event it published, past those that commit later"""

    async def after_the_last(self: InMemoryOutbox, limit: int, lane: Lane) -> Sequence[OutboxEvent]:
        del lane
        rows = sorted(self._tables.outbox.values(), key=lambda row: row.position)
        last = max((row.position for row in rows if row.published_at is not None), default=0)
        return [row.event for row in rows if row.position > last][:limit]

    patch(InMemoryOutbox, "unpublished", after_the_last)


def no_message_id(patch: Patch) -> None:
    """events are published without their id, so the broker cannot know repeats"""

    async def publish(self: InMemoryPublisher, events: Sequence[OutboxEvent]) -> None:
        self.published.extend(events)

    patch(InMemoryPublisher, "publish", publish)


def publish_in_transaction(patch: Patch) -> None:
    """events are published inside the transaction that records them"""
    init, record = Surroundings.__init__, InMemoryJournal.record
    brokers: list[InMemoryPublisher] = []

    def remember(self: Surroundings, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        brokers[:] = [self.publisher]

    async def publish_at_once(self: InMemoryJournal, changes: Sequence[Change]) -> None:
        before = set(self._tx.view.outbox._put)
        await record(self, changes)
        await brokers[0].publish([row.event for key, row in self._tx.view.outbox._put.items() if key not in before])

    patch(Surroundings, "__init__", remember)
    patch(InMemoryJournal, "record", publish_at_once)


# --- what is recorded ------------------------------------------------------------------------------------------------


def facts_in_another_transaction(patch: Patch) -> None:
    """a purchase is committed first, and what is to be told of it recorded afterwards"""
    save, settle = settle_purchases._save, SettlePurchases.__call__

    async def tell_nobody(changes: Sequence[Change]) -> None:
        del changes

    async def save_alone(uow: Any, batch: Any) -> None:
        deaf = SimpleNamespace(record=tell_nobody)
        await save(cast("Any", SimpleNamespace(purchases=uow.purchases, trials=uow.trials, journal=deaf)), batch)

    async def settle_then_tell(
        self: SettlePurchases, settlements: Sequence[Settlement], **options: Any
    ) -> Sequence[Change]:
        changes = await settle(self, settlements, **options)
        async with self._units() as uow:
            await uow.journal.record(changes)
            await uow.commit()
        return changes

    patch(settle_purchases, "_save", save_alone)
    patch(SettlePurchases, "__call__", settle_then_tell)


def numbers_not_undone(patch: Patch) -> None:
    """an event's number is taken outside the transaction, and is gone where that is undone"""
    record = InMemoryJournal.record

    async def record_for_good(self: InMemoryJournal, changes: Sequence[Change]) -> None:
        await record(self, changes)
        self._tx.view.sequences.apply()

    patch(InMemoryJournal, "record", record_for_good)
