"""The contract of the outbox, of leadership and of the jobs' last runs."""

import asyncio
from datetime import timedelta

import pytest

from billing_core.ports.publishing import Lane, OutboxEvent
from billing_core.testing.builders import an_id
from billing_core.testing.clock import MOMENT
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import BillingStorage, StorageSuite, registered


class OutboxContract(StorageSuite):
    """Every promise of `Outbox`."""

    async def test_unpublished_gives_each_merchants_events_in_sequence(self, storage: BillingStorage) -> None:
        """Merchants may be mixed, but none is told out of order."""
        merchants = [await registered(storage) for _ in range(3)]
        for _ in range(4):
            await recorded(storage, *(created(merchant) for merchant in merchants))

        told = await storage.outbox.unpublished(100)

        for merchant in merchants:
            assert [each.sequence for each in told if each.merchant_id == merchant.merchant_id] == [1, 2, 3, 4]

    async def test_a_limit_leaves_out_no_earlier_event_of_a_merchant(self, storage: BillingStorage) -> None:
        """Batch after batch, each merchant's events come without a gap, and no more than asked for."""
        merchants = [await registered(storage) for _ in range(2)]
        for _ in range(3):
            await recorded(storage, *(created(merchant) for merchant in merchants))
        told: list[OutboxEvent] = []

        for _ in range(4):
            batch = await storage.outbox.unpublished(2)
            assert len(batch) <= 2
            told += batch
            await storage.outbox.mark_published([each.event_id for each in batch], MOMENT)

        for merchant in merchants:
            assert [each.sequence for each in told if each.merchant_id == merchant.merchant_id] == [1, 2, 3]

    @pytest.mark.parametrize("of", [1, 2, 5])
    async def test_lanes_divide_the_merchants(self, storage: BillingStorage, of: int) -> None:
        """Every event is in one lane, a merchant's in the same one and in sequence, and the limit is the lane's own."""
        merchants = [await registered(storage) for _ in range(100)]
        for _ in range(3):
            await recorded(storage, *(created(merchant) for merchant in merchants))

        lanes = [await storage.outbox.unpublished(300, Lane(number=number, of=of)) for number in range(of)]

        for merchant in merchants:
            told = [[each.sequence for each in lane if each.merchant_id == merchant.merchant_id] for lane in lanes]
            assert sorted(told) == [*[[]] * (of - 1), [1, 2, 3]]
        assert all(lanes)  # with a hundred merchants one of five is empty once in a thousand million times

    async def test_a_lane_looks_no_further_than_its_share(self, storage: BillingStorage) -> None:
        """Among the first of all lanes; what lies beyond is seen when those have gone, and nothing is left out."""
        merchants = [await registered(storage) for _ in range(8)]
        for _ in range(3):
            await recorded(storage, *(created(merchant) for merchant in merchants))
        first_eight = await storage.outbox.unpublished(8)
        told: list[OutboxEvent] = []

        pairs = [await storage.outbox.unpublished(4, Lane(number=number, of=2)) for number in (0, 1)]
        while any(batches := [await storage.outbox.unpublished(2, Lane(number=number, of=2)) for number in (0, 1)]):
            for batch in batches:
                assert len(batch) <= 2
                told += batch
                await storage.outbox.mark_published([each.event_id for each in batch], MOMENT)

        assert {each.event_id for pair in pairs for each in pair} <= {each.event_id for each in first_eight}
        assert len(told) == 24
        for merchant in merchants:
            assert [each.sequence for each in told if each.merchant_id == merchant.merchant_id] == [1, 2, 3]

    async def test_marked_events_are_not_given_again(self, storage: BillingStorage) -> None:
        """Marking is idempotent, and unknown ids are no matter."""
        merchant = await registered(storage)
        await recorded(storage, created(merchant), created(merchant))
        first, second = await storage.outbox.unpublished(10)

        for _ in range(2):
            await storage.outbox.mark_published([first.event_id, an_id()], MOMENT)
        await storage.outbox.mark_published([], MOMENT)

        assert list(await storage.outbox.unpublished(10)) == [second]

    async def test_what_is_not_marked_is_given_again_the_same(self, storage: BillingStorage) -> None:
        """A relay that died between publishing and marking starts over with the same bytes."""
        merchant = await registered(storage)
        await recorded(storage, created(merchant))

        assert list(await storage.outbox.unpublished(10)) == list(await storage.outbox.unpublished(10))


class LeadershipContract(StorageSuite):
    """Every promise of `Leadership`."""

    async def test_one_leads_and_the_others_are_told_at_once(self, storage: BillingStorage) -> None:
        """Of two at once the first leads; each task has a leader of its own."""
        async with (
            storage.leadership.lead("relay") as first,
            storage.leadership.lead("relay") as second,
            storage.leadership.lead("scheduler") as other,
        ):
            assert (first, second, other) == (True, False, True)

    async def test_leadership_ends_with_its_block(self, storage: BillingStorage) -> None:
        """The next one leads, also after an error; a follower's leaving changes nothing."""
        told: list[bool] = []

        async def lead_and_fail() -> None:
            async with storage.leadership.lead("relay") as first:
                for _ in range(2):
                    async with storage.leadership.lead("relay") as follower:
                        told.append(follower)
                told.append(first)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await lead_and_fail()

        async with storage.leadership.lead("relay") as next_one:
            assert [*told, next_one] == [False, False, True, True]

    async def test_a_cancelled_leader_is_followed(self, storage: BillingStorage) -> None:
        """A leader whose task ends leaves nothing behind."""
        leads = asyncio.Event()

        async def lead() -> None:
            async with storage.leadership.lead("relay"):
                leads.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(lead())
        await leads.wait()
        task.cancel()
        await asyncio.wait({task})

        async with storage.leadership.lead("relay") as leading:
            assert leading

    async def test_of_four_at_once_exactly_one_leads(self, storage: BillingStorage) -> None:
        """Nobody leads beside another, and there is always one."""
        everyone_asked = asyncio.Event()
        answers: list[bool] = []

        async def lead() -> None:
            async with storage.leadership.lead("relay") as leading:
                answers.append(leading)
                if len(answers) == 4:
                    everyone_asked.set()
                await everyone_asked.wait()

        await asyncio.gather(*(lead() for _ in range(4)))

        assert sorted(answers) == [False, False, False, True]


class JobRunsContract(StorageSuite):
    """Every promise of `JobRuns`."""

    async def test_a_job_has_no_last_run_before_its_first(self, storage: BillingStorage) -> None:
        """None, whatever other jobs did."""
        await storage.runs.note_run("archive-purchases", MOMENT)

        assert await storage.runs.last_run("expire-trials") is None

    async def test_the_last_run_is_the_last_noted(self, storage: BillingStorage) -> None:
        """In UTC, to the microsecond."""
        later = MOMENT + timedelta(days=1, microseconds=1)
        await storage.runs.note_run("expire-trials", MOMENT)

        await storage.runs.note_run("expire-trials", later)
        last = await storage.runs.last_run("expire-trials")

        assert last == later
        assert last is not None
        assert last.utcoffset() == timedelta(0)
