"""What operators give and take beside purchases: they, too, give the same command again until it has worked."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.faults.ports import Process
from tests.faults.sweep.sweep import Handler
from tests.faults.sweep.world import OPERATOR, World, announce

from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import InvalidTrialEnd, TrialNotRunning, TrialStillRunning

GRANT_ID = UUID("01a20000-0000-7000-8000-000000000001")
CREDITS = 100
MERCHANT, SHOP = "m-1", "stripe/shop-a"


async def _on_trial(world: World) -> None:
    await announce(world, MERCHANT)
    await world.activate(world.start(), MERCHANT)


async def _had_its_trial(world: World) -> None:
    await _on_trial(world)
    await world.start().operate_trials.end(MERCHANT, OPERATOR)
    world.regrants[SHOP] = 1


async def _other_installation_had_the_trial(world: World) -> None:
    await _had_its_trial(world)
    await announce(world, "m-2")


def _first(world: World) -> Trial:
    return min(world.storage.tables.trials.values(), key=lambda each: each.trial_id)


async def _extend(world: World, process: Process) -> bool:
    until = _first(world).started_at + timedelta(days=21)
    try:
        await process.operate_trials.extend(MERCHANT, until, OPERATOR)
    except InvalidTrialEnd:
        return _first(world).ends_at == until  # a try before this one had its effect
    return True


async def _end(world: World, process: Process) -> bool:
    try:
        await process.operate_trials.end(MERCHANT, OPERATOR)
    except TrialNotRunning:
        return _first(world).status is TrialStatus.ENDED
    return True


def _regrant(merchant_id: str) -> Any:
    async def attempt(world: World, process: Process) -> bool:
        try:
            await process.operate_trials.regrant(merchant_id, OPERATOR)
        except TrialStillRunning:
            return len(world.storage.tables.trials) == 2
        return True

    return attempt


async def _grant(_: World, process: Process) -> bool:
    await process.grant_credits(MERCHANT, CREDITS, GRANT_ID, OPERATOR)
    return True


def _told_once(kind: str) -> Any:
    return lambda world: world.told_of(kind) == 1


def _is_of(merchant_id: str) -> Any:
    def claimed(world: World) -> bool:
        newest = max(world.storage.tables.trials.values(), key=lambda each: each.trial_id)
        claim = world.storage.tables.trial_claims["stripe", "shop-a"]
        return newest.merchant_id == merchant_id and claim.trial_id == newest.trial_id

    return claimed


HANDLERS = (
    Handler(
        name="operator extends a trial",
        arrange=_on_trial,
        attempt=_extend,
        facts={
            "it lasts three weeks": lambda world: _first(world).ends_at - _first(world).started_at == timedelta(21),
            "it was extended once": _told_once("trial.extended"),
        },
    ),
    Handler(
        name="operator ends a trial",
        arrange=_on_trial,
        attempt=_end,
        facts={
            "it is over": lambda world: _first(world).status is TrialStatus.ENDED,
            "it ended once": _told_once("trial.ended"),
        },
    ),
    Handler(
        name="operator regrants a trial",
        arrange=_had_its_trial,
        attempt=_regrant(MERCHANT),
        facts={
            "the shop has had two": lambda world: world.told_of("trial.started") == 2,
            "the claim is the newer one's": _is_of(MERCHANT),
        },
    ),
    Handler(
        name="operator regrants a trial another installation had",
        arrange=_other_installation_had_the_trial,
        attempt=_regrant("m-2"),
        facts={
            "the shop has had two": lambda world: world.told_of("trial.started") == 2,
            "the claim is the newer one's": _is_of("m-2"),
        },
    ),
    Handler(
        name="operator grants credits",
        arrange=lambda world: announce(world, MERCHANT),
        attempt=_grant,
        facts={"they were granted once": _told_once("credits.granted")},
    ),
)
