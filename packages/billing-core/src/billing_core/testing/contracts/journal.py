"""The contract of the journal."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from billing_core.domain.events import Change
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import TrialTerms
from billing_core.domain.purchases import create_purchase
from billing_core.domain.trials import start_trial
from billing_core.errors import StorageConflict
from billing_core.messages import decode_event, encode_event
from billing_core.ports.records import HistoryEntry
from billing_core.testing.builders import a_grant, an_id, an_offer, an_origin
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, in_time, registered


class JournalContract(StorageSuite):
    """Every promise of `Journal`."""

    async def test_a_change_is_kept_in_its_subjects_history(self, storage: BillingStorage) -> None:
        """All that the history tells comes back as it was recorded."""
        change = replace(
            created(await registered(storage)),
            status_before="pending",
            by=an_origin(actor="Zoë", reason="asked", correlation_id="c-7"),
            reason="because — «ja»",
        )

        await recorded(storage, change)

        assert list(await storage.records.history(change.merchant_id, change.subject_id)) == [
            HistoryEntry(
                number=1,
                at=MOMENT,
                what="created",
                status_before="pending",
                status_after="created",
                actor="Zoë",
                reason="because — «ja»",
                correlation_id="c-7",
            )
        ]

    async def test_an_announced_fact_is_put_into_the_outbox_whole(self, storage: BillingStorage) -> None:
        """The stored body is the encoded event, byte for byte, under the fact's own id."""
        traced = an_origin(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        change = replace(created(await registered(storage)), by=traced)

        await recorded(storage, change)
        (event,) = await storage.outbox.unpublished(10)

        assert event.body == encode_event(change, 1)
        assert (event.event_id, event.merchant_id, event.sequence) == (change.event_id, change.merchant_id, 1)
        decoded = decode_event(event.body)
        assert decoded.id == event.event_id
        assert decoded.type == event.type == "evt.billing.purchase.created"
        assert (decoded.subject, decoded.sequence) == (change.merchant_id, 1)
        assert decoded.data == change.fact

    async def test_a_change_that_announces_nothing_takes_no_number(self, storage: BillingStorage) -> None:
        """It is history alone; the next event follows the one before without a gap."""
        merchant = await registered(storage)
        silent = replace(created(merchant), fact=None)

        await recorded(storage, created(merchant), silent, created(merchant))

        assert [event.sequence for event in await storage.outbox.unpublished(10)] == [1, 2]
        assert len(await storage.records.history(merchant.merchant_id, silent.subject_id)) == 1

    async def test_events_are_numbered_in_the_order_given_for_each_merchant(self, storage: BillingStorage) -> None:
        """Merchants count for themselves, across transactions, from 1."""
        one, other = await registered(storage), await registered(storage)
        first = [created(one), created(other), created(one)]
        second = [created(other), created(one)]

        await recorded(storage, *first)
        await recorded(storage, *second)

        told = {event.event_id: event.sequence for event in await storage.outbox.unpublished(10)}
        assert [told[change.event_id] for change in first + second] == [1, 1, 2, 2, 3]

    async def test_a_unit_that_was_undone_leaves_no_gap(self, storage: BillingStorage) -> None:
        """Its numbers are given again."""
        merchant = await registered(storage)
        await recorded(storage, created(merchant))
        async with storage.units() as uow:
            await uow.journal.record([created(merchant), created(merchant)])

        await recorded(storage, created(merchant))

        assert [event.sequence for event in await storage.outbox.unpublished(10)] == [1, 2]

    async def test_16_units_at_once_number_one_merchants_events_without_gaps(self, storage: BillingStorage) -> None:
        """Who counts next waits for the commit of who counted last."""
        merchant = await registered(storage)

        await asyncio.gather(*(recorded(storage, created(merchant), created(merchant)) for _ in range(16)))

        told = [event.sequence for event in await storage.outbox.unpublished(100)]
        assert told == list(range(1, 33))

    async def test_the_next_to_number_a_merchants_events_waits(self, storage: BillingStorage) -> None:
        """So that no later number is ever seen before an earlier one."""
        merchant = await registered(storage)
        earlier, later = created(merchant), created(merchant)

        async with storage.units() as first:
            await first.journal.record([earlier])
            waiting = await self.stays_waiting(recorded(storage, later))
            assert await storage.outbox.unpublished(10) == []
            await first.commit()
        await in_time(waiting)

        told = [event.event_id for event in await storage.outbox.unpublished(10)]
        assert told == [earlier.event_id, later.event_id]

    async def test_the_same_change_number_twice_is_a_conflict(self, storage: BillingStorage) -> None:
        """A change two workers decide is recorded once, and its event once."""
        change = created(await registered(storage))
        await recorded(storage, change)

        with pytest.raises(StorageConflict):
            await recorded(storage, replace(change, what="other", fact=None))

        assert len(await storage.records.history(change.merchant_id, change.subject_id)) == 1
        assert len(await storage.outbox.unpublished(10)) == 1

    async def test_of_two_units_recording_the_same_change_the_second_is_undone(self, storage: BillingStorage) -> None:
        """It waits for the first and fails once that is committed."""
        change = created(await registered(storage))

        async with storage.units() as first:
            await first.journal.record([change])
            waiting = await self.stays_waiting(recorded(storage, change))
            await first.commit()

        with pytest.raises(StorageConflict):
            await in_time(waiting)
        assert len(await storage.outbox.unpublished(10)) == 1

    async def test_trials_and_purchases_of_one_merchant_share_its_numbers(self, storage: BillingStorage) -> None:
        """A merchant's events are one sequence, whatever they are about."""
        merchant = await registered(storage)
        started = start_trial(an_id(), merchant, TrialTerms(), MOMENT, an_origin()).changes

        await recorded(storage, created(merchant), *started)

        told = [(event.type, event.sequence) for event in await storage.outbox.unpublished(10)]
        assert told == [("evt.billing.purchase.created", 1), ("evt.billing.trial.started", 2)]

    async def test_history_is_told_oldest_first_to_its_merchant_alone(self, storage: BillingStorage) -> None:
        """Another merchant's question is answered like one about nothing."""
        merchant, other = await registered(storage), await registered(storage)
        change = created(merchant)
        await recorded(storage, change, replace(change, number=2, what="pending", fact=None))

        mine = await storage.records.history(merchant.merchant_id, change.subject_id)
        theirs = await storage.records.history(other.merchant_id, change.subject_id)

        assert [entry.number for entry in mine] == [1, 2]
        assert list(theirs) == []

    async def test_goodwill_credits_are_recorded_like_any_change(self, storage: BillingStorage) -> None:
        """A fact whose subject is no stored row is announced too."""
        change = a_grant(await registered(storage)).change(an_origin())

        await recorded(storage, change)

        (event,) = await storage.outbox.unpublished(10)
        assert (event.event_id, decode_event(event.body).data) == (change.event_id, change.fact)

    async def test_nothing_to_record_is_nothing_done(self, storage: BillingStorage) -> None:
        """Empty batches are allowed."""
        await recorded(storage)

        assert await storage.outbox.unpublished(10) == []


def created(merchant: Merchant) -> Change:
    """The first change of a new purchase, which announces `evt.billing.purchase.created`."""
    decision = create_purchase(
        an_id(),
        merchant,
        an_offer(),
        return_url="https://shop.example",
        lifetime=timedelta(hours=48),
        test=False,
        now=MOMENT,
        by=an_origin(),
    )
    return decision.changes[0]


async def recorded(storage: BillingStorage, *changes: Change) -> None:
    """This will record changes in a transaction of their own."""
    async with storage.units() as uow:
        await uow.journal.record(changes)
        await uow.commit()
