"""Cases 15-26 of the forty (bugs users hit): money and the catalogue; case 21 is in `test_refunds.py`."""

from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.adapters.platforms.stripe.account import ACCOUNT as STRIPE_ACCOUNT
from tests.adapters.platforms.stripe.account import SESSIONS, a_session, open_written
from tests.cases.recorded import a_notice, facts, key_of, net_credits, payment_of, recorded, reference_of, told
from tests.cases.vendors import OTHER_SHOP, a_shop, on_shopify, on_stripe
from tests.cases.workers import Workers, the_merchant, the_purchase

from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.money import Money
from billing_core.domain.packs import Catalog, CreditPack, PriceBook, default_catalog
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import InvalidPack, PlatformProtocolError
from billing_core.testing import MOMENT, InMemoryBilling, ScriptedPlatform, a_merchant, an_origin
from billing_core.testing.builders import again
from billing_core.use_cases.inbound import Done, Parked

DAY = timedelta(days=1)
OPERATOR = an_origin(actor="operator", reason="a customer asked")


def _usd(cents: int) -> tuple[Money, ...]:
    return (Money(amount_minor=cents, currency="USD"),)


def _one_pack(**values: Any) -> Catalog:
    defaults: dict[str, Any] = {"code": "large", "credits": 1000, "prices": _usd(6999)}
    return Catalog(version="1", packs=(CreditPack(**defaults | values),))


async def test_case_15_a_changed_price_and_a_retired_pack_honour_what_was_offered() -> None:
    """Price and credits change and a pack is retired while purchases are pending: the snapshot counts
    [PrestaShop#11507; polar#4621; slatwall#5016]."""
    dearer = Catalog(
        version="dearer",
        effective_from=MOMENT + DAY,
        packs=(
            CreditPack(code="large", credits=500, prices=_usd(9999)),
            CreditPack(code="small", credits=100, prices=_usd(999), retired=True),
        ),
    )
    billing = InMemoryBilling(catalog=PriceBook(versions=(default_catalog(), dearer)))
    caller = await billing.register()
    old = [await billing.buy(caller, pack) for pack in ("large", "small")]
    billing.clock.advance(DAY)

    with pytest.raises(InvalidPack):
        await billing.buy(caller, "small")
    new = await billing.buy(caller, "large")
    outcomes = [await billing.pay(purchase) for purchase in old]

    assert outcomes == [Done(), Done()]
    bought = [(each["credits"], each["price"]["amount_minor"]) for each in await facts(billing, "credits.purchased")]
    assert bought == [(1000, 6999), (100, 999)]
    assert (new.credits, new.price.amount) == (500, "99.99")


@pytest.mark.parametrize(
    "paid",
    [
        {"price": Money(amount_minor=6998, currency="USD")},
        {"price": Money(amount_minor=7000, currency="USD")},
        {"price": Money(amount_minor=6999, currency="EUR")},
        {"account_id": "another-shop"},
        None,
    ],
    ids=["less", "more", "euros", "another account", "no details"],
)
async def test_case_16_another_amount_or_currency_needs_review_and_gives_no_credits(
    billing: InMemoryBilling, paid: dict[str, Any] | None
) -> None:
    """What does not match the offer is neither granted nor dropped in silence: it is shown, told once, and resolvable
    [usage_credits and stapel source]."""
    purchase = await billing.buy(await billing.register())
    if paid is None:
        billing.platform.pay_without_details(reference_of(purchase))
    else:
        billing.platform.pay(reference_of(purchase), **paid)

    for _ in range(2):
        await billing.notify(reference_of(purchase))
    credits_unseen, shown = await net_credits(billing), await recorded(billing, purchase)
    await billing.operate.resolve(key_of(purchase), "accept", OPERATOR)

    assert (credits_unseen, shown.needs_review, shown.is_paid) == (0, True, False)
    assert await told(billing) == ["purchase.needs_review", "credits.purchased"]


