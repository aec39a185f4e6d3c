"""Cases 1-11 of the forty (bugs users hit): ordering, duplication, races; 12-14 are in `test_delivery.py`."""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from tests.adapters.platforms.stripe.account import ACCOUNT, open_account
from tests.cases.recorded import (
    a_notice,
    facts,
    key_of,
    net_credits,
    payment_of,
    recorded,
    reference_of,
    told,
)
from tests.cases.workers import Workers, the_purchase

from billing_adapters.postgres.database import Database
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformUnavailable, ResolutionRefused
from billing_core.testing import InMemoryBilling, ScriptedPlatform, an_origin
from billing_core.testing.builders import again
from billing_core.testing.scripted_platform import HeldAnswer
from billing_core.use_cases.inbound import UNKNOWN_REFERENCE_DELAYS_S, Done, Retry

PAST_DEADLINE_AND_GRACE = timedelta(hours=50)
IN_ORDER_AND_BACKWARDS = pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
OPERATOR = an_origin(actor="operator", reason="a customer asked")
AWAY = PlatformUnavailable("sandbox", "no answer")
Works = list[Coroutine[Any, Any, Any]]


async def _given(held: HeldAnswer, work: Awaitable[Any]) -> Any:
    """The platform's answer arrives, and the work that waited for it goes on."""
    held.given.set()
    return await work


async def _perhaps_refused(work: Awaitable[Any]) -> None:
    """What an operator asks for; a refusal is an answer."""
    with suppress(ResolutionRefused):
        await work


@IN_ORDER_AND_BACKWARDS
async def test_case_01_a_notice_before_our_create_call_has_committed_counts_once(
    workers: Workers, backwards: bool
) -> None:
    """Paid while our create call is still under way: a notice that names our reference is settled in either order
    [Polar stripe/tasks.py "seen in the wild"; woocommerce-payments#3783]."""
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    buying = asyncio.create_task(workers.one.buy(caller))
    await held.asked.wait()
    ((reference, payment),) = workers.platform.payments.items()
    workers.platform.pay(reference)
    notice = a_notice(reference=reference, purchase=payment.purchase.short_reference)
    works: Works = [_given(held, buying), workers.other.handle_webhooks([notice])]
    key = (caller.merchant_id, payment.purchase.purchase_id)

    await workers.in_order(lambda uow: uow.purchases.lock([key]), *works[:: -1 if backwards else 1])

    purchase = await buying
    assert (purchase.checkout_url is None) == backwards, "a page that is paid is not handed out"
    assert (await recorded(workers.one, purchase)).status is PurchaseStatus.COMPLETED
    assert await told(workers.one) == ["credits.purchased"]


async def test_case_01_a_notice_of_a_reference_not_known_yet_is_applied_later(workers: Workers) -> None:
    """The platform's event comes before our create call returns: it is tried again, applied, and applied once
    [Polar stripe/tasks.py "seen in the wild"; woocommerce-payments#3783]."""
    caller, held = await workers.one.register(), workers.platform.hold("create_checkout")
    buying = asyncio.create_task(workers.one.buy(caller))
    await held.asked.wait()
    (reference,) = workers.platform.payments
    workers.platform.pay(reference)
    notice = a_notice(reference=reference)

    (early,) = await workers.other.handle_webhooks([notice])
    await _given(held, buying)
    later = [await workers.other.handle_webhooks([again(notice)]) for _ in range(2)]

    assert early == Retry(delay_s=UNKNOWN_REFERENCE_DELAYS_S[0], reason="no purchase has this reference yet")
    assert later == [[Done()], [Done()]]
    assert await told(workers.one) == ["credits.purchased"]


