"""The contract of what is remembered of messages and requests: inbox, idempotency keys, parked messages."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from billing_core.domain.idempotency import Answer, KeyRecord
from billing_core.ports.storage import ParkedMessage
from billing_core.testing.builders import a_purchase, a_request_key, an_id
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
            assert await uow.keys.get(record.key) == record

    async def test_an_unknown_key_is_none(self, storage: BillingStorage) -> None:
        """A key is known within its merchant and route only."""
        record = await _a_record(storage)
        await _kept(storage, record)
        other = await registered(storage)

        async with storage.units() as uow:
            assert await uow.keys.get(replace(record.key, key="another")) is None
            assert await uow.keys.get(replace(record.key, route="another")) is None
            assert await uow.keys.get(replace(record.key, merchant_id=other.merchant_id)) is None

    async def test_saving_again_replaces_what_was_remembered(self, storage: BillingStorage) -> None:
        """Locked, released, answered: the last one saved is what is remembered."""
        record = await _a_record(storage)
        await _kept(storage, record)
        answered = record.answered(Answer(outcome="reused", document=b"{}"))

        await _kept(storage, record.released())
        await _kept(storage, answered)

        async with storage.units() as uow:
            assert await uow.keys.get(record.key) == answered

    async def test_a_key_may_be_freed_of_its_purchase(self, storage: BillingStorage) -> None:
        """A refused purchase leaves the key as if new."""
        record = await _a_record(storage)
        await _kept(storage, record)
        free = KeyRecord(key=record.key, fingerprint=record.fingerprint, created_at=record.created_at)

        await _kept(storage, free)

        async with storage.units() as uow:
            assert await uow.keys.get(record.key) == free

    async def test_of_32_requests_at_once_under_one_key_one_is_the_first(self, storage: BillingStorage) -> None:
        """Holding the merchant makes looking and saving one step."""
        merchant = await registered(storage)
        key = a_request_key(merchant.merchant_id)

        async def request(number: int) -> bool:
            async with storage.units() as uow:
                await uow.merchants.lock(merchant.merchant_id)
                if await uow.keys.get(key) is not None:
                    return False
                await uow.keys.save(KeyRecord(key=key, fingerprint=str(number), created_at=MOMENT))
                await uow.commit()
                return True

        firsts = await asyncio.gather(*(request(number) for number in range(32)))

        assert firsts.count(True) == 1


class ParkedMessagesContract(StorageSuite):
    """Every promise of `ParkedMessages`."""

    async def test_a_parked_message_comes_back_whole(self, storage: BillingStorage) -> None:
        """Its bytes may be anything at all."""
        message = _a_parked(body=bytes(range(256)), headers={"Nats-Msg-Id": "x", "Ünicode": "«ja»"}, reason="no JSON")

        await _parked(storage, message)

        async with storage.units() as uow:
            assert await uow.parked.get(message.parked_id) == message
            assert await uow.parked.get(an_id()) is None

    async def test_a_message_that_still_waits_is_not_parked_twice(self, storage: BillingStorage) -> None:
        """Not by a later unit, nor within one batch; another source's message of that id is."""
        first = _a_parked(message_id="m-1")
        twice = _a_parked(message_id="m-2")
        await _parked(storage, first, twice, replace(twice, parked_id=an_id()))

        await _parked(storage, _a_parked(message_id="m-1"), other := _a_parked(message_id="m-1", source="another"))

        listed = await _listed(storage)
        assert len(listed) == 3
        assert {first.parked_id, other.parked_id} < {each.parked_id for each in listed}

    async def test_messages_parked_by_16_at_once_wait_once(self, storage: BillingStorage) -> None:
        """A message delivered to many workers at once is kept once."""
        await asyncio.gather(*(_parked(storage, _a_parked(message_id="m-1")) for _ in range(16)))

        assert len(await _listed(storage)) == 1

    async def test_a_replayed_message_may_be_parked_again(self, storage: BillingStorage) -> None:
        """It no longer waits, so its next failure is kept too."""
        message = _a_parked(message_id="m-1")
        await _parked(storage, message)
        await _replayed(storage, message)

        await _parked(storage, again := _a_parked(message_id="m-1"))

        assert [each.parked_id for each in await _listed(storage)] == [again.parked_id]

    async def test_marking_notes_when_a_message_was_sent_again(self, storage: BillingStorage) -> None:
        """It leaves the list of those that wait, and stays among all."""
        message = _a_parked()
        await _parked(storage, message)

        await _replayed(storage, message)

        assert await _listed(storage) == []
        assert await _listed(storage, waiting_only=False) == [replace(message, replayed_at=MOMENT + SECOND)]

    async def test_the_list_is_newest_first_and_bounded(self, storage: BillingStorage) -> None:
        """No more than asked for, the newest ones."""
        messages = [_a_parked(parked_at=MOMENT + number * SECOND) for number in (1, 3, 2)]
        await _parked(storage, *messages)

        assert await _listed(storage, limit=2) == [messages[1], messages[2]]

    async def test_text_without_nul_comes_back_as_it_was(self, storage: BillingStorage) -> None:
        """Signs from every corner of Unicode, control characters included."""
        text = "".join(chr(code) for code in (1, 9, 10, 13, 0x7F, 0xA0, 0x2028, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF))
        message = _a_parked(reason=text, subject="evt.x")

        await _parked(storage, message)

        assert await _listed(storage) == [message]


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


def _a_parked(**values: Any) -> ParkedMessage:
    parked_id = an_id()
    defaults: dict[str, Any] = {
        "parked_id": parked_id,
        "source": "source",
        "message_id": f"message-{parked_id}",
        "subject": "evt.merchant.created",
        "body": b"{",
        "reason": "the body is not JSON",
        "parked_at": MOMENT,
    }
    return ParkedMessage(**defaults | values)


async def _parked(storage: BillingStorage, *messages: ParkedMessage) -> None:
    async with storage.units() as uow:
        await uow.parked.add(messages)
        await uow.commit()


async def _replayed(storage: BillingStorage, message: ParkedMessage) -> None:
    async with storage.units() as uow:
        await uow.parked.mark_replayed(message.parked_id, MOMENT + SECOND)
        await uow.commit()


async def _listed(storage: BillingStorage, limit: int = 10, *, waiting_only: bool = True) -> list[ParkedMessage]:
    async with storage.units() as uow:
        return list(await uow.parked.list(limit, waiting_only=waiting_only))