async def test_case_17_the_large_pack_costs_6999_cents_on_every_platform() -> None:
    """`int(69.99 * 100)` is 6998: prices are read from text, sent and compared exactly [omi#10158, gumroad#3408]."""
    async with on_stripe() as on, on_shopify() as shop:
        stripes = await on.billing.buy(await on.billing.register(a_merchant(platform="stripe")))
        shopifys = await shop.billing.buy(await shop.billing.register(a_shop()))
        on.stripe.pay(reference_of(stripes))
        shop.shopify.approve(reference_of(shopifys))

        for billing, purchase in ((on.billing, stripes), (shop.billing, shopifys)):
            await billing.operate.reconcile([key_of(purchase)], OPERATOR)

        charged = shop.shopify.charges[reference_of(shopifys)].amount
        assert int(69.99 * 100) == 6998
        assert Money.of("69.99", "USD").amount_minor == stripes.price.amount_minor == 6999
        assert on.stripe.sessions[reference_of(stripes)].amount_total == 6999
        assert Decimal(charged) == Decimal("69.99")
        assert await told(on.billing) == await told(shop.billing) == ["credits.purchased"]


@pytest.mark.parametrize(("status", "expected"), [("open", PaymentStatus.PENDING), ("complete", PaymentStatus.PAID)])
async def test_case_18_stripe_completes_a_session_that_costs_nothing(status: str, expected: PaymentStatus) -> None:
    """Billing has no promo codes; a code of the platform's own leaves `no_payment_required`, which completes once the
    session is complete, and not before [micromasters#2321, Merchello#2156]."""
    free = a_session(status=status, payment_status="no_payment_required", amount_total=0)
    async with open_written({f"{SESSIONS}/cs_test_1": free}) as (platform, _):
        report = await platform.look_up("cs_test_1", STRIPE_ACCOUNT, MOMENT)

    assert isinstance(report, PaymentReport)
    assert (report.status, report.price) == (expected, Money(amount_minor=0, currency="USD"))


async def test_case_18_a_pack_that_costs_nothing_completes_and_can_be_reversed() -> None:
    """Billing has no promo codes; a free pack is as near: amount 0 completes, and nothing divides by it
    [micromasters#2321]."""
    billing = InMemoryBilling(catalog=_one_pack(prices=_usd(0)))
    purchase = await billing.buy(await billing.register())

    await billing.pay(purchase)
    billing.platform.refund(reference_of(purchase), 0)
    await billing.notify(reference_of(purchase))
    completed = await recorded(billing, purchase)
    billing.platform.dispute(reference_of(purchase), DisputeStatus.LOST)
    await billing.notify(reference_of(purchase))

    assert (completed.status, completed.credits_reversed) == (PurchaseStatus.COMPLETED, 0)
    assert await told(billing) == ["credits.purchased", "credits.reversed"]
    assert await net_credits(billing) == 0


@pytest.mark.parametrize(
    ("end", "kind", "status", "events"),
    [
        ("succeed", "checkout.session.async_payment_succeeded", "completed", ["credits.purchased"]),
        ("fail", "checkout.session.async_payment_failed", "failed", ["purchase.failed"]),
    ],
)
async def test_case_19_completed_but_unpaid_grants_nothing_until_the_money_came(
    end: str, kind: str, status: str, events: list[str]
) -> None:
    """Stripe's session completes before a delayed payment does: success later grants once, failure later ends failed
    [CapSoftware/Cap#1931; AI-Shipping-Labs#1423]."""
    async with on_stripe() as on:
        billing, stripe = on.billing, on.stripe
        purchase = await billing.buy(await billing.register(a_merchant(platform="stripe")))
        stripe.process(reference_of(purchase))

        await billing.handle_webhooks(
            [a_notice("stripe", **stripe.event(reference_of(purchase), "checkout.session.completed"))]
        )
        unpaid = (await recorded(billing, purchase)).status, await told(billing)
        getattr(stripe, end)(reference_of(purchase))
        for _ in range(2):
            await billing.handle_webhooks([a_notice("stripe", **stripe.event(reference_of(purchase), kind))])

        assert unpaid == (PurchaseStatus.PENDING, [])
        assert (await recorded(billing, purchase)).status == status
        assert await told(billing) == events


