"""Shops that go and come back: whoever asks for it asks again until it is done, and a shop is known all the same."""

from datetime import timedelta
from typing import Any

from tests.faults.ports import Process
from tests.faults.sweep.handlers.goodwill import GRANT_ID
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import MERCHANTS, OPERATOR, World, bought

from billing_core.domain.trials import TrialStatus
from billing_core.errors import TrialAlreadyUsed
from billing_core.messages import InboundMessage, message_digest
from billing_core.testing import a_caller, a_merchant, a_merchant_created, a_purchase_updated

SHOP = "shop-a"
# The same shop under a merchant id of which nobody has heard before.
RETURNED = a_merchant("m-9", platform="stripe", platform_account_id=SHOP)
NAMES = (SHOP, "shop.example")
_GARBAGE = b'{"no": "end", "account": "shop-a"'


async def _a_shop_with_a_past(world: World) -> None:
    """In every table, and of which nothing can be paid any more."""
    await bought(world, trial=True)
    platform, reference = world.checkout()
    platform.pay(reference)
    world.send_notice(reference)
    process = world.start()
    await world.deliver(process)
    await process.grant_credits("m-1", 7, GRANT_ID, OPERATOR)
    world.clock.advance(timedelta(days=91))
    await process.archive_purchases()
    await world.buy(process, "m-1", "key-later", "small")
    garbage = InboundMessage(subject="evt.merchant.created", body=_GARBAGE, headers={"Nats-Msg-Id": "n-0"})
    await process.register_merchants([garbage])
    world.poisoned.add(message_digest(_GARBAGE))
    await process.relay_events()
    world.clock.advance(timedelta(hours=60))


async def _gone(world: World) -> None:
    await _a_shop_with_a_past(world)
    await world.start().redact_merchants.merchant("m-1", OPERATOR)


async def _gone_and_announced_again(world: World) -> None:
    await _gone(world)
    world.send(a_merchant_created(MERCHANTS["m-1"], message_id="a-again"))


async def _gone_and_back_as_another(world: World) -> None:
    await _gone(world)
    world.send(a_merchant_created(RETURNED, message_id="a-m-9"))


async def _paid_before_its_shop_went(world: World) -> None:
    await _a_shop_with_a_past(world)
    platform, reference = world.checkout(1)
    await world.start().redact_merchants.merchant("m-1", OPERATOR)
    platform.pay(reference)
    world.send_notice("", reference=reference, account=SHOP)


def _asks(topic: str) -> Any:
    async def arrange(world: World) -> None:
        await _a_shop_with_a_past(world)
        payload = {"account": SHOP}
        world.send(a_purchase_updated(platform="stripe", topic=topic, payload=payload, message_id="d-1"))

    return arrange


async def _redact(_: World, process: Process) -> bool:
    await process.redact_merchants.merchant("m-1", OPERATOR)
    return True


async def _deliver(world: World, process: Process) -> bool:
    return await world.deliver(process)


async def _comes_back(world: World, process: Process) -> bool:
    """Under another merchant id, and asks for a trial at once."""
    await process.register_merchants([a_merchant_created(RETURNED, message_id="a-m-9")])
    try:
        await process.activate_trial(a_caller(RETURNED), "key-9")
    except TrialAlreadyUsed:
        return True
    return False


def _is_named_nowhere(world: World) -> bool:
    tables = world.storage.tables
    held = (
        tables.merchants, tables.trials, tables.trial_claims, tables.purchases, tables.archive, tables.changes,
        tables.keys, tables.parked, world.replays._remembered,
    )  # fmt: skip
    return not any(name in repr(rows) for rows in held for name in NAMES)


def _one_trial_was_given(world: World) -> bool:
    given = [each for each in world.storage.tables.trials.values() if each.status is not TrialStatus.REFUSED]
    return len(given) == len(world.storage.tables.trial_claims) == 1


def _recorded(*what: str) -> Any:
    """What was recorded; a redaction that was interrupted may say once more that it went on."""
    return lambda world: {each.what for each in world.storage.tables.privacy.values()} == set(what)


def _credits(world: World) -> bool:
    return sum(each.offer.total_credits for each in world.purchases() if each.is_paid) == 1000


_GONE = {
    "it is named nowhere": _is_named_nowhere,
    "one trial was given": _one_trial_was_given,
    "paid is paid": _credits,
}
_BACK = {
    "its trial is claimed under its name": lambda world: list(world.storage.tables.trial_claims) == [("stripe", SHOP)],
    "one trial was given": _one_trial_was_given,
}

HANDLERS = (
    Handler(
        name="an operator redacts a merchant",
        arrange=_a_shop_with_a_past,
        attempt=_redact,
        facts={**_GONE, "it is recorded": _recorded("redacted")},
    ),
    Handler(
        name="a shop is to be redacted",
        arrange=_asks("shop/redact"),
        attempt=_deliver,
        facts={**_GONE, "it is recorded": _recorded("redacted", "shop to be redacted")},
    ),
    Handler(
        name="a customer is to be redacted",
        arrange=_asks("customers/redact"),
        attempt=_deliver,
        facts={
            "it is recorded once": lambda world: len(world.storage.tables.privacy) == 1,
            "the shop is left alone": lambda world: not world.storage.tables.merchants["m-1"].is_redacted,
        },
    ),
    Handler(
        name="a redacted merchant is announced again", arrange=_gone_and_announced_again, attempt=_deliver, facts=_BACK
    ),
    Handler(name="a redacted shop comes back", arrange=_gone_and_back_as_another, attempt=_deliver, facts=_BACK),
    Handler(
        name="a payment is told of after its shop went",
        arrange=_paid_before_its_shop_went,
        attempt=_deliver,
        facts={
            "it is paid": lambda world: world.purchase(1).is_paid and not world.purchase(1).needs_review,
            "it is named nowhere": _is_named_nowhere,
        },
    ),
    Handler(
        name="a shop is redacted, and comes back",
        arrange=_a_shop_with_a_past,
        attempt=_redact,
        rival=_comes_back,
        facts={"one trial was given": _one_trial_was_given},
    ),
)
