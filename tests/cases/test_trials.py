"""Cases 27-32 of the forty (bugs users hit): trials."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cases.recorded import facts, recorded, reference_of, told
from tests.cases.workers import Workers, the_merchant

from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT
from billing_core.domain.packs import Catalog, TrialTerms, default_catalog
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import StorageConflict, TrialAlreadyUsed
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_merchant, a_merchant_created, a_trial, an_origin
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.expire_trials import ExpireTrials
from billing_core.use_cases.inbound import Done

DAY, MINUTE, TICK = timedelta(days=1), timedelta(minutes=1), timedelta(microseconds=1)
TRIAL = timedelta(days=14)
OPERATOR = an_origin(actor="operator", reason="a customer asked")
ENDS_BY_PURCHASE = Catalog(version="convert", packs=default_catalog().packs, trial=TrialTerms(on_purchase="convert"))


async def _asked_for(work: Coroutine[Any, Any, Any]) -> str:
    """What became of asking for a trial."""
    try:
        await work
    except TrialAlreadyUsed:
        return "refused"
    return "started"


async def _trial_of(billing: InMemoryBilling, caller: Caller) -> Trial:
    trial = await billing.storage.records.trial(caller.merchant_id)
    assert trial is not None
    return trial


async def _on_trial(billing: InMemoryBilling) -> Caller:
    """A merchant whose trial runs."""
    caller = await billing.register()
    await billing.activate_trial(caller, "key-1")
    return caller


async def test_case_27_a_merchant_announced_twice_at_once_is_one_merchant_with_one_trial(workers: Workers) -> None:
    """`merchant.created` twice in the same instant, and two requests for its trial [shelf.nu#2926; laravel-shopify#302,
    #25]."""
    merchant = a_merchant()
    announced = [each.register_merchants([a_merchant_created(merchant)]) for each in (workers.one, workers.other)]

    outcomes = await workers.in_order(lambda uow: uow.merchants.add([merchant]), *announced)
    caller = await workers.one.register(merchant)
    requests = [
        _asked_for(each.activate_trial(caller, key)) for each, key in ((workers.one, "a"), (workers.other, "b"))
    ]
    asked = await workers.in_order(the_merchant(merchant.merchant_id), *requests)

    assert outcomes == [[Done()], [Done()]]
    assert asked == ["started", "refused"]
    assert (await told(workers.one)).count("trial.started") == 1


async def test_case_27_a_shop_under_many_merchant_ids_has_one_trial(workers: Workers) -> None:
    """Reinstalled under a new merchant id, both ask in the same instant: the claim is a row of the shop's, not a
    question asked before [laravel-shopify#302, #25; superdesigndev/treg#447]."""
    shop = {"platform_account_id": "shop-1"}
    callers = [await workers.one.register(a_merchant(**shop)) for _ in range(3)]
    claim = a_trial(a_merchant(**shop))
    requests = [
        _asked_for(billing.activate_trial(caller, "key-1"))
        for billing, caller in zip((workers.one, workers.other, workers.another()), callers, strict=True)
    ]

    asked = await workers.in_order(lambda uow: uow.trials.claim(claim), *requests)

    assert sorted(asked) == ["refused", "refused", "started"]
    assert (await told(workers.one)).count("trial.started") == 1


@pytest.mark.parametrize(
    "ends_at",
    [
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # the hour that is missing in Berlin
        datetime(2026, 3, 22, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # the hour that comes twice in Berlin
        datetime(2026, 11, 1, 6, 0, tzinfo=UTC),  # … and in New York
    ],
    ids=str,
)
async def test_case_28_a_trial_ends_at_its_microsecond_on_any_day_and_in_any_session_zone(
    database_url: str, ends_at: datetime
) -> None:
    """Half-open: expired at `ends_at`, running one microsecond before; 14 days are 14 times 24 hours over a change of
    clocks, also where the database's address asks for a session in another zone [PasarGuard/panel#281; lago-api#2244;
    pmpro-subscription-delays#33]."""
    elsewhere = f"{database_url}&timezone=America/New_York"
    async with open_database(
        elsewhere, pool_size=5, application_name="cases", every_merchant=True, patience=PATIENT
    ) as database:
        workers = Workers(database)
        workers.clock.set(ends_at - TRIAL)
        caller = await _on_trial(workers.one)

        before = workers.clock.set(ends_at - TICK)
        runs = (await workers.one.expire_trials(before)).done, (await workers.one.read.trial(caller)).status
        at_the_end = workers.clock.advance(TICK)
        over = (await workers.one.read.trial(caller)).status, (await workers.one.expire_trials(at_the_end)).done

        assert (await _trial_of(workers.one, caller)).ends_at == ends_at
        assert (runs, over) == ((0, "active"), ("expired", 1))


async def test_case_29_after_days_of_downtime_each_trial_expires_once_and_the_loop_ends(workers: Workers) -> None:
    """Down for three days, then two workers at once, more rows than a batch, and one row that cannot be had: the rest
    expires once, and that one the next time [Flexprice's sweep re-reads offset 0; miru-web#2389]."""
    callers = [await _on_trial(workers.one) for _ in range(7)]
    now = workers.clock.advance(TRIAL + 3 * DAY)
    jobs = [ExpireTrials(units=workers.storage.units, clock=workers.clock, batch=2) for _ in range(2)]

    async with workers.storage.units() as stuck:
        held = await stuck.trials.lock_due(now, 1)
        first = sum(report.done for report in await asyncio.gather(*(job() for job in jobs)))
    second = sum(report.done for report in await asyncio.gather(*(job() for job in jobs)))
    third = [(await job()).done for job in jobs]

    assert (len(held), first, second, third) == (1, 6, 1, [0, 0])
    expired = [each["merchant_id"] for each in await facts(workers.one, "trial.expired")]
    assert sorted(expired) == sorted(each.merchant_id for each in callers)


async def test_case_29_a_trial_that_can_never_be_saved_stands_in_nobodys_way(workers: Workers) -> None:
    """Its next entry of the history is taken already: the others expire, and the run tells of it
    [Flexprice's sweep re-reads offset 0]."""
    callers = [await _on_trial(workers.one) for _ in range(3)]
    broken = await _trial_of(workers.one, callers[0])
    async with workers.storage.units() as uow:
        await uow.journal.record(broken.end(workers.clock.now(), an_origin()).changes)
        await uow.commit()
    workers.clock.advance(TRIAL)
    job = ExpireTrials(units=workers.storage.units, clock=workers.clock, batch=2)

    report = await job()

    assert (report.done, [type(fault) for fault in report.faults]) == (2, [StorageConflict])
    expired = [each["merchant_id"] for each in await facts(workers.one, "trial.expired")]
    assert sorted(expired) == sorted(each.merchant_id for each in callers[1:])


async def test_case_30_a_trial_extended_while_the_job_runs_is_not_expired(workers: Workers) -> None:
    """An extension under way keeps the job off, and one that came after the job had read makes its write fail
    [autumn#3458]."""
    caller = await _on_trial(workers.one)
    read_before = await _trial_of(workers.one, caller)
    due = read_before.ends_at

    async with workers.storage.units() as extension:
        running = (await extension.trials.lock_running([caller.merchant_id]))[caller.merchant_id]
        extended = running.extend(due + DAY, workers.clock.now(), OPERATOR)
        await extension.trials.save([extended.trial])
        await extension.journal.record(extended.changes)
        meanwhile = (await workers.other.expire_trials(due)).done
        await extension.commit()
    with pytest.raises(StorageConflict):
        async with workers.storage.units() as stale:
            await stale.trials.save([read_before.expire(due, OPERATOR).trial])
            await stale.flush()
    afterwards = (await workers.other.expire_trials(due)).done

    assert (meanwhile, afterwards) == (0, 0)
    assert (await _trial_of(workers.one, caller)).status is TrialStatus.ACTIVE
    assert await facts(workers.one, "trial.expired") == []


async def test_case_30_a_trial_converted_while_the_job_runs_never_expires(database: Database) -> None:
    """The payment has the trial's row when the job comes at the trial's end: converted, and `trial.expired` is never
    told [autumn#3458]."""
    workers = Workers(database, catalog=ENDS_BY_PURCHASE)
    caller = await _on_trial(workers.one)
    ends_at = (await _trial_of(workers.one, caller)).ends_at
    workers.clock.set(ends_at - MINUTE)
    purchase = await workers.one.buy(caller)
    workers.platform.pay(reference_of(purchase))

    async with workers.storage.units() as uow:
        await uow.merchants.lock(caller.merchant_id)  # whoever numbers its events waits, with the trial in its hands
        paying = asyncio.create_task(workers.one.notify(reference_of(purchase)))
        await workers.until_waiting(1, [paying])
        meanwhile = (await workers.other.expire_trials(ends_at)).done
    await paying
    afterwards = (await workers.other.expire_trials(ends_at + 30 * DAY)).done

    assert (meanwhile, afterwards) == (0, 0)
    assert await told(workers.one) == ["trial.started", "credits.purchased", "trial.converted"]


async def test_case_30_a_trial_expired_while_the_payment_waits_is_not_converted_after(database: Database) -> None:
    """The other way round: the job has the row, the payment waits for it, gives its credits, and leaves the trial
    expired [autumn#3458]."""
    workers = Workers(database, catalog=ENDS_BY_PURCHASE)
    caller = await _on_trial(workers.one)
    ends_at = (await _trial_of(workers.one, caller)).ends_at
    workers.clock.set(ends_at - MINUTE)
    purchase = await workers.one.buy(caller)
    workers.platform.pay(reference_of(purchase))

    async with workers.storage.units() as job:
        (trial,) = await job.trials.lock_due(ends_at, 10)
        expired = trial.expire(ends_at, OPERATOR)
        await job.trials.save([expired.trial])
        await job.journal.record(expired.changes)
        paying = asyncio.create_task(workers.other.notify(reference_of(purchase)))
        await workers.until_waiting(1, [paying])
        await job.commit()
    await paying

    assert (await _trial_of(workers.one, caller)).status is TrialStatus.EXPIRED
    assert await told(workers.one) == ["trial.started", "trial.expired", "credits.purchased"]


async def test_case_31_each_shop_has_its_own_trial_and_a_shop_has_one() -> None:
    """Another shop's trial, or the same account id on another platform, uses nothing up; the same shop under another
    merchant id does [autumn#440, #1959]."""
    billing = InMemoryBilling(platforms=[ScriptedPlatform("sandbox"), ScriptedPlatform("stripe")])
    merchants = [
        a_merchant(platform_account_id="shop-1"),
        a_merchant(platform_account_id="shop-2"),
        a_merchant(platform_account_id="shop-1", platform="stripe"),
        a_merchant(platform_account_id="shop-1"),
    ]
    callers = [await billing.register(merchant) for merchant in merchants]

    asked = [await _asked_for(billing.activate_trial(caller, "key-1")) for caller in callers]

    assert asked == ["started", "started", "started", "refused"]
    assert (await billing.read.trial(callers[-1])).status == "refused"


@pytest.mark.parametrize("on_purchase", ["convert", "keep"])
async def test_case_32_a_paying_customer_with_an_old_trial_date_is_untouched(on_purchase: str) -> None:
    """Years after the trial's end the jobs leave what was bought as it is, and a converted trial converted
    [autumn#3458: a date alone downgraded paying customers]."""
    billing = InMemoryBilling(catalog=ENDS_BY_PURCHASE if on_purchase == "convert" else default_catalog())
    caller = await _on_trial(billing)
    purchase = await billing.buy(caller)
    await billing.pay(purchase)
    billing.clock.advance(TRIAL)
    await billing.expire_trials()
    before = await told(billing)
    bought = await recorded(billing, purchase)

    billing.clock.advance(800 * DAY)
    outcomes = await billing.jobs()

    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert await told(billing) == before
    assert (bought.status, await recorded(billing, purchase)) == (PurchaseStatus.COMPLETED, bought)
    assert ("trial.expired" in before) == (on_purchase == "keep")
    status = TrialStatus.CONVERTED if on_purchase == "convert" else TrialStatus.EXPIRED
    assert (await _trial_of(billing, caller)).status is status
