"""Refunds of charges, as Shopify's Partner API tells them."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from tests.adapters.platforms.shopify.shop import (
    ACCOUNT,
    GID,
    Hand,
    Opened,
    Script,
    Step,
    a_shopify_purchase,
    opened,
    scripted,
    some_settings,
)

from billing_adapters.platforms.shopify import ShopifyRefunds, open_partner_refunds
from billing_adapters.platforms.shopify import partner_api as adapter
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.money import Money
from billing_core.errors import PlatformAuthError, PlatformError, PlatformProtocolError, PlatformThrottled
from billing_core.errors import PlatformUnavailable as Unavailable
from billing_core.ports.platforms import Refund
from billing_core.testing import MOMENT

SHOP = "gid://partners/Shop/1"


class TestAgainstTheStandIn:
    """Over real HTTP, with the vendor's schema executed."""

    async def test_what_was_given_back_is_cumulative(self) -> None:
        """Adjustments and credits of a charge together, whole and in part, before and after the moment."""
        async with opened() as shop:
            paid, other = [await a_paid_charge(shop) for _ in range(2)]
            shop.shopify.refund(paid, 1000)
            shop.shopify.refund(paid, 250, kind="APP_SALE_CREDIT")
            shop.shopify.refund(other, 6999)
            await a_paid_charge(shop)

            assert await refunds(shop) == {paid: 1250, other: 6999}

    async def test_a_refund_before_the_moment_counts_once_another_comes(self) -> None:
        """Which charges are told is a matter of the moment, how much is not."""
        async with opened() as shop:
            earlier, later = [await a_paid_charge(shop) for _ in range(2)]
            for gid in (earlier, later):
                shop.shopify.refund(gid, 1000)
            shop.clock.advance(timedelta(hours=1))
            shop.shopify.refund(later, 500)

            assert await refunds(shop, since=MOMENT + timedelta(minutes=30)) == {later: 1500}

    async def test_the_account_is_the_admin_apis(self) -> None:
        """The Partner API has gids of its own for shops."""
        async with opened() as shop:
            paid = await a_paid_charge(shop)
            shop.shopify.refund(paid, 1)
            async with open_partner_refunds(partner_settings(shop.base_url)) as source:
                assert source is not None
                told = await source.refunds(MOMENT)

            assert source.platform == "shopify"
        assert told == (
            Refund(
                platform_reference=paid,
                platform_account_id=ACCOUNT.platform_account_id,
                refunded=Money(amount_minor=1, currency="USD"),
            ),
        )

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault.TOO_MANY_REQUESTS, PlatformThrottled),
            (Fault.THROTTLED, PlatformThrottled),
            (Fault.SERVER_ERROR, Unavailable),
            (Fault.UNAUTHORIZED, PlatformAuthError),
            (Fault.HTML_SUCCESS, PlatformProtocolError),
        ],
    )
    async def test_its_troubles_have_our_words(self, fault: Fault, error: type[PlatformError]) -> None:
        """As for charges."""
        async with opened() as shop:
            shop.shopify.faults.plan(fault, "partner")

            with pytest.raises(PlatformError) as failure:
                await refunds(shop)

        assert type(failure.value) is error

    async def test_a_broken_connection_is_tried_again(self) -> None:
        """Reading changes nothing."""
        async with opened() as shop:
            shop.shopify.faults.plan(Fault.RESET, "partner")

            assert await refunds(shop) == {}

    @pytest.mark.parametrize("missing", ["shopify_partner_organization_id", "shopify_partner_token"])
    async def test_without_an_organization_or_a_token_there_is_no_source(self, missing: str) -> None:
        """The poller is optional."""
        async with open_partner_refunds(partner_settings("http://127.0.0.1:1", **{missing: None})) as source:
            assert source is None


