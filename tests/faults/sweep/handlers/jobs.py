"""What happens by itself: a run that fails is followed by the next."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.faults.ports import Process
from tests.faults.sweep.handlers.requests import unanswered
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import World, announce, bought

from billing_core.domain.purchases import ARCHIVED_AFTER, PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.use_cases.purge_idempotency import EVENTS_KEPT_FOR

_PAST_EVERY_DEADLINE = timedelta(hours=50)


async def _three_purchases(world: World) -> None:
    """This will leave one purchase unpaid, one paid without a notice, and one whose create was never answered."""
    await bought(world, "m-1", pack="small")
    await bought(world, "m-1", trial=True)
    platform, reference = world.checkout(1)
    platform.pay(reference)
    await unanswered(world, "m-3")
    world.clock.advance(timedelta(minutes=2))


async def _three_old_purchases(world: World) -> None:
    await _three_purchases(world)
    world.platforms["shopify"].forget(world.checkout(2)[1])
    world.clock.advance(_PAST_EVERY_DEADLINE)


def _stand(*statuses: PurchaseStatus) -> Mapping[str, Any]:
    told = ", ".join(statuses)
    return {f"the purchases stand {told}": lambda world: [each.status for each in world.purchases()] == [*statuses]}


async def _trials(world: World, age: timedelta) -> None:
    await announce(world, "m-1", "m-3")
    process = world.start()
    for merchant in ("m-1", "m-3"):
        await world.activate(process, merchant)
    world.clock.advance(age)


async def _old_purchases(world: World) -> None:
    await _three_purchases(world)
    await world.rest()
    world.clock.advance(ARCHIVED_AFTER + _PAST_EVERY_DEADLINE)
    await world.start().expire_purchases()
    world.clock.advance(2 * ARCHIVED_AFTER)


def _ages(world: World) -> list[timedelta]:
    published = (row.published_at for row in world.storage.tables.outbox.values())
    return [world.clock.now() - at for at in published if at is not None]


async def _refunded_in_silence(world: World) -> None:
    await bought(world, "m-3")
    platform, reference = world.checkout()
    platform.pay(reference)
    await world.rest()
    platform.refund(reference, 3500)


async def _much_to_do(world: World) -> None:
    """This will leave something for every job."""
    await _refunded_in_silence(world)
    await bought(world, "m-1", pack="small")
    await bought(world, "m-1", trial=True)
    platform, reference = world.checkout(2)
    platform.pay(reference)
    world.clock.advance(timedelta(minutes=2))


async def _all_due_jobs(_world: World, process: Process) -> bool:
    outcomes = await process.jobs()
    return all(outcome.error is None for outcome in outcomes)


def _job(name: str, arrange: Any, facts: Mapping[str, Any]) -> Handler:
    async def attempt(_world: World, process: Process) -> bool:
        report = await getattr(process, name.replace("-", "_"))()
        return not report.figures.get("platform_errors")

    return Handler(name=name, arrange=arrange, attempt=attempt, facts=facts)


HANDLERS = (
    _job(
        "reconcile-purchases",
        _three_purchases,
        _stand(PurchaseStatus.PENDING, PurchaseStatus.COMPLETED, PurchaseStatus.CREATED),
    ),
    _job(
        "expire-purchases",
        _three_old_purchases,
        _stand(PurchaseStatus.EXPIRED, PurchaseStatus.COMPLETED, PurchaseStatus.FAILED),
    ),
    _job(
        "expire-trials",
        lambda world: _trials(world, timedelta(days=15)),
        {
            "both are over": lambda world: (
                {each.status for each in world.storage.tables.trials.values()} == {TrialStatus.EXPIRED}
            ),
            "that was announced once each": lambda world: world.told_of("trial.expired") == 2,
        },
    ),
    _job(
        "remind-trials",
        lambda world: _trials(world, timedelta(days=12)),
        {"both were announced once": lambda world: world.told_of("trial.expiring") == 2},
    ),
    _job(
        "archive-purchases",
        _old_purchases,
        {
            "all are archived": lambda world: (
                (len(world.storage.tables.purchases), len(world.storage.tables.archive)) == (0, 3)
            )
        },
    ),
    _job(
        "relay-events",
        _three_purchases,
        {"all were published": lambda world: len(world.publisher.published) == len(world.storage.tables.outbox)},
    ),
    _job(
        "purge-idempotency",
        _old_purchases,
        {
            "no old key is remembered": lambda world: not world.storage.tables.keys,
            "no old message id is remembered": lambda world: not world.storage.tables.inbox,
            "no old event is kept": lambda world: not _ages(world) or max(_ages(world)) < EVENTS_KEPT_FOR,
        },
    ),
    _job(
        "follow-refunds",
        _refunded_in_silence,
        {
            **_stand(PurchaseStatus.PARTIALLY_REFUNDED),
            "credits were taken back once": lambda world: world.told_of("credits.reversed") == 1,
        },
    ),
    Handler(
        name="all due jobs",
        arrange=_much_to_do,
        attempt=_all_due_jobs,
        facts=_stand(PurchaseStatus.PARTIALLY_REFUNDED, PurchaseStatus.PENDING, PurchaseStatus.COMPLETED),
    ),
)
