"""Cases 33-40 of the forty (bugs users hit): the API and operations; 33 and 34 are in `test_keys.py`."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from tests.adapters.platforms.shopify.shop import Script, created, scripted_platform
from tests.adapters.platforms.shopify.shop import told as shopify_tells
from tests.apps.http.door import assert_problem, open_door
from tests.cases.recorded import a_notice, facts, key_of, recorded, reference_of, told
from tests.cases.vendors import OTHER_SHOP, SHOP, a_shop, on_shopify
from tests.cases.workers import DEADLINE_S, Workers, the_merchant, the_purchase

from billing_adapters.postgres.database import Database
from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.idempotency import LOCKED_FOR
from billing_core.domain.packs import Catalog, default_catalog
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import (
    IdempotencyKeyInUse,
    PlatformError,
    PlatformRejected,
    PlatformUnavailable,
    PurchaseNotFound,
    TooManyOpenPurchases,
    TrialAlreadyUsed,
)
from billing_core.testing import InMemoryBilling, an_origin
from billing_core.use_cases.check_purchases import AFTER_REFUSAL
from billing_core.use_cases.handle_webhooks import HOPELESS_ATTEMPTS
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry

MINUTE = timedelta(minutes=1)
OPERATOR = an_origin(actor="operator", reason="a customer asked")
Works = list[Coroutine[Any, Any, Any]]
_END_LEADERS = """
    select count(pg_terminate_backend(pid, 10000)) from pg_locks
    where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("below", ["", "/history"])
async def test_case_35_another_merchants_purchase_answers_like_an_unknown_one(
    workers: Workers, method: str, below: str
) -> None:
    """A's token on B's purchase, on every route with an id and every verb: the same answer as for an id nobody has,
    404 where the route is served at all [dotnet/eShop#996; opencode#28395; kugelpos#133]."""
    foreign = await workers.other.buy(await workers.other.register())
    async with open_door(workers.one) as door:
        answers = []
        for purchase_id in (foreign.id, workers.one.new_id()):
            path = f"/api/billing/purchases/{purchase_id}{below}"
            answers.append(await door.client.request(method, path, headers=door.headers(), json={}))

    theirs, unknown = answers
    if method == "GET":
        assert_problem(theirs, 404, "PURCHASE_NOT_FOUND")
    assert theirs.status_code == unknown.status_code >= 400
    varying = {"instance", "correlation_id"}
    told_apart = [
        {name: value for name, value in answer.json().items() if name not in varying} if answer.content else {}
        for answer in answers
    ]
    assert told_apart[0] == told_apart[1]


async def test_case_35_what_a_merchant_sees_and_names_is_its_own(workers: Workers) -> None:
    """A's lists, overview and trial show nothing of B's, and a notice in A's name about B's payment is refused, told
    to two processes at once [kugelpos#133]."""
    theirs = await workers.other.register()
    await workers.other.activate_trial(theirs, "key-1")
    purchase = await workers.other.buy(theirs)
    workers.platform.pay(reference_of(purchase))
    async with open_door(workers.one) as door:
        mine = await workers.one.storage.records.merchant(door.caller.merchant_id)
        assert mine is not None
        listed = (await door.get("/api/billing/purchases")).json()
        overview, trial = (await door.get("/api/billing")).json(), (await door.get("/api/billing/trials")).json()
    forged = [a_notice(reference=reference_of(purchase), account=mine.platform_account_id) for _ in range(2)]

    refused = await asyncio.gather(*(
        billing.handle_webhooks([notice])
        for billing, notice in zip((workers.one, workers.other), forged, strict=True)
    ))  # fmt: skip

    with pytest.raises(PurchaseNotFound):
        await workers.one.operate.cancel((mine.merchant_id, purchase.id), OPERATOR)
    assert (listed["data"], overview["purchases"]["last"], trial["status"]) == ([], None, "available")
    assert refused == [[Parked(reason="the notice names another account than the payment's")]] * 2
    assert await told(workers.one) == ["trial.started"]


async def test_case_36_odd_notices_are_parked_and_the_others_of_the_batch_are_handled() -> None:
    """Unknown statuses, missing fields and wrong types are parked; lower case, new fields and the deprecated ACCEPTED
    are understood; the consumer lives [Shopify's deprecated ACCEPTED; Polar's "null refund reasons"]."""
    async with on_shopify() as on:
        purchase = await on.billing.buy(await on.billing.register(a_shop()))
        on.shopify.approve(reference_of(purchase))
        whole = on.shopify.notice(reference_of(purchase))["app_purchase_one_time"]
        odd: list[dict[str, Any]] = [
            whole | {"status": "REFUNDED"},
            whole | {"status": None},
            {name: value for name, value in whole.items() if name != "status"},
            {name: value for name, value in whole.items() if name != "admin_graphql_api_id"},
            whole | {"created_at": 7},
        ]
        sound = [whole | {"status": "ACCEPTED"}, whole | {"status": "active", "price": None, "new": [1]}]
        batch = [a_notice("shopify", app_purchase_one_time=body) for body in [*odd, *sound]]

        outcomes = await on.billing.handle_webhooks([*batch, a_notice("shopify"), a_notice("unknown")])

        assert [type(outcome) for outcome in outcomes] == [Parked] * 5 + [Done] * 2 + [Parked] * 2
        assert await told(on.billing) == ["credits.purchased"]