class TestArithmetic:
    """How the vendor's amounts are read."""

    @pytest.mark.parametrize(
        ("transactions", "expected"),
        [
            ([("-10.00", "-8.50")], 1000),
            ([("10.00", "-8.50")], 1000),
            ([("-10.00", "-8.50"), ("-5.00", "-4.25")], 1500),
            ([("-10.00", "-8.50"), ("4.00", "3.40")], 600),
            ([("-10.00", "-8.50"), ("10.00", "8.50")], 0),
            ([("4.00", "3.40")], 0),
        ],
    )
    async def test_net_tells_the_direction_and_gross_the_amount(
        self, transactions: list[tuple[str, str]], expected: int
    ) -> None:
        """Net is what Shopify deducts from our payout, gross what the merchant gets back of the price."""
        nodes = [a_transaction(gross=money(gross), net=money(net)) for gross, net in transactions]

        assert await told_by(a_page(*nodes), a_page(*nodes)) == {GID: expected}

    async def test_a_currency_has_its_own_decimals(self) -> None:
        """Yen have none."""
        node = a_transaction(gross=money("-1000.0", "JPY"), net=money("-850", "JPY"))

        assert await told_by(a_page(node), a_page(node)) == {GID: 1000}

    @pytest.mark.parametrize(
        "charge_id", [None, "gid://shopify/AppSubscription/1", "gid://shopify/AppUsageRecord/1"], ids=repr
    )
    async def test_what_is_no_one_time_charge_is_passed_over(self, charge_id: str | None) -> None:
        """Subscriptions and usage are not ours; the shop is not even asked about."""
        assert await told_by(a_page(a_transaction(chargeId=charge_id))) == {}

    @pytest.mark.parametrize("change", [{"grossAmount": None}, {"grossAmount": "EUR"}], ids=str)
    async def test_an_amount_that_is_unclear_is_told_in_the_log(self, change: dict[str, Any]) -> None:
        """A missing amount, or two currencies: no sum is better than a wrong one."""
        odd = a_transaction(**{k: money("-1.00", v) if v else None for k, v in change.items()})
        with capture_logs() as logs:
            assert await told_by(a_page(odd), a_page(odd, a_transaction())) == {}

        assert [log["event"] for log in logs] == ["shopify.refund_unclear"]

    async def test_a_refund_without_a_shop_is_told_in_the_log(self) -> None:
        """Nobody can be given it."""
        with capture_logs() as logs:
            assert await told_by(a_page(a_transaction(shop=None))) == {}

        assert [log["event"] for log in logs] == ["shopify.refund_without_shop"]

    @pytest.mark.parametrize(
        "change",
        [{"netAmount": None}, {"grossAmount": {"amount": "-1.001", "currencyCode": "USD"}}, {"shop": {"id": "1"}}],
        ids=str,
    )
    async def test_what_shopify_cannot_say_is_never_believed(self, change: dict[str, Any]) -> None:
        """Nothing is reported then."""
        node = a_transaction(**change)

        with pytest.raises(PlatformProtocolError):
            await told_by(a_page(node), a_page(node))


