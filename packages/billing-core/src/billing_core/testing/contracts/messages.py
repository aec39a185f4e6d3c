"""The contract of what is remembered of messages and requests: inbox and idempotency keys."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from billing_core.domain.idempotency import Answer, KeyRecord
from billing_core.testing.builders import a_purchase, a_request_key
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered, stored

SECOND = timedelta(seconds=1)


class InboxContract(StorageSuite):
    """Every promise of `Inbox`."""

    async def test_recording_tells_the_new_from_the_known(self, storage: BillingStorage) -> None:
        """A message is new once for each source; repeats within a batch are one message."""
        first = await _received(storage, "one", "two", "two")
        second = await _received(storage, "two", "three")
        nothing = await _received(storage)

        assert first == {"one", "two"}
        assert second == {"three"}
        assert nothing == frozenset()

    async def test_sources_do_not_know_each_others_messages(self, storage: BillingStorage) -> None:
        """The same id from another source is another message."""
        await _received(storage, "one")

        assert await _received(storage, "one", source="another") == {"one"}

    async def test_seen_tells_what_was_handled(self, storage: BillingStorage) -> None:
        """Asking notes nothing."""
        await _received(storage, "one")

        async with storage.units() as uow:
            assert await uow.inbox.seen("source", ["one", "two"]) == {"one"}
            assert await uow.inbox.seen("another", ["one"]) == frozenset()
            assert await uow.inbox.seen("source", []) == frozenset()
            await uow.commit()
        assert await _received(storage, "two") == {"two"}

    async def test_the_second_to_record_a_message_waits_and_learns_it_is_known(self, storage: BillingStorage) -> None:
        """Two deliveries at once are handled once."""
        async with storage.units() as first:
            assert await first.inbox.record("source", ["one"], MOMENT) == {"one"}
            waiting = await self.stays_waiting(_received(storage, "one"))
            await first.commit()

        assert await in_time(waiting) == frozenset()

    async def test_the_second_handles_the_message_where_the_first_was_undone(self, storage: BillingStorage) -> None:
        """A delivery that failed does not use the message up."""
        async with storage.units() as first:
            await first.inbox.record("source", ["one"], MOMENT)
            waiting = await self.stays_waiting(_received(storage, "one"))

        assert await in_time(waiting) == {"one"}

    async def test_of_32_deliveries_at_once_exactly_one_is_new(self, storage: BillingStorage) -> None:
        """Whole batches at once, in either order, end and share every message out once."""
        messages = [f"message-{number}" for number in range(8)]

        answers = await asyncio.gather(*(_received(storage, *messages[::step]) for step in (1, -1) * 16))

        assert sorted(message for answer in answers for message in answer) == messages


class KeyRecordsContract(StorageSuite):
    """Every promise of `KeyRecords`."""

    async def test_every_field_of_a_key_comes_back(self, storage: BillingStorage) -> None:
        """The answer is remembered byte for byte."""
        record = await _a_record(storage, answer=Answer(outcome="created", document=b'{"a": "\xc3\xa9"}'))

        await _kept(storage, record)

        async with storage.units() as uow:
            assert await uow.keys.lock(record.key) == record

    async def test_an_unknown_key_is_none(self, storage: BillingStorage) -> None:
        """A key is known within its merchant and route only."""
        record = await _a_record(storage)
        await _kept(storage, record)
        other = await registered(storage)

        async with storage.units() as uow:
            assert await uow.keys.lock(replace(record.key, key="another")) is None
            assert await uow.keys.lock(replace(record.key, route="another")) is None
            assert await uow.keys.lock(replace(record.key, merchant_id=other.merchant_id)) is None

    async def test_saving_again_replaces_what_was_remembered(self, storage: BillingStorage) -> None:
        """Locked, released, answered: the last one saved is what is remembered."""
        record = await _a_record(storage)
        await _kept(storage, record)
        answered = record.answered(Answer(outcome="reused", document=b"{}"))

        await _kept(storage, record.released())
        await _kept(storage, answered)

        async with storage.units() as uow:
            assert await uow.keys.lock(record.key) == answered

    async def test_a_key_may_be_freed_of_its_purchase(self, storage: BillingStorage) -> None:
        """A refused purchase leaves the key as if new."""
        record = await _a_record(storage)
        await _kept(storage, record)
        free = KeyRecord(key=record.key, fingerprint=record.fingerprint, created_at=record.created_at)

        await _kept(storage, free)

        async with storage.units() as uow:
            assert await uow.keys.lock(record.key) == free

    async def test_a_key_is_held_by_one_at_a_time(self, storage: BillingStorage) -> None:
        """Also by those who do not hold the merchant: the second waits, and sees what the first made of it."""
        record = await _a_record(storage)
        await _kept(storage, record)
        answered = record.answered(Answer(outcome="created", document=b"{}"))

        async def look() -> KeyRecord | None:
            async with storage.units() as second:
                return await second.keys.lock(record.key)

        async with storage.units() as first:
            await first.keys.lock(record.key)
            waiting = await self.stays_waiting(look())
            await first.keys.save(answered)
            await first.commit()

        assert await in_time(waiting) == answered

    async def test_of_32_requests_at_once_under_one_key_one_is_the_first(self, storage: BillingStorage) -> None:
        """Holding the merchant makes looking and saving one step."""
        merchant = await registered(storage)
        key = a_request_key(merchant.merchant_id)

        async def request(number: int) -> bool:
            async with storage.units() as uow:
                await uow.merchants.lock(merchant.merchant_id)
                if await uow.keys.lock(key) is not None:
                    return False
                await uow.keys.save(KeyRecord(key=key, fingerprint=str(number), created_at=MOMENT))
                await uow.commit()
                return True

        firsts = await asyncio.gather(*(request(number) for number in range(32)))

        assert firsts.count(True) == 1


async def _received(storage: BillingStorage, *message_ids: str, source: str = "source") -> frozenset[str]:
    async with storage.units() as uow:
        fresh = await uow.inbox.record(source, message_ids, MOMENT)
        await uow.commit()
        return fresh


async def _a_record(storage: BillingStorage, **values: Any) -> KeyRecord:
    purchase = a_purchase(await registered(storage))
    await stored(storage, purchase)
    defaults: dict[str, Any] = {
        "key": a_request_key(purchase.merchant_id),
        "fingerprint": "f" * 64,
        "created_at": MOMENT,
        "purchase_id": purchase.purchase_id,
        "locked_until": MOMENT + SECOND,
    }
    return KeyRecord(**defaults | values)


async def _kept(storage: BillingStorage, record: KeyRecord) -> None:
    async with storage.units() as uow:
        await uow.keys.save(record)
        await uow.commit()