@pytest.mark.parametrize(
    "answer", [{"price": None}, {"status": "REFUNDED"}, {"status": "active"}, {"test": None}], ids=str
)
async def test_case_36_an_answer_nobody_understands_is_asked_again_and_then_parked(answer: dict[str, Any]) -> None:
    """A null price or a status there is no word for settles nothing: tried again, in the end parked, and the purchase
    stays open for the reconciler [Polar's "null refund reasons"]."""
    async with scripted_platform(Script(created(), shopify_tells(**answer), shopify_tells(**answer))) as platform:
        billing: Any = InMemoryBilling(platforms=[platform])  # type: ignore[list-item] # any platform will do
        purchase = await billing.buy(await billing.register(a_shop()))
        body = {
            "admin_graphql_api_id": reference_of(purchase),
            "admin_graphql_api_shop_id": SHOP,
            "name": "1000 credits",
            "status": "ACTIVE",
            "created_at": "2026-03-02T09:30:15Z",
            "updated_at": "2026-03-02T09:30:15Z",
        }
        notice = a_notice("shopify", app_purchase_one_time=body)

        outcomes: list[Outcome] = []
        for attempt in (1, HOPELESS_ATTEMPTS):
            outcomes += await billing.handle_webhooks([replace(notice, attempt=attempt)])

        assert [type(outcome) for outcome in outcomes] == [Retry, Parked]
        assert (await recorded(billing, purchase)).status is PurchaseStatus.PENDING
        assert await told(billing) == []


async def test_case_37_a_dead_leader_is_followed_and_only_the_leader_lets_go(
    workers: Workers, database_url: str
) -> None:
    """The leader's connection dies: the next one leads without a time-out, and neither a follower's leaving nor the
    dead one's takes it away from it [polar#13272; opencollective-api#9797; event-tickets#4466]."""
    leadership, killer = workers.storage.leadership, await asyncpg.connect(database_url)
    dying = AsyncExitStack()
    led = [await dying.enter_async_context(leadership.lead("relay-events"))]
    for _ in range(2):  # the second finds what the first's leaving left
        async with leadership.lead("relay-events") as follower:
            led.append(follower)

    await killer.execute(_END_LEADERS)
    await killer.close()
    async with asyncio.timeout(DEADLINE_S), leadership.lead("relay-events") as successor:
        await dying.aclose()
        async with leadership.lead("relay-events") as third:
            led += [successor, third]

    assert led == [True, False, False, True, False]


async def test_case_37_a_key_held_by_a_dead_request_is_free_after_its_time(workers: Workers) -> None:
    """A request that died holds its key for 20 seconds, and not for days: then another process goes on with the same
    purchase [express-idempotency#32; polar#13272]."""
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    dying = asyncio.create_task(workers.one.buy(caller, key="key-1"))
    await held.asked.wait()
    dying.cancel()
    await asyncio.wait([dying])

    with pytest.raises(IdempotencyKeyInUse):
        await workers.other.buy(caller, key="key-1")
    workers.clock.advance(timedelta(seconds=20))
    purchase = await workers.other.buy(caller, key="key-1")

    assert list(workers.platform.payments) == [purchase.platform_reference]
    assert purchase.checkout_url is not None


@pytest.mark.parametrize("error", [PlatformUnavailable("sandbox", "no answer"), PlatformRejected("sandbox", "no")])
async def test_case_37_a_request_that_outlived_its_lock_takes_nothing_from_its_successor(
    workers: Workers, error: PlatformError
) -> None:
    """The second attempt has answered; the first one's late failure frees no key, and the same key goes on giving the
    same answer [express-idempotency#32]."""
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    workers.platform.fail("create_checkout", error, after_effect=True)
    first = asyncio.create_task(workers.one.buy(caller, key="key-1"))
    await held.asked.wait()
    workers.clock.advance(LOCKED_FOR)
    purchase = await workers.other.buy(caller, key="key-1")
    held.given.set()
    with pytest.raises(PlatformError):
        await first
    await workers.other.pay(purchase)

    again = await workers.another().buy(caller, key="key-1")

    assert again == purchase


