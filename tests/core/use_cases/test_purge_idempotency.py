"""What may be forgotten is forgotten, at its time and not before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.testing import MOMENT, InMemoryBilling, a_merchant, a_trial, an_origin
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.purge_idempotency import PurgeIdempotency

TICK = timedelta(microseconds=1)


async def _filled(billing: InMemoryBilling, each: int) -> None:
    """So many keys, published events and handled messages of MOMENT."""
    merchant = a_merchant()
    async with billing.storage.units() as uow:
        await uow.merchants.add([merchant])
        for number in range(each):
            key = RequestKey(merchant_id="m", route="r", key=str(number))
            await uow.keys.save(KeyRecord(key=key, fingerprint="f", created_at=MOMENT))
            await uow.inbox.record("source", [str(number)], MOMENT)
            await uow.journal.record(a_trial(merchant).end(MOMENT, an_origin()).changes)
        await uow.commit()
    outbox = billing.storage.tables.outbox
    outbox.update({place: replace(row, published_at=MOMENT) for place, row in outbox.items()})


class TestPurgeIdempotency:
    @pytest.mark.parametrize(
        ("age", "keys", "events", "messages"),
        [
            (timedelta(hours=24), 0, 0, 0),
            (timedelta(hours=24) + TICK, 5, 0, 0),
            (timedelta(days=14) + TICK, 5, 5, 0),
            (timedelta(days=30) + TICK, 5, 5, 5),
        ],
    )
    async def test_forgets_keys_after_a_day_events_after_two_weeks_and_messages_after_a_month(
        self, billing: InMemoryBilling, age: timedelta, keys: int, events: int, messages: int
    ) -> None:
        """Batch by batch, everything past its time and nothing else."""
        await _filled(billing, 5)
        purge = PurgeIdempotency(
            housekeeping=billing.storage.housekeeping, replays=billing.replays, clock=billing.clock, batch=2
        )

        report = await purge(MOMENT + age)

        assert report.figures == {"keys": keys, "events": events, "messages": messages}
        assert report.done == keys + events + messages

    async def test_an_event_that_was_never_published_is_never_forgotten(self, billing: InMemoryBilling) -> None:
        """The outbox loses nothing, however long the broker is away."""
        merchant = a_merchant()
        async with billing.storage.units() as uow:
            await uow.merchants.add([merchant])
            await uow.journal.record(a_trial(merchant).end(MOMENT, an_origin()).changes)
            await uow.commit()

        report = await billing.purge_idempotency(MOMENT + timedelta(days=400))

        assert report.figures["events"] == 0
        assert len(billing.storage.tables.outbox) == 1

    async def test_a_key_that_was_forgotten_is_new_again(self, billing: InMemoryBilling) -> None:
        """The fast path forgets with the truth: the same key may then ask for something else."""
        caller = await billing.register()
        small = PurchaseRequest(pack="small", return_url="https://shop.example/billing")
        await billing.create_purchase(caller, "key", small)

        await billing.purge_idempotency(billing.clock.now() + timedelta(hours=24) + TICK)
        answered = await billing.create_purchase(caller, "key", replace(small, pack="large"))

        assert (answered.replayed, answered.answer.outcome) == (False, "created")
