"""What clients ask by HTTP: they come again with the same key until they have an answer."""

from typing import Any

from tests.faults.ports import Crash, PortFault, Process
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import A_WHILE, World, announce, bought

from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.errors import PlatformRejected, PlatformUnavailable, TrialAlreadyUsed
from billing_core.use_cases.inbound import UNKNOWN_REFERENCE_DELAYS_S


async def unanswered(world: World, merchant: str) -> None:
    """This will have a merchant buy on a process that dies before it knows which checkout the platform made."""

    async def dies(label: str) -> PortFault | None:
        return PortFault.CRASH_AFTER if label == "platform.create_checkout" else None

    await announce(world, merchant)
    try:
        await world.buy(world.start(dies), merchant)
    except Crash:
        world.clock.advance(A_WHILE)


async def _shop_had_its_trial(world: World) -> None:
    await announce(world, "m-1", "m-2")
    await world.activate(world.start(), "m-1")


async def _refused_trial(world: World, process: Process) -> bool:
    try:
        return await world.activate(process, "m-2")
    except TrialAlreadyUsed as refusal:
        return world.refused("m-2", "key-1", refusal)


async def _trial_is_forgotten_by_the_cache(world: World) -> None:
    await announce(world, "m-1")
    await world.activate(world.start(), "m-1")
    world.replays.lose_everything()


async def _platform_refuses(world: World) -> None:
    await announce(world, "m-1")
    world.platforms["stripe"].fail("create_checkout", PlatformRejected("stripe", "no"), times=99)


async def _refused_purchase(world: World, process: Process) -> bool:
    try:
        return await world.buy(process, "m-1")
    except PlatformRejected as refusal:
        return world.refused("m-1", "key-1", refusal)


async def _platform_accepts_again(world: World) -> None:
    """This will have the client try once more under the same key, which a refusal has set free."""
    world.platforms["stripe"].recover()
    await world.buy(world.start(), "m-1")


async def _was_refused(world: World) -> None:
    await _platform_refuses(world)
    await _refused_purchase(world, world.start())
    world.platforms["stripe"].recover()


def _platform_is_away(*, after_effect: bool) -> Any:
    async def arrange(world: World) -> None:
        await announce(world, "m-3")
        away = PlatformUnavailable("shopify", "no answer")
        world.platforms["shopify"].fail("create_checkout", away, after_effect=after_effect)

    return arrange


async def _pay_what_was_told(world: World) -> None:
    """This will have the customer pay at the only URL anyone was told, and the notice arrive, which names no more than
    the payment."""
    platform, _ = world.checkout()
    (url,) = {told.document["checkout_url"] for told in world.told if "checkout_url" in told.document}
    (reference,) = [key for key, payment in platform.payments.items() if payment.checkout.url == url]
    platform.pay(reference)
    world.send_notice(reference, platform.name)
    for _ in range(len(UNKNOWN_REFERENCE_DELAYS_S) + 1):
        await world.deliver(world.start())


def _is_paid_once(world: World) -> bool:
    return [each.status for each in world.purchases()] == [PurchaseStatus.COMPLETED]


def _bought(name: str, merchant: str, arrange: Any, *, key: str = "key-1") -> Handler:
    return Handler(
        name=name,
        arrange=arrange,
        attempt=lambda world, process: world.buy(process, merchant, key),
        afterwards=_pay_what_was_told,
        facts={"one purchase was made, and paid where the client was sent": _is_paid_once},
    )


HANDLERS = (
    Handler(
        name="activate a trial",
        arrange=lambda world: announce(world, "m-1"),
        attempt=lambda world, process: world.activate(process, "m-1"),
        facts={
            "one trial runs": lambda world: (
                [each.status for each in world.storage.tables.trials.values()] == [TrialStatus.ACTIVE]
            ),
            "it was announced once": lambda world: world.told_of("trial.started") == 1,
        },
    ),
    Handler(
        name="refuse a second trial",
        arrange=_shop_had_its_trial,
        attempt=_refused_trial,
        facts={
            "it was refused": lambda world: any(each.status == 409 for each in world.told),
            "that was announced once": lambda world: world.told_of("trial.refused") == 1,
        },
    ),
    Handler(
        name="repeat a trial",
        arrange=_trial_is_forgotten_by_the_cache,
        attempt=lambda world, process: world.activate(process, "m-1"),
        facts={"one trial was announced": lambda world: world.told_of("trial.started") == 1},
    ),
    _bought("buy", "m-1", lambda world: announce(world, "m-1")),
    _bought("buy where repeats make another checkout", "m-3", lambda world: announce(world, "m-3")),
    _bought("buy while the platform is away", "m-3", _platform_is_away(after_effect=False)),
    _bought("buy where the platform's answer is lost", "m-3", _platform_is_away(after_effect=True)),
    _bought("buy what a dead process began", "m-3", lambda world: unanswered(world, "m-3")),
    _bought("buy what is open already", "m-1", bought, key="another-key"),
    Handler(
        name="buy where the platform refuses",
        arrange=_platform_refuses,
        attempt=_refused_purchase,
        afterwards=_platform_accepts_again,
        facts={
            "the first purchase failed": lambda world: world.purchase().status is PurchaseStatus.FAILED,
            "the key was free for another": lambda world: world.purchase(-1).status is PurchaseStatus.PENDING,
        },
    ),
    Handler(
        name="buy again what the platform refused",
        arrange=_was_refused,
        attempt=lambda world, process: world.buy(process, "m-1"),
        facts={"another purchase is open": lambda world: world.purchase(-1).status is PurchaseStatus.PENDING},
    ),
)
