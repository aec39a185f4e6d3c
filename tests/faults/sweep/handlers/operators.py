"""What operators do: they give the same command again until it has worked."""

from dataclasses import replace
from typing import Any, Literal

from tests.faults.ports import Process
from tests.faults.sweep.handlers.requests import unanswered
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import OPERATOR, World, bought, purchase_key

from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import ParkedMessageNotWaiting, PlatformAuthError, PlatformError, ResolutionRefused
from billing_core.messages import InboundMessage
from billing_core.testing import a_purchase_updated


async def _paid_in_silence(world: World) -> None:
    await bought(world, trial=True)
    platform, reference = world.checkout()
    platform.pay(reference)


async def _reconcile(world: World, process: Process) -> bool:
    findings = await process.operate.reconcile([purchase_key(world)], OPERATOR)
    return not any(isinstance(found.answer, PlatformError) for found in findings)


async def _cancel(world: World, process: Process) -> bool:
    try:
        await process.operate.cancel(purchase_key(world), OPERATOR)
    except ResolutionRefused:
        return not world.purchase().is_open  # a try before this one had its effect
    return True


async def _in_review(world: World) -> None:
    await bought(world)
    platform, reference = world.checkout()
    offered = platform.payments[reference].purchase.offer.price
    platform.pay(reference, price=replace(offered, amount_minor=offered.amount_minor - 1))
    world.send_notice(reference)
    await world.deliver(world.start())


def _resolve(verdict: Literal["accept", "dismiss"]) -> Any:
    async def attempt(world: World, process: Process) -> bool:
        try:
            await process.operate.resolve(purchase_key(world), verdict, OPERATOR)
        except ResolutionRefused:
            return not world.purchase().needs_review
        return True

    return attempt


async def _parked_for_a_reason_that_passed(world: World) -> None:
    await _paid_in_silence(world)
    platform, reference = world.checkout()
    platform.fail("look_up", PlatformAuthError("stripe", "the token was revoked"))
    world.send(a_purchase_updated(reference, platform="stripe", message_id="n-1", attempt=10))
    await world.deliver(world.start())
    assert len(world.parked()) == 1


async def _replay(world: World, process: Process) -> bool:
    (parked_id,) = world.storage.tables.parked
    await process.replay_parked(parked_id)
    return True


async def _what_was_sent_arrives(world: World) -> None:
    for sent in world.sender.sent:
        world.send(InboundMessage(subject=sent.subject, body=sent.body, headers=sent.headers, attempt=1))
    await world.deliver(world.start())


async def _one_is_parked(world: World) -> None:
    world.send(a_purchase_updated("pay-nobody", platform="unheard-of", message_id="n-1"))
    await world.deliver(world.start())
    assert len(world.parked()) == 1


async def _drop(world: World, process: Process) -> bool:
    try:
        await process.drop_parked(list(world.storage.tables.parked), OPERATOR)
    except ParkedMessageNotWaiting:
        return not world.parked()
    return True


def _was_given_up(world: World) -> bool:
    (message,) = world.storage.tables.parked.values()
    return message.dropped is not None and message.dropped.by == OPERATOR.actor


def _stands(status: PurchaseStatus) -> dict[str, Any]:
    return {f"the purchase stands {status}": lambda world: world.purchase().status is status}


def _ends_at_the_platform(world: World) -> bool:
    platform, reference = world.checkout()
    return platform.payments[reference].status is PaymentStatus.CANCELLED


HANDLERS = (
    Handler(
        name="operator reconciles",
        arrange=_paid_in_silence,
        attempt=_reconcile,
        facts=_stands(PurchaseStatus.COMPLETED),
    ),
    Handler(
        name="operator cancels",
        arrange=bought,
        attempt=_cancel,
        facts={**_stands(PurchaseStatus.CANCELLED), "its checkout cannot be paid any more": _ends_at_the_platform},
    ),
    Handler(
        name="operator cancels what was never answered",
        arrange=lambda world: unanswered(world, "m-3"),
        attempt=_cancel,
        facts={**_stands(PurchaseStatus.CANCELLED), "its checkout cannot be paid any more": _ends_at_the_platform},
    ),
    Handler(
        name="operator accepts",
        arrange=_in_review,
        attempt=_resolve("accept"),
        facts={
            **_stands(PurchaseStatus.COMPLETED),
            "nobody is asked any more": lambda world: not world.purchase().needs_review,
        },
    ),
    Handler(
        name="operator dismisses",
        arrange=_in_review,
        attempt=_resolve("dismiss"),
        facts={
            **_stands(PurchaseStatus.CANCELLED),
            "nobody is asked any more": lambda world: not world.purchase().needs_review,
        },
    ),
    Handler(
        name="operator replays what was parked",
        arrange=_parked_for_a_reason_that_passed,
        attempt=_replay,
        afterwards=_what_was_sent_arrives,
        facts={
            **_stands(PurchaseStatus.COMPLETED),
            "it was sent again": lambda world: len(world.sender.sent) >= 1,
            "it waits no longer": lambda world: not world.parked(),
        },
    ),
    Handler(
        name="operator drops what was parked",
        arrange=_one_is_parked,
        attempt=_drop,
        facts={"it is kept, and who gave it up": _was_given_up},
    ),
)