async def test_case_20_paid_and_bonus_credits_are_told_apart() -> None:
    """The event says 1000 credits and 50 bonus, never 1050 twice; both go when the payment goes [NyxID#1050]."""
    billing = InMemoryBilling(catalog=_one_pack(bonus_credits=50))
    caller = await billing.register()
    purchase = await billing.buy(caller)

    await billing.pay(purchase)

    (fact,) = await facts(billing, "credits.purchased")
    assert (fact["credits"], fact["bonus_credits"]) == (1000, 50)
    assert (await billing.read.overview(caller)).purchases.credits_purchased == 1050
    billing.platform.refund(reference_of(purchase), 6999)
    await billing.notify(reference_of(purchase))
    assert [each["credits"] for each in await facts(billing, "credits.reversed")] == [1050]


@pytest.mark.parametrize("failure", ["fail_payment", "decline", "expire"])
async def test_case_22_a_failure_told_after_settlement_flips_nothing(billing: InMemoryBilling, failure: str) -> None:
    """The purchase and its credits stay, and a person is asked, once [lago-api#5947, #3703]."""
    purchase = await billing.buy(await billing.register())
    await billing.pay(purchase)
    getattr(billing.platform, failure)(reference_of(purchase))
    billing.clock.advance(timedelta(minutes=1))

    outcomes = [await billing.notify(reference_of(purchase)) for _ in range(2)]

    after = await recorded(billing, purchase)
    assert outcomes == [Done(), Done()]
    assert (after.status, after.needs_review) == (PurchaseStatus.COMPLETED, True)
    assert await told(billing) == ["credits.purchased", "purchase.needs_review"]


async def test_case_23_a_checkout_without_its_page_is_never_remembered_as_the_answer() -> None:
    """Shopify makes a charge and gives no address: the request fails, and the same key gets a page that works, then
    always that one [NyxID#1268, #1258]."""
    async with on_shopify() as on:
        caller = await on.billing.register(a_shop())
        on.shopify.faults.plan(Fault.NO_URL, "create")

        with pytest.raises(PlatformProtocolError):
            await on.billing.buy(caller, key="key-1")
        purchase, again_ = [await on.billing.buy(caller, key="key-1") for _ in range(2)]

        page = on.shopify.charges[reference_of(purchase)].confirmation_url
        assert purchase.checkout_url == again_.checkout_url == page
        assert len(on.billing.storage.tables.purchases) == 1


@pytest.mark.parametrize("test_mode", [False, True], ids=["live", "test"])
async def test_case_24_a_test_charge_on_a_live_purchase_and_the_reverse_say_what_they_are(test_mode: bool) -> None:
    """The platform's flag counts, on the record and in the event; only real money converts a trial
    [shopify-api-js#882: reviewers' stores always get test charges]."""
    platform = ScriptedPlatform(test_mode=test_mode)
    billing = InMemoryBilling(platforms=[platform])
    caller = await billing.register()
    await billing.activate_trial(caller, "key-1")
    purchase = await billing.buy(caller)
    platform.pay(reference_of(purchase), test=not test_mode)

    await billing.notify(reference_of(purchase))

    assert (purchase.test, (await recorded(billing, purchase)).test) == (test_mode, not test_mode)
    assert [each["test"] for each in await facts(billing, "credits.purchased")] == [not test_mode]
    assert ("trial.converted" in await told(billing)) == test_mode


async def test_case_24_a_reviewers_test_store_is_not_stuck_in_a_loop() -> None:
    """Shopify's test charge completes like any other: it is over, nobody asks again, and the next one can be bought
    [shopify-api-js#882]."""
    async with on_shopify(shopify_test_charges=True) as on:
        caller = await on.billing.register(a_shop())
        purchase = await on.billing.buy(caller)
        on.shopify.approve(reference_of(purchase))

        await on.billing.handle_webhooks([a_notice("shopify", **on.shopify.notice(reference_of(purchase)))])
        asked = len(on.shopify.calls)
        on.billing.clock.advance(DAY)
        await on.billing.reconcile_purchases()

        done = await on.billing.read.purchase(caller, purchase.id)
        assert (done.status, done.test, done.needs_review) == (PurchaseStatus.COMPLETED, True, False)
        assert len(on.shopify.calls) == asked
        assert (await on.billing.buy(caller)).id != purchase.id