class TestReading:
    """Pages, limits and narrowing."""

    async def test_pages_are_read_to_the_end(self) -> None:
        """By the cursor of the last edge; first what changed, then all of the shop."""
        other = "gid://shopify/AppPurchaseOneTime/7"
        script = Script(
            a_page(a_transaction(), a_transaction(chargeId=None), more=True),
            a_page(a_transaction(chargeId=other)),
            a_page(a_transaction(), a_transaction(chargeId=None), more=True),
            a_page(a_transaction(), a_transaction(chargeId=other)),
        )

        assert await told_by_script(script) == {GID: 2000, other: 1000}
        asked = [request.content for request in script.requests]
        assert [b'"after":"cursor-1"' in each for each in asked] == [False, True, False, True]
        assert [b'"createdAtMin":"2026-03-02T09:30:15.123456Z"' in each for each in asked] == [True, True, False, False]
        assert [f'"shopId":"{SHOP}"'.encode() in each for each in asked] == [False, False, True, True]
        assert all(b'"appId":"gid://partners/App/1"' in each for each in asked)

    async def test_the_reading_has_an_end(self) -> None:
        """A list without one is a broken protocol."""
        script = Script(*[a_page(a_transaction(), more=True)] * (adapter.MAX_PAGES + 1))

        with pytest.raises(PlatformProtocolError):
            await told_by_script(script)

        assert len(script.requests) == adapter.MAX_PAGES

    async def test_a_next_page_that_begins_nowhere_is_broken(self) -> None:
        """Beginning anew would never end."""
        with pytest.raises(PlatformProtocolError):
            await told_by(a_page(more=True))

    @pytest.mark.parametrize(
        "step",
        [
            httpx2.Response(429, json={"errors": [{"message": "Too many requests", "extensions": {"code": "429"}}]}),
            httpx2.Response(200, json={"errors": [{"message": "Too many requests", "extensions": {"code": "429"}}]}),
        ],
        ids=["429", "200"],
    )
    async def test_a_throttled_client_is_left_alone_until_then(self, step: httpx2.Response) -> None:
        """The Partner API counts for each client, and says `429` where the Admin API says `THROTTLED`."""
        script, hand = Script(step, a_page()), Hand()
        async with scripted(script) as wire:
            source = a_source(wire, hand)
            for _ in range(2):
                with pytest.raises(PlatformThrottled):
                    await source.refunds(MOMENT)
            hand.at_s += 2.0

            assert await source.refunds(MOMENT) == ()
        assert len(script.requests) == 2


def partner_settings(base_url: str, **values: Any) -> Settings:
    """Settings of a deployment that reads refunds."""
    defaults: dict[str, Any] = {
        "shopify_partner_organization_id": "1234",
        "shopify_partner_token": "prtapi_sample",
        "shopify_partner_app_id": "gid://partners/App/1",
        "shopify_partner_base_url": base_url,
    }
    return some_settings(**defaults | values)


async def a_paid_charge(shop: Opened) -> str:
    """A charge the merchant approved."""
    checkout = await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)
    shop.shopify.approve(checkout.platform_reference)
    return checkout.platform_reference


async def refunds(shop: Opened, since: Any = MOMENT) -> dict[str, int]:
    """What the Partner API tells, by charge."""
    async with open_partner_refunds(partner_settings(shop.base_url)) as source:
        assert source is not None
        return {each.platform_reference: each.refunded.amount_minor for each in await source.refunds(since)}


def a_source(wire: Any, hand: Hand) -> ShopifyRefunds:
    """A source of refunds on a scripted wire."""
    return ShopifyRefunds(
        wire,
        endpoint="https://partners.shopify.com/1234/api/2026-07/graphql.json",
        token="prtapi_sample",
        app_id="gid://partners/App/1",
        throttles=Throttles(monotonic_s=hand),
        requests_per_second=1000,
    )


async def told_by_script(script: Script) -> dict[str, int]:
    """What scripted answers tell, by charge."""
    async with scripted(script) as wire:
        told = await a_source(wire, Hand()).refunds(MOMENT)
    return {each.platform_reference: each.refunded.amount_minor for each in told}


async def told_by(*steps: Step) -> dict[str, int]:
    """What answers tell, by charge."""
    return await told_by_script(Script(*steps))


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    """An amount as Shopify writes it."""
    return {"amount": amount, "currencyCode": currency}


def a_transaction(gross: Any = None, net: Any = None, **changes: Any) -> dict[str, Any]:
    """Ten dollars given back, with changes."""
    node = {
        "id": "gid://partners/AppSaleAdjustment/1",
        "chargeId": GID,
        "grossAmount": gross or money("-10.00"),
        "netAmount": net or money("-8.50"),
        "shop": {"id": SHOP},
    }
    return node | changes


def a_page(*nodes: dict[str, Any], more: bool = False) -> httpx2.Response:
    """A page of transactions."""
    edges = [{"cursor": f"cursor-{number}", "node": node} for number, node in enumerate(nodes)]
    return httpx2.Response(200, json={"data": {"transactions": {"edges": edges, "pageInfo": {"hasNextPage": more}}}})
