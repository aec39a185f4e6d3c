"""Two that do not know of each other: whatever one is slow at, the other gets in between."""

from datetime import timedelta
from typing import Any

from tests.faults.ports import Process
from tests.faults.sweep.handlers.requests import unanswered
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import OPERATOR, World, announce, bought, purchase_key

from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.errors import ResolutionRefused, TrialAlreadyUsed


def _asks_for_a_trial(merchant: str) -> Any:
    async def attempt(world: World, process: Process) -> bool:
        try:
            return await world.activate(process, merchant)
        except TrialAlreadyUsed as refusal:
            return world.refused(merchant, "key-1", refusal)

    return attempt


async def _buys_and_pays(world: World, process: Process) -> bool:
    """The customer is quick: it pays, and the notice arrives, while the first request still runs."""
    await world.buy(process, "m-3")
    return await _pays(world, process)


async def _pays(world: World, process: Process) -> bool:
    """The customer pays, unless the checkout was ended, and the notice arrives."""
    platform, reference = world.checkout()
    if platform.payments[reference].status is PaymentStatus.PENDING:
        platform.pay(reference)
        world.send_notice(reference, platform.name, reference=reference, purchase=world.purchase().short_reference)
    return await world.deliver(process)


async def _is_refunded(world: World, process: Process) -> bool:
    platform, reference = world.checkout()
    if not platform.payments[reference].refunded_minor:
        platform.refund(reference, 2000)
        world.send_notice(reference, name="n-2")
    return await world.deliver(process)


async def _cancels(world: World, process: Process) -> bool:
    try:
        await process.operate.cancel(purchase_key(world), OPERATOR)
    except ResolutionRefused:
        return not world.purchase().is_open
    return True


async def _expires(_world: World, process: Process) -> bool:
    return not (await process.expire_purchases()).figures.get("platform_errors")


async def _reconciles(_world: World, process: Process) -> bool:
    return not (await process.reconcile_purchases()).figures.get("platform_errors")


async def _overdue(world: World) -> None:
    await bought(world, trial=True)
    world.clock.advance(timedelta(hours=50))


async def _overdue_and_unanswered(world: World) -> None:
    await unanswered(world, "m-3")
    world.clock.advance(timedelta(hours=50))


async def _paid(world: World) -> None:
    await bought(world)
    world.clock.advance(timedelta(minutes=2))
    platform, reference = world.checkout()
    platform.pay(reference)


def _one_trial_runs(world: World) -> bool:
    states = sorted(each.status for each in world.storage.tables.trials.values())
    return states in ([TrialStatus.ACTIVE], [TrialStatus.ACTIVE, TrialStatus.REFUSED])


def _agrees_with_the_money(world: World) -> bool:
    platform, reference = world.checkout()
    return world.purchase().is_paid == (platform.payments[reference].status is PaymentStatus.PAID)


def _pair(name: str, arrange: Any, attempt: Any, rival: Any, **facts: Any) -> Handler:
    told = {fact.replace("_", " "): holds for fact, holds in facts.items()}
    return Handler(name=name, arrange=arrange, attempt=attempt, rival=rival, facts=told)


HANDLERS = (
    _pair(
        "two merchants of a shop ask for its trial",
        lambda world: announce(world, "m-1", "m-2"),
        _asks_for_a_trial("m-1"),
        _asks_for_a_trial("m-2"),
        one_trial_runs=_one_trial_runs,
    ),
    _pair(
        "a merchant buys under two keys",
        lambda world: announce(world, "m-3"),
        lambda world, process: world.buy(process, "m-3", "key-1"),
        lambda world, process: world.buy(process, "m-3", "key-2"),
        one_purchase_was_made=lambda world: len(world.purchases()) == 1,
    ),
    _pair(
        "a request outlives its lock, and the customer pays",
        lambda world: announce(world, "m-3"),
        lambda world, process: world.buy(process, "m-3"),
        _buys_and_pays,
        credits_agree_with_the_money=_agrees_with_the_money,
    ),
    _pair(
        "expiry, and the customer pays",
        _overdue,
        _expires,
        _pays,
        credits_agree_with_the_money=_agrees_with_the_money,
    ),
    _pair(
        "expiry of what was never answered, and the customer pays",
        _overdue_and_unanswered,
        _expires,
        _pays,
        credits_agree_with_the_money=_agrees_with_the_money,
    ),
    _pair(
        "an operator cancels, and the customer pays",
        bought,
        _cancels,
        _pays,
        credits_agree_with_the_money=_agrees_with_the_money,
    ),
    _pair(
        "the reconciler asks, and the payment is refunded",
        _paid,
        _reconciles,
        _is_refunded,
        it_is_paid=lambda world: (
            world.purchase().status in (PurchaseStatus.COMPLETED, PurchaseStatus.PARTIALLY_REFUNDED)
        ),
    ),
)