async def test_case_25_declined_comes_back_without_any_id_and_never_counts_as_paid() -> None:
    """The return URL tells nothing, and Billing reads nothing from it: the purchase stands as Shopify says
    [laravel-shopify#1174; shopify-demo-app#49]."""
    async with on_shopify() as on:
        caller = await on.billing.register(a_shop())
        purchase = await on.billing.buy(caller)
        on.shopify.decline(reference_of(purchase))

        returned = await on.billing.read.purchase(caller, purchase.id)
        outcomes = await on.billing.handle_webhooks([a_notice("shopify", **on.shopify.notice(reference_of(purchase)))])

        assert (returned.status, returned.completed_at, outcomes) == (PurchaseStatus.PENDING, None, [Done()])
        assert (await recorded(on.billing, purchase)).status is PurchaseStatus.DECLINED
        assert await told(on.billing) == ["purchase.declined"]


@pytest.mark.parametrize("sold_here", [True, False], ids=["sold here", "another app's"])
async def test_case_25_a_forged_charge_of_another_shop_is_refused(sold_here: bool) -> None:
    """A notice in one shop's name, with its purchase's reference, points at another shop's paid charge: parked
    [laravel-shopify#307]."""
    async with on_shopify() as on:
        merchant, other = a_shop(), a_shop(gid=OTHER_SHOP)
        purchase = await on.billing.buy(await on.billing.register(merchant))
        stranger = on.billing if sold_here else InMemoryBilling(platforms=on.billing.platforms.values())
        paid = await stranger.buy(await stranger.register(other))
        on.shopify.approve(reference_of(paid))
        forged = on.shopify.notice(reference_of(paid))
        forged["app_purchase_one_time"] |= {
            "admin_graphql_api_shop_id": merchant.platform_account_id,
            "name": on.shopify.charges[reference_of(purchase)].name,
        }

        (outcome,) = await on.billing.handle_webhooks([a_notice("shopify", **forged)])

        assert isinstance(outcome, Parked)
        assert (await recorded(on.billing, purchase)).status is PurchaseStatus.PENDING
        assert await told(on.billing) == []


async def test_case_26_a_dispute_and_a_duplicate_after_the_archive_find_the_purchase(workers: Workers) -> None:
    """On day 91 the purchase is archived and its messages are forgotten; a dispute and a repeat of the payment's event
    come at once: reversed, not unknown, and not granted again [dispute windows of the schemes; stapel's claim]."""
    purchase = await workers.one.buy(await workers.one.register())
    workers.platform.pay(reference_of(purchase))
    notice = a_notice(reference=reference_of(purchase))
    await workers.one.handle_webhooks([notice])
    workers.clock.advance(91 * DAY)
    archived = (await workers.one.archive_purchases()).done
    await workers.one.purge_idempotency()
    workers.platform.dispute(reference_of(purchase), DisputeStatus.OPEN)
    late: list[Coroutine[Any, Any, Any]] = [
        workers.one.handle_webhooks([a_notice(payment=payment_of(purchase))]),
        workers.other.handle_webhooks([again(notice)]),
    ]

    outcomes = await workers.in_order(the_purchase(purchase), *late)

    assert (archived, outcomes) == (1, [[Done()], [Done()]])
    assert (await recorded(workers.one, purchase)).status is PurchaseStatus.DISPUTED
    assert await told(workers.one) == ["credits.purchased", "credits.reversed"]


async def test_case_26_a_key_purged_after_a_day_leaves_the_open_purchase_as_guard(workers: Workers) -> None:
    """The client repeats its key when it was forgotten, to two processes at once: both give the purchase that is open
    [stapel's permanent claim]."""
    caller = await workers.one.register()
    purchase = await workers.one.buy(caller, key="key-1")
    workers.clock.advance(timedelta(hours=25))
    await workers.one.purge_idempotency()
    repeats = [each.buy(caller, key="key-1") for each in (workers.one, workers.other)]

    repeated = await workers.in_order(the_merchant(caller.merchant_id), *repeats)

    assert [each.id for each in repeated] == [purchase.id, purchase.id]
    assert len(workers.platform.payments) == 1
