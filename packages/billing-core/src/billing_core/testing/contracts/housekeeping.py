"""The contract of forgetting."""

from collections.abc import Sequence
from datetime import timedelta

from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.testing.builders import a_request_key
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


class HousekeepingContract(StorageSuite):
    """Every promise of `Housekeeping`."""

    async def test_keys_older_than_the_moment_are_forgotten(self, storage: BillingStorage) -> None:
        """The moment itself is not older; what stays is untouched."""
        old, edge = await _keys(storage, 2)

        gone = await storage.housekeeping.purge_keys(MOMENT + TICK, 10)

        async with storage.units() as uow:
            left = [await uow.keys.lock(key) for key in (old, edge)]
        assert list(gone) == [old]
        assert [record and record.key for record in left] == [None, edge]

    async def test_keys_are_forgotten_a_bounded_number_at_a_time(self, storage: BillingStorage) -> None:
        """Each call says how many went, until none is left."""
        await _keys(storage, 3)

        assert [len(await storage.housekeeping.purge_keys(MOMENT + DAY, 2)) for _ in range(3)] == [2, 1, 0]

    async def test_events_published_before_the_moment_are_forgotten(self, storage: BillingStorage) -> None:
        """Those that were not published never are, however old; numbering goes on."""
        merchant = await registered(storage)
        await recorded(storage, *(created(merchant) for _ in range(4)))
        first, second, third, waiting = await storage.outbox.unpublished(10)
        await storage.outbox.mark_published([first.event_id, second.event_id], MOMENT)
        await storage.outbox.mark_published([third.event_id], MOMENT + DAY)

        gone = [await storage.housekeeping.purge_events(MOMENT + DAY, 1) for _ in range(3)]
        await recorded(storage, created(merchant))

        assert gone == [1, 1, 0]
        assert [event.sequence for event in await storage.outbox.unpublished(10)] == [waiting.sequence, 5]

    async def test_numbering_goes_on_after_every_event_was_forgotten(self, storage: BillingStorage) -> None:
        """The sequence is the merchant's, not the outbox's."""
        merchant = await registered(storage)
        await recorded(storage, created(merchant))
        await storage.outbox.mark_published([each.event_id for each in await storage.outbox.unpublished(1)], MOMENT)
        await storage.housekeeping.purge_events(MOMENT + DAY, 10)

        await recorded(storage, created(merchant))

        assert [event.sequence for event in await storage.outbox.unpublished(10)] == [2]

    async def test_message_ids_older_than_the_moment_are_forgotten(self, storage: BillingStorage) -> None:
        """A bounded number at a time; the moment itself is not older."""
        async with storage.units() as uow:
            await uow.inbox.record("source", ["one", "two", "three"], MOMENT)
            await uow.inbox.record("source", ["edge"], MOMENT + DAY)
            await uow.commit()

        gone = [await storage.housekeeping.purge_inbox(MOMENT + DAY, 2) for _ in range(3)]

        async with storage.units() as uow:
            seen = await uow.inbox.seen("source", ["one", "two", "three", "edge"])
        assert gone == [2, 1, 0]
        assert seen == {"edge"}

    async def test_nothing_to_forget_is_nothing_forgotten(self, storage: BillingStorage) -> None:
        """Zero, three times."""
        forget = storage.housekeeping

        gone = [
            len(await forget.purge_keys(MOMENT, 10)),
            await forget.purge_events(MOMENT, 10),
            await forget.purge_inbox(MOMENT, 10),
        ]

        assert gone == [0, 0, 0]


async def _keys(storage: BillingStorage, count: int) -> Sequence[RequestKey]:
    """Keys made a microsecond after each other, the first at MOMENT."""
    merchant = await registered(storage)
    keys = [a_request_key(merchant.merchant_id) for _ in range(count)]
    async with storage.units() as uow:
        for number, key in enumerate(keys):
            await uow.keys.save(KeyRecord(key=key, fingerprint="f", created_at=MOMENT + number * TICK))
        await uow.commit()
    return keys
