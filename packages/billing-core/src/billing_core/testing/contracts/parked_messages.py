"""Promises of the parked messages: kept whole, each once while it waits, and never gone."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from billing_core.ports.storage import Dropped, ParkedMessage
from billing_core.testing.builders import an_id
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite

SECOND: Final = timedelta(seconds=1)
DROPPED: Final = Dropped(at=MOMENT + 2 * SECOND, by="operator:jo", reason="sent by a test system")


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

    async def test_a_dropped_message_is_kept_whole_with_who_and_why(self, storage: BillingStorage) -> None:
        """It leaves the list of those that wait, and stays among all."""
        message = _a_parked(body=b"\x00anything")
        await _parked(storage, message)

        done = await _dropped(storage, message.parked_id)

        assert done is True
        assert await _listed(storage) == []
        assert await _listed(storage, waiting_only=False) == [replace(message, dropped=DROPPED)]

    async def test_only_what_waits_is_dropped(self, storage: BillingStorage) -> None:
        """Not what was sent again, not what was dropped before, whose note stays, and not what is not there."""
        sent, dropped = _a_parked(), _a_parked()
        await _parked(storage, sent, dropped)
        await _replayed(storage, sent)
        await _dropped(storage, dropped.parked_id)

        later = replace(DROPPED, by="another", reason="another")
        done = [await _dropped(storage, each, later) for each in (sent.parked_id, dropped.parked_id, an_id())]

        kept = {each.parked_id: each.dropped for each in await _listed(storage, waiting_only=False)}
        assert done == [False, False, False]
        assert kept == {sent.parked_id: None, dropped.parked_id: DROPPED}

    async def test_of_eight_who_drop_at_once_one_does(self, storage: BillingStorage) -> None:
        """Only one of them is noted."""
        message = _a_parked()
        await _parked(storage, message)

        notes = [replace(DROPPED, by=f"operator:{number}") for number in range(8)]
        done = await asyncio.gather(*(_dropped(storage, message.parked_id, each) for each in notes))

        (kept,) = await _listed(storage, waiting_only=False)
        assert done.count(True) == 1
        assert kept.dropped == notes[done.index(True)]

    async def test_a_dropped_message_that_comes_again_waits_again(self, storage: BillingStorage) -> None:
        """Its next failure is not lost behind the old decision."""
        message = _a_parked(message_id="m-1")
        await _parked(storage, message)
        await _dropped(storage, message.parked_id)

        await _parked(storage, again := _a_parked(message_id="m-1"))

        assert [each.parked_id for each in await _listed(storage)] == [again.parked_id]

    async def test_a_dropped_message_may_still_be_sent_again(self, storage: BillingStorage) -> None:
        """Both notes stay; and where sending failed, it is dropped as before."""
        message = _a_parked()
        await _parked(storage, message)
        await _dropped(storage, message.parked_id)

        await _replayed(storage, message)
        both = await _listed(storage, waiting_only=False)
        async with storage.units() as uow:
            await uow.parked.mark_replayed(message.parked_id, None)
            await uow.commit()

        assert both == [replace(message, dropped=DROPPED, replayed_at=MOMENT + SECOND)]
        assert await _listed(storage, waiting_only=False) == [replace(message, dropped=DROPPED)]
        assert await _listed(storage) == []


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


async def _dropped(storage: BillingStorage, parked_id: UUID, dropped: Dropped = DROPPED) -> bool:
    async with storage.units() as uow:
        done = await uow.parked.drop(parked_id, dropped)
        await uow.commit()
        return done