async def test_case_38_a_purchase_paid_before_the_app_was_uninstalled_follows_the_shop() -> None:
    """No call with the dead token but the one that finds it dead; after the shop installed again under another merchant
    id the payment is found, for who bought, and the trial stays used [laravel-shopify#209]."""
    async with on_shopify() as on:
        billing, shopify = on.billing, on.shopify
        bought_as = await billing.register(a_shop("first-install"))
        await billing.activate_trial(bought_as, "key-1")
        purchase = await billing.buy(bought_as)
        shopify.approve(reference_of(purchase))
        shopify.revoke_tokens()
        shopify.faults.plan(Fault.UNAUTHORIZED, "token", times=99)

        for _ in range(60 * 5):  # five hours of minutes
            billing.clock.advance(MINUTE)
            await billing.reconcile_purchases()
        calls = [call.operation for call in shopify.calls]
        shopify.faults.clear()
        back = await billing.register(a_shop("second-install"))
        billing.clock.advance(AFTER_REFUSAL)
        await billing.reconcile_purchases()

        assert calls.count("look_up") == 1
        assert calls.count("token") <= 1 + 5 + 1  # at first, and once an hour
        assert [each["merchant_id"] for each in await facts(billing, "credits.purchased")] == ["first-install"]
        assert (await recorded(billing, purchase)).platform_account_id == SHOP != OTHER_SHOP
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(back, "key-1")


async def test_case_39_a_storm_of_requests_while_the_platform_fails_leaves_one_open_purchase(workers: Workers) -> None:
    """Billing prompts no top-ups: the storm reaches it as purchase requests, each under a key of its own, from two
    processes. One purchase, also after failures, and one page [akash#3756; lago-api#6176; Autumn]."""
    caller = await workers.one.register()
    workers.platform.fail("create_checkout", PlatformUnavailable("sandbox", "no answer"), times=5, after_effect=True)

    answers = await asyncio.gather(
        *(each.buy(caller) for each in [workers.one, workers.other] * 10), return_exceptions=True
    )

    opened = [each for each in answers if not isinstance(each, BaseException)]
    assert {type(each) for each in answers if isinstance(each, BaseException)} == {PlatformUnavailable}
    assert len(opened) == 15
    assert len({(each.id, each.checkout_url) for each in opened}) == 1
    assert (await workers.one.read.overview(caller)).purchases.counts["pending"] == len(workers.platform.payments) == 1


async def test_case_39_the_cap_on_open_purchases_holds_for_requests_at_once(database: Database) -> None:
    """Three packs at once, two may be open: one is refused, whoever comes last [akash#3756]."""
    two = Catalog(version="two", packs=default_catalog().packs, max_open_purchases=2)
    workers = Workers(database, catalog=two)
    caller = await workers.one.register()

    async def wanted(billing: InMemoryBilling, pack: str) -> bool:
        try:
            await billing.buy(caller, pack)
        except TooManyOpenPurchases:
            return False
        return True

    packs = zip((workers.one, workers.other, workers.another()), ("small", "medium", "large"), strict=True)
    asked = await workers.in_order(the_merchant(caller.merchant_id), *(wanted(each, pack) for each, pack in packs))

    assert sorted(asked) == [False, True, True]
    assert len(workers.platform.payments) == 2


@pytest.mark.parametrize("backwards", [False, True], ids=["reconciler first", "webhook first"])
async def test_case_40_the_reconciler_and_a_late_webhook_at_once_complete_it_once(
    workers: Workers, backwards: bool
) -> None:
    """The webhook that was missed arrives while the reconciler settles, and once more later: nothing more happens
    [altarwed#209; ManageHub#1332; doublewordai/control-layer#178]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    workers.clock.advance(2 * MINUTE)
    works: Works = [workers.one.reconcile_purchases(), workers.other.notify(reference_of(purchase))]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])
    later = await workers.other.notify(reference_of(purchase))

    assert later == Done()
    assert (await recorded(workers.one, purchase)).status is PurchaseStatus.COMPLETED
    assert await told(workers.one) == ["credits.purchased"]


async def test_case_40_the_reconciler_completes_just_as_a_webhook_does(workers: Workers) -> None:
    """The same steps, the same record and the same event, but for who brought it about [control-layer#178]."""
    caller = await workers.one.register()
    noticed, missed = (
        await workers.one.buy(caller, "large"),
        await workers.one.buy(await workers.one.register(), "large"),
    )
    workers.clock.advance(2 * MINUTE)
    workers.platform.pay(reference_of(noticed))
    await workers.one.notify(reference_of(noticed))
    workers.platform.pay(reference_of(missed))
    await workers.other.operate.reconcile([key_of(missed)], OPERATOR)

    steps, stories = [], []
    for purchase in (noticed, missed):
        history = await workers.storage.records.history(purchase.merchant_id, purchase.id)
        steps.append([(each.what, each.status_before, each.status_after) for each in history])
        (fact,) = [
            each for each in await facts(workers.one, "credits.purchased") if each["purchase_id"] == str(purchase.id)
        ]
        stories.append(fact | {"purchase_id": None, "merchant_id": None})

    assert steps[0] == steps[1]
    assert stories[0] == stories[1]
