"""Case 21 of the forty (bugs users hit): what goes back, in every order and size."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.cases.recorded import a_notice, facts, key_of, net_credits, recorded, reference_of, told
from tests.cases.vendors import on_stripe
from tests.cases.workers import Workers, the_purchase

from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import InMemoryBilling, a_merchant, an_origin
from billing_core.use_cases.inbound import Done

OPERATOR = an_origin(actor="operator", reason="a customer asked")


async def test_case_21_partial_refunds_take_back_by_their_sum_rounded_up_and_replays_nothing(
    billing: InMemoryBilling,
) -> None:
    """100 credits for 999 cents, refunded in four parts, each told twice: every sum is rounded up, and the last part
    takes exactly what is left [usage_credits tests]."""
    purchase = await billing.buy(await billing.register(), "small")
    await billing.pay(purchase)

    for part in (1, 333, 333, 332):
        billing.platform.refund(reference_of(purchase), part)
        for _ in range(2):
            await billing.notify(reference_of(purchase))

    reversed_ = await facts(billing, "credits.reversed")
    assert [(each["refunded_minor"], each["credits"]) for each in reversed_] == [
        (1, 1),
        (334, 33),
        (667, 33),
        (999, 33),
    ]
    assert (await recorded(billing, purchase)).status is PurchaseStatus.REFUNDED


async def test_case_21_more_given_back_than_was_paid_takes_back_no_more_than_was_bought(
    billing: InMemoryBilling,
) -> None:
    """A refund above the price, and another one after it: clamped [usage_credits tests]."""
    purchase = await billing.buy(await billing.register(), "small")
    await billing.pay(purchase)

    for _ in range(2):
        billing.platform.refund(reference_of(purchase), 5000)
        await billing.notify(reference_of(purchase))

    refunded = await recorded(billing, purchase)
    assert (refunded.refunded_minor, refunded.credits_reversed) == (999, 100)
    assert await net_credits(billing) == 0


async def test_case_21_a_refund_by_dashboard_names_no_id_of_ours_and_is_traced() -> None:
    """Stripe's refund events carry the payment alone: Stripe is asked which session it was
    [hyperwhisper#3 review]."""
    async with on_stripe() as on:
        purchase = await on.billing.buy(await on.billing.register(a_merchant(platform="stripe")), "small")
        on.stripe.pay(reference_of(purchase))
        await on.billing.operate.reconcile([key_of(purchase)], OPERATOR)
        on.stripe.refund(reference_of(purchase), 333)
        event = on.stripe.event(reference_of(purchase), "charge.refunded")
        event["data"]["object"]["metadata"] = {}

        outcomes = await on.billing.handle_webhooks([a_notice("stripe", **event)])

        assert outcomes == [Done()]
        assert [each["credits"] for each in await facts(on.billing, "credits.reversed")] == [34]


async def test_case_21_a_dispute_then_a_refund_then_won_leaves_the_refund(billing: InMemoryBilling) -> None:
    """The dispute takes everything, the refund no more, and winning restores all but what was refunded
    [elizaOS#11155]."""
    purchase = await billing.buy(await billing.register(), "small")
    await billing.pay(purchase)
    net = []

    for act in ("open", 333, "won"):
        if isinstance(act, int):
            billing.platform.refund(reference_of(purchase), act)
        else:
            billing.platform.dispute(reference_of(purchase), DisputeStatus(act))
        await billing.notify(reference_of(purchase))
        net.append(await net_credits(billing))

    assert net == [0, 0, 66]
    assert (await recorded(billing, purchase)).status is PurchaseStatus.PARTIALLY_REFUNDED


async def test_case_21_a_dispute_won_and_then_a_refund_takes_back_again(billing: InMemoryBilling) -> None:
    """Restored credits go once more when the money goes after all [elizaOS#11155; hyperwhisper#3 review]."""
    purchase = await billing.buy(await billing.register(), "small")
    await billing.pay(purchase)

    for dispute in (DisputeStatus.OPEN, DisputeStatus.WON):
        billing.platform.dispute(reference_of(purchase), dispute)
        await billing.notify(reference_of(purchase))
    billing.platform.refund(reference_of(purchase), 999)
    await billing.notify(reference_of(purchase))

    assert await told(billing) == ["credits.purchased", "credits.reversed", "credits.restored", "credits.reversed"]
    assert await net_credits(billing) == 0


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
async def test_case_21_refunds_told_at_once_take_back_their_sum_once(workers: Workers, backwards: bool) -> None:
    """Two processes asked before and after another part was given back: the later answer counts, and the older one
    undoes nothing, whichever is settled first [usage_credits tests]."""
    purchase = await workers.one.buy(await workers.one.register(), "small")
    await workers.one.pay(purchase)
    workers.platform.refund(reference_of(purchase), 333)
    held = workers.platform.hold("look_up")
    older = asyncio.create_task(workers.one.notify(reference_of(purchase)))
    await held.asked.wait()
    workers.platform.refund(reference_of(purchase), 333)

    async def older_arrives() -> Any:
        held.given.set()
        return await older

    works: list[Coroutine[Any, Any, Any]] = [older_arrives(), workers.other.notify(reference_of(purchase))]
    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    taken_back = [each["credits"] for each in await facts(workers.one, "credits.reversed")]
    assert taken_back == ([67] if backwards else [34, 33])
    assert (await recorded(workers.one, purchase)).refunded_minor == 666
    assert "credits.restored" not in await told(workers.one)