async def test_case_02_the_same_event_thrice_at_once_and_again_is_one_purchase_of_credits(workers: Workers) -> None:
    """Three deliveries of one event in the same instant, and two more afterwards: one `credits.purchased`
    [pinelab-vendure-plugins#620; The-Leetcode-City#377, #392; open-saas#688; medusa#13301]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    notice = a_notice(reference=reference_of(purchase))
    processes = [workers.one, workers.other, workers.another()]

    outcomes = await workers.in_order(the_purchase(purchase), *(each.handle_webhooks([notice]) for each in processes))
    outcomes += [await each.handle_webhooks([again(notice)]) for each in processes[:2]]

    assert outcomes == [[Done()]] * 5
    assert await told(workers.one) == ["credits.purchased"]


@IN_ORDER_AND_BACKWARDS
async def test_case_03_different_event_ids_about_one_payment_are_one_grant(workers: Workers, backwards: bool) -> None:
    """Two endpoints, two kinds of event and the reconciler tell of one payment at once: the payment is the key, not
    the event [woocommerce-gateway-stripe#3326; stapel claim docstring; Shopify: one webhook per subscription]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    workers.clock.advance(timedelta(minutes=2))
    works: Works = [
        workers.one.handle_webhooks([a_notice(reference=reference_of(purchase))]),
        workers.other.handle_webhooks([a_notice(payment=payment_of(purchase))]),
        workers.another().reconcile_purchases(),
    ]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    assert await told(workers.one) == ["credits.purchased"]


async def test_case_04_a_resend_while_the_first_delivery_still_runs_is_settled_once(workers: Workers) -> None:
    """A slow handler times out and the platform resends: both finish, the credits come once [frappe/press#1175]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    notice, held = a_notice(reference=reference_of(purchase)), workers.platform.hold("look_up")
    slow = asyncio.create_task(workers.one.handle_webhooks([notice]))
    await held.asked.wait()

    resent = await workers.other.handle_webhooks([again(notice)])
    first = await _given(held, slow)

    assert (first, resent) == ([Done()], [Done()])
    assert await told(workers.one) == ["credits.purchased"]


@pytest.mark.parametrize("stale", ["hold", "process", "expire", "decline", "fail_payment"])
async def test_case_05_a_delayed_pending_or_expired_never_undoes_active(workers: Workers, stale: str) -> None:
    """An answer from before the payment arrives after it: the purchase stays completed [mollie/WooCommerce#1182:
    about 5 % of paid orders cancelled by a late "expired"]."""
    purchase = await workers.one.buy(await workers.one.register())
    if stale != "hold":
        getattr(workers.platform, stale)(reference_of(purchase))
    held = workers.platform.hold("look_up")
    delayed = asyncio.create_task(workers.one.notify(reference_of(purchase)))
    await held.asked.wait()
    workers.platform.pay(reference_of(purchase))
    paid = workers.other.notify(reference_of(purchase))

    await workers.in_order(the_purchase(purchase), paid, _given(held, delayed))

    assert (await recorded(workers.one, purchase)).status is PurchaseStatus.COMPLETED
    assert await told(workers.one) == ["credits.purchased"]


@IN_ORDER_AND_BACKWARDS
async def test_case_06_of_two_attempts_only_the_matching_reference_moves_the_purchase(
    database: Database, backwards: bool
) -> None:
    """The first attempt's checkout expires while the second one's is paid [mollie/WooCommerce#139; Polar
    OutdatedCheckoutIntent]."""
    workers = Workers(database, platform=ScriptedPlatform(is_idempotent=False))
    caller = await workers.one.register()
    workers.platform.fail("create_checkout", AWAY, after_effect=True)
    with pytest.raises(PlatformUnavailable):
        await workers.one.buy(caller, key="key-1")
    purchase = await workers.one.buy(caller, key="key-1")
    old, new = workers.platform.payments
    workers.platform.expire(old)
    workers.platform.pay(new)
    ours = (await recorded(workers.one, purchase)).short_reference
    works: Works = [
        workers.one.handle_webhooks([a_notice(reference=old, purchase=ours)]),
        workers.other.handle_webhooks([a_notice(reference=new, purchase=ours)]),
    ]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    settled = await recorded(workers.one, purchase)
    assert (settled.status, settled.platform_reference) == (PurchaseStatus.COMPLETED, new)
    assert await told(workers.one) == ["credits.purchased"]


@pytest.mark.parametrize(
    ("backwards", "events"),
    [(False, ["purchase.expired", "credits.purchased"]), (True, ["credits.purchased"])],
    ids=["expiry first", "payment first"],
)
async def test_case_07_the_expiry_job_and_the_payment_at_the_same_moment_end_paid(
    workers: Workers, backwards: bool, events: list[str]
) -> None:
    """The job has asked, then the payment comes; whoever gets the row first, the merchant has its credits, marked late
    where the purchase was over [Flexprice's unguarded update; plebeian-market-old#403]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.clock.advance(PAST_DEADLINE_AND_GRACE)
    held = workers.platform.hold("look_up")
    expiring = asyncio.create_task(workers.one.expire_purchases())
    await held.asked.wait()
    workers.platform.pay(reference_of(purchase))
    works: Works = [_given(held, expiring), workers.other.notify(reference_of(purchase))]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    settled = await recorded(workers.one, purchase)
    assert (settled.status, settled.late) == (PurchaseStatus.COMPLETED, not backwards)
    assert await told(workers.one) == events


@pytest.mark.parametrize("end", ["expired", "cancelled", "declined", "failed"])
async def test_case_08_payment_after_our_own_end_completes_late_and_says_so(workers: Workers, end: str) -> None:
    """Paid after we expired or cancelled it, told to two processes at once: completed with `late`, and the credits
    are delivered once [CoreShop#2529; ai-shifu#2850]."""
    purchase, one = await workers.one.buy(await workers.one.register()), workers.one
    if end == "expired":
        workers.clock.advance(PAST_DEADLINE_AND_GRACE)
        await one.expire_purchases()
    elif end == "cancelled":
        await one.operate.cancel(key_of(purchase), OPERATOR)
    else:
        (workers.platform.decline if end == "declined" else workers.platform.fail_payment)(reference_of(purchase))
        await one.notify(reference_of(purchase))
    before = (await recorded(one, purchase)).status
    workers.platform.pay(reference_of(purchase))
    twice: Works = [each.notify(reference_of(purchase)) for each in (workers.one, workers.other)]

    await workers.in_order(the_purchase(purchase), *twice)

    after = await recorded(one, purchase)
    assert (before, after.status, after.late) == (end, PurchaseStatus.COMPLETED, True)
    assert await told(one) == [f"purchase.{end}", "credits.purchased"]
    assert [each["late"] for each in await facts(one, "credits.purchased")] == [True]


@IN_ORDER_AND_BACKWARDS
@pytest.mark.parametrize(
    ("already", "end", "event"),
    [("expire", "expired", "purchase.expired"), ("pay", "completed", "credits.purchased")],
)
async def test_case_09_cancelling_what_the_platform_has_ended_or_taken_goes_the_right_way(
    workers: Workers, already: str, end: str, event: str, backwards: bool
) -> None:
    """The platform says "already expired" or "already complete", and its notice comes at the same moment: the branch is
    the platform's, and the operator is at most refused [PayumStripePlugin#70; Autumn expireAndClearIfOwned]."""
    purchase = await workers.one.buy(await workers.one.register())
    getattr(workers.platform, already)(reference_of(purchase))
    works: Works = [
        _perhaps_refused(workers.one.operate.cancel(key_of(purchase), OPERATOR)),
        workers.other.notify(reference_of(purchase)),
    ]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    assert (await recorded(workers.one, purchase)).status == end
    assert await told(workers.one) == [event]


@pytest.mark.parametrize(("already", "status"), [("expire", PaymentStatus.EXPIRED), ("pay", PaymentStatus.PAID)])
async def test_case_09_stripe_refusing_to_expire_a_session_that_has_ended_is_no_fault(
    already: str, status: PaymentStatus
) -> None:
    """Stripe answers 400 to expiring what is not open; asked again it says how the session stands
    [PayumStripePlugin#70]."""
    async with open_account() as account:
        reference = await account.sell()
        getattr(account.stripe, already)(reference)

        await account.platform.cancel_checkout(reference, ACCOUNT)

        assert (await account.report(reference)).status is status


@IN_ORDER_AND_BACKWARDS
async def test_case_10_a_refund_told_before_the_payment_ends_refunded_with_no_credits_left(
    workers: Workers, backwards: bool
) -> None:
    """The refund's event overtakes the payment's: refunded, net credits zero, no grant left behind [saleor-docs#1319;
    Polar RefundPendingCreation]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    workers.platform.refund(reference_of(purchase), purchase.price.amount_minor)
    works: Works = [
        workers.one.handle_webhooks([a_notice(payment=payment_of(purchase))]),
        workers.other.handle_webhooks([a_notice(reference=reference_of(purchase))]),
    ]

    await workers.in_order(the_purchase(purchase), *works[:: -1 if backwards else 1])

    assert (await recorded(workers.one, purchase)).status is PurchaseStatus.REFUNDED
    assert await told(workers.one) == ["credits.purchased", "credits.reversed"]
    assert await net_credits(workers.one) == 0


async def test_case_11_a_payment_under_way_is_watched_and_not_taken_for_handled(billing: InMemoryBilling) -> None:
    """Processing (3DS, delayed methods) is no end: neither notice nor deadline closes the purchase, and the money is
    found without a further notice [worldmonitor#4436]."""
    purchase = await billing.buy(await billing.register())
    billing.platform.process(reference_of(purchase))

    noticed = await billing.notify(reference_of(purchase))
    billing.clock.advance(PAST_DEADLINE_AND_GRACE)
    await billing.expire_purchases()
    under_way = await recorded(billing, purchase)
    billing.platform.pay(reference_of(purchase))
    billing.clock.advance(timedelta(hours=7))
    await billing.reconcile_purchases()

    assert (noticed, under_way.status) == (Done(), PurchaseStatus.PENDING)
    assert under_way.check_at is not None
    assert await told(billing) == ["credits.purchased"]
