"""What other services tell: whatever is not acknowledged is delivered again."""

from collections.abc import Mapping
from typing import Any

from tests.faults.sweep.handlers.requests import unanswered
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import MERCHANTS, World, announce, bought

from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import ARCHIVED_AFTER, PurchaseStatus
from billing_core.messages import PURCHASE_UPDATED, InboundMessage, message_digest
from billing_core.testing import a_merchant_created, a_purchase_updated

_GARBAGE = b'{"no": "end'


# --- payments ------------------------------------------------------------------------------------------------------


async def _paid(world: World) -> None:
    await bought(world, trial=True)
    platform, reference = world.checkout()
    platform.pay(reference)


async def _notice_of_payment(world: World) -> None:
    await _paid(world)
    world.send_notice(world.checkout()[1])


async def _notice_names_the_money(world: World) -> None:
    await _paid(world)
    world.send_notice("", payment=world.checkout()[1].replace("pay-", "money-", 1))


async def _notice_before_our_answer(world: World) -> None:
    await unanswered(world, "m-3")
    platform, reference = world.checkout()
    platform.pay(reference)
    world.send_notice("", "shopify", purchase=world.purchase().short_reference)


async def _settled(world: World) -> None:
    await _notice_of_payment(world)
    await world.deliver(world.start())


async def _notice_of_refund(world: World) -> None:
    await _settled(world)
    platform, reference = world.checkout()
    platform.refund(reference, 2000)
    world.send_notice(reference, name="n-2")


async def _notice_again(world: World) -> None:
    await _settled(world)
    world.send_notice(world.checkout()[1])


async def _notice_of_dispute_after_the_archive(world: World) -> None:
    await _settled(world)
    world.clock.advance(2 * ARCHIVED_AFTER)
    await world.start().archive_purchases()
    assert world.storage.tables.archive
    platform, reference = world.checkout()
    platform.dispute(reference, DisputeStatus.OPEN)
    world.send_notice(reference, name="n-2")


async def _notice_of_decline(world: World) -> None:
    await bought(world)
    platform, reference = world.checkout()
    platform.decline(reference)
    world.send_notice(reference)


async def _notice_of_another_amount(world: World) -> None:
    await bought(world)
    platform, reference = world.checkout()
    platform.pay_without_details(reference)
    world.send_notice(reference)


# --- what cannot be handled ----------------------------------------------------------------------------------------


async def _notice_of_nobodys_payment(world: World) -> None:
    world.send(a_purchase_updated("pay-nobody", platform="stripe", message_id="n-1"), poisoned=True)


async def _notice_the_platform_denies(world: World) -> None:
    await bought(world)
    platform, reference = world.checkout()
    platform.forget(reference)
    world.send(a_purchase_updated(reference, platform="stripe", message_id="n-1"), poisoned=True)


async def _garbage(world: World) -> None:
    headers = {"Nats-Msg-Id": "n-0"}
    world.send(InboundMessage(subject=PURCHASE_UPDATED, body=_GARBAGE, headers=headers, attempt=1))
    world.poisoned.add(message_digest(_GARBAGE))  # it has no id that could be read


async def _everything_at_once(world: World) -> None:
    await _notice_of_payment(world)
    await _garbage(world)
    world.send_notice(world.checkout()[1], name="n-2")
    await bought(world, "m-3")
    platform, reference = world.checkout(1)
    platform.decline(reference)
    world.send_notice(reference, "shopify", name="n-3")


# --- merchants -----------------------------------------------------------------------------------------------------


async def _new_merchants(world: World) -> None:
    world.send(*(a_merchant_created(MERCHANTS[name], message_id=f"a-{name}") for name in ("m-1", "m-3")))


async def _merchants_again(world: World) -> None:
    await announce(world, "m-1")
    moved = a_merchant_created(MERCHANTS["m-1"], message_id="a-moved", platform_domain="new.example")
    world.send(moved, a_merchant_created(MERCHANTS["m-2"], message_id="a-m-2"))
    other = a_merchant_created(MERCHANTS["m-1"], message_id="a-other", platform_account_id="shop-z")
    world.send(other, poisoned=True)


# --- what must be so -----------------------------------------------------------------------------------------------


def _stands(*statuses: PurchaseStatus) -> Mapping[str, Any]:
    told = ", ".join(statuses)
    return {f"the purchases stand {told}": lambda world: [each.status for each in world.purchases()] == [*statuses]}


def _parks(body: bytes | None = None) -> Mapping[str, Any]:
    def is_parked(world: World) -> bool:
        (message,) = world.parked()
        return body is None or message.body == body

    return {"the message is parked, once and whole": is_parked}


def _notice(name: str, arrange: Any, facts: Mapping[str, Any]) -> Handler:
    return Handler(name=name, arrange=arrange, attempt=lambda world, process: world.deliver(process), facts=facts)


_CONVERTS = {"the trial was converted": lambda world: world.told_of("trial.converted") == 1}
_REVERSES = {"credits were taken back once": lambda world: world.told_of("credits.reversed") == 1}
_ASKS = {"a person was asked once": lambda world: world.told_of("purchase.needs_review") == 1}
_KNOWS = {"both are known": lambda world: len(world.storage.tables.merchants) == 2}
_MOVES = {
    "the merchant has moved": lambda world: world.storage.tables.merchants["m-1"].platform_domain == "new.example",
    "and is still the same shop": lambda world: world.storage.tables.merchants["m-1"].platform_account_id == "shop-a",
}

HANDLERS = (
    _notice("notice of a payment", _notice_of_payment, {**_stands(PurchaseStatus.COMPLETED), **_CONVERTS}),
    _notice("notice that names the money alone", _notice_names_the_money, _stands(PurchaseStatus.COMPLETED)),
    _notice("notice before our own answer", _notice_before_our_answer, _stands(PurchaseStatus.COMPLETED)),
    _notice("notice again", _notice_again, {**_stands(PurchaseStatus.COMPLETED), **_CONVERTS}),
    _notice("notice of a refund", _notice_of_refund, {**_stands(PurchaseStatus.PARTIALLY_REFUNDED), **_REVERSES}),
    _notice(
        "notice of a dispute about what is archived",
        _notice_of_dispute_after_the_archive,
        {**_stands(PurchaseStatus.DISPUTED), **_REVERSES},
    ),
    _notice("notice of a decline", _notice_of_decline, _stands(PurchaseStatus.DECLINED)),
    _notice("notice of another amount", _notice_of_another_amount, {**_stands(PurchaseStatus.PENDING), **_ASKS}),
    _notice("notice of nobody's payment", _notice_of_nobodys_payment, _parks()),
    _notice("notice the platform denies", _notice_the_platform_denies, _parks()),
    _notice("poison", _garbage, _parks(_GARBAGE)),
    _notice(
        "a batch of everything",
        _everything_at_once,
        {**_stands(PurchaseStatus.COMPLETED, PurchaseStatus.DECLINED), **_parks(_GARBAGE)},
    ),
    _notice("new merchants", _new_merchants, _KNOWS),
    _notice("merchants again, and one that contradicts itself", _merchants_again, {**_KNOWS, **_MOVES, **_parks()}),
)
