"""Cases 33 and 34 of the forty (bugs users hit): what a request that comes again gets."""

import asyncio

import pytest
from tests.apps.http.door import WANTED, assert_problem, open_door
from tests.cases.recorded import recorded, reference_of, told
from tests.cases.workers import Workers, the_merchant

from billing_adapters.postgres.database import Database
from billing_core.domain.idempotency import LOCKED_FOR
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformUnavailable
from billing_core.testing import ScriptedPlatform

PURCHASES = "/api/billing/purchases"
AWAY = PlatformUnavailable("sandbox", "no answer")


async def test_case_33_same_request_replays_another_one_is_refused_and_no_key_is_a_bad_request(
    workers: Workers,
) -> None:
    """Same key and body: the first answer, from another process too, even after the purchase has moved on. Other body:
    422. No key: 400 [IETF draft-07]."""
    async with open_door(workers.one) as door, open_door(workers.other) as other:
        first = await door.post(PURCHASES, WANTED, key="key-1")
        workers.platform.pay(first.json()["platform_reference"])
        await workers.one.notify(first.json()["platform_reference"])
        other.token = door.token

        repeats = [await each.post(PURCHASES, WANTED, key="key-1") for each in (door, other)]
        reused = await other.post(PURCHASES, WANTED | {"pack": "small"}, key="key-1")
        missing = await other.post(PURCHASES, WANTED, headers=other.headers(without=["Idempotency-Key"]))

        assert first.status_code == 201
        assert [(each.status_code, each.content) for each in repeats] == [(201, first.content)] * 2
        assert [each.headers["Idempotency-Replayed"] for each in repeats] == ["true"] * 2
        assert_problem(reused, 422, "IDEMPOTENCY_KEY_REUSED")
        assert_problem(missing, 400, "IDEMPOTENCY_KEY_REQUIRED")


async def test_case_33_a_key_is_one_merchants_and_one_routes(workers: Workers) -> None:
    """The same text under another merchant or at another route is another key [IETF draft-07]."""
    async with open_door(workers.one) as door, open_door(workers.other) as other:
        answers = [
            await door.post(PURCHASES, WANTED, key="key-1"),
            await other.post(PURCHASES, WANTED | {"pack": "small"}, key="key-1"),
            await door.post("/api/billing/trials", {}, key="key-1"),
        ]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None] * 3


async def test_case_33_a_key_in_flight_is_told_so_and_when_to_come_again(workers: Workers) -> None:
    """While the first request waits for the platform, another process answers 409 with `Retry-After`; afterwards it
    replays [actor-ts#984; KeeperHub#1922: the key was freed while the provider's call may have landed]."""
    async with open_door(workers.one) as door, open_door(workers.other) as other:
        other.token, held = door.token, workers.platform.hold("create_checkout")
        first = asyncio.create_task(door.post(PURCHASES, WANTED, key="key-1"))
        await held.asked.wait()

        in_flight = await other.post(PURCHASES, WANTED, key="key-1")
        held.given.set()
        answered = await first
        replayed = await other.post(PURCHASES, WANTED, key="key-1")

        assert_problem(in_flight, 409, "IDEMPOTENCY_KEY_IN_USE")
        assert int(in_flight.headers["Retry-After"]) >= 1
        assert (replayed.status_code, replayed.content) == (201, answered.content)
        assert len(workers.platform.payments) == 1


async def test_case_33_a_crash_wedges_no_key_and_its_retry_goes_on_with_the_same_purchase(database: Database) -> None:
    """The process dies after the platform's call has landed, at a platform without idempotency: seconds later another
    process goes on with that purchase and hands out one page [express-idempotency#32: a three-day lock]."""
    workers = Workers(database, platform=ScriptedPlatform(is_idempotent=False))
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    dying = asyncio.create_task(workers.one.buy(caller, key="key-1"))
    await held.asked.wait()
    dying.cancel()
    await asyncio.wait([dying])
    workers.clock.advance(LOCKED_FOR)

    purchase = await workers.other.buy(caller, key="key-1")
    repeated = await workers.other.buy(caller, key="key-1")

    orphan, handed_out = workers.platform.payments
    assert reference_of(purchase) == handed_out != orphan
    assert repeated == purchase
    assert sum((await workers.one.read.overview(caller)).purchases.counts.values()) == 1


async def test_case_33_a_502_is_no_answer_to_remember_and_its_retry_resumes_the_purchase(workers: Workers) -> None:
    """Ours by choice (Stripe replays 500s): the retry of a request whose fate is unknown goes on with its purchase,
    also where that was paid meanwhile [KeeperHub#1922]."""
    async with open_door(workers.one) as door, open_door(workers.other) as other:
        other.token = door.token
        workers.platform.fail("create_checkout", AWAY, after_effect=True)

        lost = await door.post(PURCHASES, WANTED, key="key-1")
        ((reference, payment),) = workers.platform.payments.items()
        workers.platform.pay(reference)
        await workers.other.operate.reconcile(
            [(payment.purchase.merchant_id, payment.purchase.purchase_id)], door.caller.origin
        )
        retried = await other.post(PURCHASES, WANTED, key="key-1")

        assert assert_problem(lost, 502, "PLATFORM_ERROR")["retryable"] is True
        assert retried.status_code == 201
        assert "Idempotency-Replayed" not in retried.headers
        assert (retried.json()["id"], retried.json()["status"]) == (str(payment.purchase.purchase_id), "completed")
        assert len(workers.platform.payments) == 1


@pytest.mark.parametrize("is_idempotent", [True, False], ids=["idempotent platform", "platform without idempotency"])
async def test_case_34_a_new_key_for_each_retry_gives_the_purchase_that_is_open(
    database: Database, is_idempotent: bool
) -> None:
    """A double click and a second tab while the first request still waits, then the app started anew: one purchase,
    one page handed out [The-Leetcode-City#739; incacook-app#36; saleor#14926]."""
    workers = Workers(database, platform=ScriptedPlatform(is_idempotent=is_idempotent))
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    first = asyncio.create_task(workers.one.buy(caller, key="click"))
    await held.asked.wait()

    second = await workers.other.buy(caller, key="double-click")
    held.given.set()
    restarted = await workers.another().buy(caller, key="restarted")

    assert {each.id for each in (await first, second, restarted)} == {second.id}
    assert {each.checkout_url for each in (await first, second, restarted)} == {second.checkout_url}
    assert second.checkout_url is not None


async def test_case_34_requests_that_wait_for_each_other_open_one_purchase(workers: Workers) -> None:
    """Four processes stand before the merchant's row with a key each: the first opens, the others reuse
    [saleor#14926]."""
    caller = await workers.one.register()
    processes = [workers.one, workers.other, workers.another(), workers.another()]

    purchases = await workers.in_order(the_merchant(caller.merchant_id), *(each.buy(caller) for each in processes))
    await workers.one.pay(purchases[0])

    assert len({each.id for each in purchases}) == len({each.checkout_url for each in purchases}) == 1
    assert (await recorded(workers.one, purchases[0])).status is PurchaseStatus.COMPLETED
    assert await told(workers.one) == ["credits.purchased"]
