"""Cases 12-14 of the forty (bugs users hit): what goes out to the broker, and what comes in more than once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from nats.js.api import StreamConfig
from tests.cases.recorded import a_notice, recorded, reference_of, told
from tests.cases.workers import DEADLINE_S, Workers, the_purchase

from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.nats.streams import BILLING, PURCHASE_UPDATED
from billing_adapters.nats.tail import tail
from billing_core.errors import PublishingUnavailable, ReferenceAlreadyClaimed
from billing_core.testing import InMemoryBilling, a_report, an_origin, decode
from billing_core.testing.builders import again
from billing_core.use_cases.inbound import UNKNOWN_REFERENCE_DELAYS_S, Done, Outcome, Parked
from billing_core.use_cases.settle_purchases import Settlement
from billing_worker.consuming import Consumption, Delivery, Fetcher
from billing_worker.metrics import WorkerMetrics

OPERATOR = an_origin(actor="operator", reason="a customer asked")
Works = list[Coroutine[Any, Any, Any]]


@pytest.mark.parametrize("confirmed", [0, 1])
async def test_case_12_what_the_broker_did_not_confirm_goes_out_later_and_once(
    workers: Workers, confirmed: int
) -> None:
    """The broker breaks off before or after taking the event: the relay never says it is done, and whichever process
    relays next publishes the rest [OpenRisk#344; pipeshub#3421; getAlby/hub#2506]."""
    await workers.one.pay(await workers.one.buy(await workers.one.register()))
    workers.other.publisher = workers.one.publisher
    workers.one.publisher.fail_after(confirmed)

    with pytest.raises(PublishingUnavailable):
        await workers.one.relay_events()
    left = await told(workers.one)
    relayed = await asyncio.gather(workers.one.relay_events(), workers.one.relay_events())

    assert left == ["credits.purchased"]
    assert sum(each.done for each in relayed) == 2
    types = [decode(event.body).type for event in workers.one.published]
    assert types == ["evt.billing.purchase.created", "evt.billing.credits.purchased"]
    assert await told(workers.one) == []


async def test_case_12_a_transaction_undone_announces_nothing_and_one_open_not_yet(workers: Workers) -> None:
    """A batch that fails at its end leaves no event behind, and another connection sees none before the commit
    [OpenRisk#344; getAlby/hub#2506 published before the commit]."""
    caller = await workers.one.register()
    fine, other = [await recorded(workers.one, await workers.one.buy(caller, pack)) for pack in ("small", "large")]
    unanswered = replace(other, purchase_id=workers.one.new_id(), platform_reference=None, version=0)
    async with workers.storage.units() as uow:
        await uow.purchases.add([unanswered])
        await uow.commit()
    reports = [(fine, a_report(fine)), (unanswered, a_report(other))]  # the second payment is another purchase's
    batch = [
        Settlement(merchant_id=each.merchant_id, purchase_id=each.purchase_id, report=report, by=OPERATOR)
        for each, report in reports
    ]

    with pytest.raises(ReferenceAlreadyClaimed):
        await workers.one.settle(batch)
    undone = await told(workers.other)
    async with workers.storage.units() as uow:
        paid = fine.settle(a_report(fine), workers.clock.now(), OPERATOR)
        await uow.purchases.lock([(fine.merchant_id, fine.purchase_id)])
        await uow.purchases.save([paid.purchase])
        await uow.journal.record(paid.changes)
        before = await told(workers.other)
        await uow.commit()

    assert (undone, before) == ([], [])
    assert await told(workers.other) == ["credits.purchased"]


async def test_case_13_a_repeat_is_dropped_inside_the_brokers_window_and_known_by_its_id_after_it(
    billing: InMemoryBilling, nats_url: str
) -> None:
    """JetStream acknowledges and drops a repeat within its duplicate window; after it the event is stored again under
    the same id, so consumers must know ids for ever [murmur#141; nats-server#2921, #5142, #7302]."""
    await billing.pay(await billing.buy(await billing.register()))
    (event,) = [each for each in await billing.storage.outbox.unpublished(10) if "purchased" in each.type]
    async with open_nats(nats_url, name="cases") as connection:
        assert await connection.wait_connected(DEADLINE_S)
        window = StreamConfig(name=BILLING, subjects=["evt.billing.>"], duplicate_window=3600)
        await connection.jetstream.add_stream(window)
        publisher = NatsEventPublisher(connection)

        async def stored() -> list[bytes]:
            return [each.body async for each in tail(connection, event.type, since_s=3600, follow=False)]

        for _ in range(3):
            await publisher.publish([event])
        within = await stored()
        await connection.jetstream.update_stream(window.evolve(duplicate_window=0.1))
        async with asyncio.timeout(DEADLINE_S):
            while len(await stored()) < 2:
                await publisher.publish([event])
        after = await stored()

    assert within == [event.body]
    assert {decode(body).id for body in after} == {event.event_id}


async def test_case_13_we_know_a_notice_again_after_its_id_was_forgotten(billing: InMemoryBilling) -> None:
    """As a consumer ourselves: a notice repeated after the inbox was purged changes nothing, for the payment is the
    key [nats-server#2921]."""
    purchase = await billing.buy(await billing.register())
    billing.platform.pay(reference_of(purchase))
    notice = a_notice(reference=reference_of(purchase))
    await billing.handle_webhooks([notice])
    billing.clock.advance(timedelta(days=31))
    forgotten = (await billing.purge_idempotency()).figures["messages"]

    outcomes = await billing.handle_webhooks([again(notice)])

    assert (forgotten, outcomes) == (2, [Done()])  # the announcement of the merchant was forgotten too
    assert await told(billing) == ["credits.purchased"]


async def test_case_14_a_redelivery_to_a_second_worker_is_settled_once(workers: Workers) -> None:
    """The time to acknowledge ran out while the first worker stood in its transaction: the second waits for it and
    finds it done [nats-server#4786, #4956]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    notice = a_notice(reference=reference_of(purchase))
    deliveries: Works = [workers.one.handle_webhooks([notice]), workers.other.handle_webhooks([again(notice)])]

    outcomes = await workers.in_order(the_purchase(purchase), *deliveries)

    assert outcomes == [[Done()], [Done()]]
    assert await told(workers.one) == ["credits.purchased"]


async def test_case_14_the_last_delivery_is_parked_and_counted_by_two_workers_at_once(workers: Workers) -> None:
    """JetStream never gives a message up (`max_deliver` -1): we do, by parking it once, whole, counted and replayable
    [nats-server#4786, #4956]."""
    last = replace(a_notice(reference="pay-nobody"), attempt=len(UNKNOWN_REFERENCE_DELAYS_S) + 1)
    acknowledged: list[str] = []

    class LastDelivery:
        message = last

        async def ack(self) -> None:
            acknowledged.append("ack")

    async def consumed(handle: Callable[..., Awaitable[list[Outcome]]]) -> float | None:
        metrics = WorkerMetrics()
        nobody = cast("Fetcher", None)  # the delivery is handed over by the test
        consumption = Consumption(name="cases", consumer=nobody, consume=handle, metrics=metrics)
        await consumption.handle([cast("Delivery", LastDelivery())])
        labels = {"consumer": "cases", "outcome": "parked"}
        return metrics.registry.get_sample_value("billing_messages_total", labels)

    counted = await asyncio.gather(*(consumed(each.handle_webhooks) for each in (workers.one, workers.other)))  # type: ignore[arg-type] # any sequence of outcomes will do

    async with workers.storage.units() as uow:
        (parked,) = await uow.parked.list(10)
    replayed = await workers.one.replay_parked(parked.parked_id)
    assert PURCHASE_UPDATED.config().max_deliver == -1
    assert (counted, acknowledged) == ([1, 1], ["ack", "ack"])
    assert (parked.body, parked.reason) == (last.body, "no purchase has the reference 'pay-nobody'")
    assert [each.body for each in workers.one.sender.sent] == [replayed.body]
    assert Parked(reason=parked.reason) == (await workers.one.handle_webhooks([last]))[0]
