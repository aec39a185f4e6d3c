"""Recorded events reach the broker in order, each once, whatever breaks in between."""

import asyncio
from collections.abc import Sequence

import pytest

from billing_core.errors import PublishingUnavailable
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import InMemoryBilling, InMemoryPublisher, a_merchant, a_trial, an_origin
from billing_core.use_cases.relay_events import BATCHES_READ, MAX_READS, RelayEvents


async def _recorded(billing: InMemoryBilling, trials: int) -> None:
    """So many events of two merchants, waiting in the outbox."""
    merchants = [a_merchant("m-3"), a_merchant("m-4")]  # of two lanes, or three, each in one of its own
    async with billing.storage.units() as uow:
        await uow.merchants.add(merchants)
        for number in range(trials):
            ended = a_trial(merchants[number % 2]).end(billing.clock.now(), an_origin())
            await uow.journal.record(ended.changes)
        await uow.commit()


class TakesTwoBatches(InMemoryPublisher):
    """A broker that goes away before the third batch."""

    batches = 0

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """See `EventPublisher.publish`."""
        self.batches += 1
        if self.batches > 2:
            raise PublishingUnavailable("the broker went away")
        await super().publish(events)


class HeldUp(InMemoryPublisher):
    """A broker that takes nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """See `EventPublisher.publish`."""
        self.has_begun.set()
        await self.may_go_on.wait()
        await super().publish(events)


def _relay(billing: InMemoryBilling, publisher: InMemoryPublisher, batch: int = 2, lanes: int = 1) -> RelayEvents:
    storage = billing.storage
    return RelayEvents(
        outbox=storage.outbox,
        publisher=publisher,
        leadership=storage.leadership,
        clock=billing.clock,
        batch=batch,
        lanes=lanes,
    )


def _sequences_in_order(publisher: InMemoryPublisher) -> bool:
    by_merchant: dict[str, list[int]] = {}
    for event in publisher.published:
        by_merchant.setdefault(event.merchant_id, []).append(event.sequence)
    return all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_merchant.values())


class TestRelayEvents:
    async def test_a_round_ends_where_more_waits_than_it_may_take(self, billing: InMemoryBilling) -> None:
        """What came meanwhile is for the next round, so that none goes on for ever."""
        most = MAX_READS * BATCHES_READ
        await _recorded(billing, most + 1)
        publisher = InMemoryPublisher()
        relay = _relay(billing, publisher, batch=1)

        assert [(await relay()).done for _ in range(2)] == [most, 1]
        assert _sequences_in_order(publisher)

    @pytest.mark.parametrize("events", [0, 1, 2, 5])
    async def test_publishes_everything_that_waits_in_order(self, billing: InMemoryBilling, events: int) -> None:
        """Batch by batch, each merchant's events by their sequence, and none of them a second time."""
        await _recorded(billing, events)
        publisher = InMemoryPublisher()
        relay = _relay(billing, publisher)

        first, second = await relay(), await relay(billing.clock.now())

        assert (first.done, second.done, len(publisher.published)) == (events, 0, events)
        assert _sequences_in_order(publisher)

    async def test_what_the_broker_did_not_confirm_goes_out_next_time_without_a_double(
        self, billing: InMemoryBilling
    ) -> None:
        """A crash between publishing and marking publishes again under the same ids (market.md 12)."""
        await _recorded(billing, 5)
        publisher = InMemoryPublisher()
        relay = _relay(billing, publisher, batch=10)
        publisher.fail_after(3)

        with pytest.raises(PublishingUnavailable):
            await relay()
        report = await relay()

        assert (report.done, len(publisher.published)) == (5, 5)
        assert _sequences_in_order(publisher)

    async def test_what_was_confirmed_is_marked_though_the_next_batch_was_not(self, billing: InMemoryBilling) -> None:
        """Trouble with one batch does not have the one before published again."""
        await _recorded(billing, 5)

        with pytest.raises(PublishingUnavailable):
            await _relay(billing, TakesTwoBatches())()
        left = await billing.storage.outbox.unpublished(10)

        assert len(left) == 1

    @pytest.mark.parametrize("lanes", [2, 3, 64])
    async def test_one_process_relays_every_lane(self, billing: InMemoryBilling, lanes: int) -> None:
        """Where nobody is beside it, whatever waits goes out in one round."""
        await _recorded(billing, 40)
        publisher = InMemoryPublisher()

        report = await _relay(billing, publisher, lanes=lanes)()

        assert (report.done, len(publisher.published)) == (40, 40)
        assert _sequences_in_order(publisher)

    async def test_no_lane_keeps_another_waiting(self, billing: InMemoryBilling) -> None:
        """Where one process is alone with both, they take turns."""
        await _recorded(billing, 400)
        publisher = InMemoryPublisher()

        report = await _relay(billing, publisher, batch=1, lanes=2)()

        told = [event.merchant_id for event in publisher.published]
        ahead = [abs(2 * told[:number].count(told[0]) - number) for number in range(400)]
        assert report.done == 400
        assert max(ahead) <= BATCHES_READ * 2

    async def test_processes_share_the_lanes(self, billing: InMemoryBilling) -> None:
        """While one is at a lane the other does the rest, and no merchant is told of by both."""
        await _recorded(billing, 40)
        slow, quick = HeldUp(), InMemoryPublisher()

        first = asyncio.create_task(_relay(billing, slow, batch=10, lanes=2)())
        await slow.has_begun.wait()
        second = await _relay(billing, quick, batch=10, lanes=2)()
        slow.may_go_on.set()
        report = await first

        assert report.done + second.done == 40
        assert min(report.done, second.done) == 20
        assert {each.merchant_id for each in slow.published}.isdisjoint(each.merchant_id for each in quick.published)
        assert _sequences_in_order(slow)
        assert _sequences_in_order(quick)

    async def test_only_one_process_relays_at_a_time(self, billing: InMemoryBilling) -> None:
        """Order comes from there being one; the others do nothing, at once."""
        await _recorded(billing, 1)
        publisher = InMemoryPublisher()
        relay = _relay(billing, publisher)

        async with billing.storage.leadership.lead(relay.name) as leading:
            report = await relay()

        assert leading
        assert (report.done, publisher.published) == (0, [])
