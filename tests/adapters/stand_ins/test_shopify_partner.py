"""The Shopify stand-in's Partner API: money given back, which the charge itself never tells."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from tests.adapters.stand_ins.shopify_app import LOOK_UP, OTHER_SHOP, PARTNER, PARTNER_TOKEN, App

from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_adapters.stand_ins.shopify_books import RefundKind
from billing_core.testing import MOMENT, FixedClock

REFUNDS = ["APP_SALE_ADJUSTMENT", "APP_SALE_CREDIT"]


def nodes(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The transactions in an answer."""
    return [edge["node"] for edge in answer.json()["data"]["transactions"]["edges"]]


async def a_paid_charge(shopify: ShopifyStandIn, app: App, **values: Any) -> str:
    """The gid of a charge the merchant paid."""
    gid = await app.charge(**values)
    shopify.approve(gid)
    return gid


class TestTransactions:
    async def test_a_refund_is_a_negative_adjustment(self, shopify: ShopifyStandIn, app: App) -> None:
        """A refund tells the charge, the shop, and what the merchant got back, negative; the payout loses less."""
        gid = await a_paid_charge(shopify, app)

        shopify.refund(gid, 1000)

        (refund,) = nodes(await app.ask_partner(types=REFUNDS))
        assert refund.pop("id").startswith("gid://partners/AppSaleAdjustment/")
        assert refund == {
            "__typename": "AppSaleAdjustment",
            "createdAt": MOMENT.isoformat().replace("+00:00", "Z"),
            "chargeId": gid,
            "grossAmount": {"amount": "-10.0", "currencyCode": "USD"},
            "netAmount": {"amount": "-8.5"},
            "shop": {"id": "gid://partners/Shop/1", "myshopifyDomain": "shop-1.myshopify.com"},
        }

    async def test_a_refund_leaves_the_charge_active(self, shopify: ShopifyStandIn, app: App) -> None:
        """Shopify has no refunded status: the charge stays ACTIVE."""
        gid = await a_paid_charge(shopify, app)

        shopify.refund(gid, 3999, kind="APP_SALE_CREDIT")

        assert (await app.ask(LOOK_UP, id=gid)).json()["data"]["node"]["status"] == "ACTIVE"

    async def test_what_was_not_paid_is_not_refunded(self, shopify: ShopifyStandIn, app: App) -> None:
        """A refund of a charge that waits is refused, and no transaction is made."""
        gid = await app.charge()

        with pytest.raises(ValueError, match="nothing was paid"):
            shopify.refund(gid, 1)

        assert nodes(await app.ask_partner()) == []

    @pytest.mark.parametrize(
        ("types", "kinds"),
        [
            (["APP_SALE_ADJUSTMENT"], ["AppSaleAdjustment"]),
            (["APP_SALE_CREDIT"], ["AppSaleCredit"]),
            (REFUNDS, ["AppSaleCredit", "AppSaleAdjustment"]),
            (None, ["AppSaleCredit", "AppSaleAdjustment", "AppOneTimeSale"]),
        ],
    )
    async def test_only_the_asked_types_are_told(
        self, shopify: ShopifyStandIn, app: App, types: list[str] | None, kinds: list[str]
    ) -> None:
        """`types` chooses; without it everything is told, the sale too, newest first."""
        gid = await a_paid_charge(shopify, app)
        kind: RefundKind
        for kind in ("APP_SALE_ADJUSTMENT", "APP_SALE_CREDIT"):
            shopify.refund(gid, 100, kind=kind)

        answer = await app.ask_partner(types=types)

        assert [node["__typename"] for node in nodes(answer)] == kinds

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({"shopId": "gid://partners/Shop/2"}, 1),
            ({"shopId": "gid://partners/Shop/3"}, 0),
            ({"domain": "shop-2.myshopify.com"}, 1),
            ({"domain": "shop-3.myshopify.com"}, 0),
            ({"appId": "gid://partners/App/1"}, 1),
            ({"appId": "gid://partners/App/2"}, 0),
            ({"createdAtMin": MOMENT.isoformat()}, 1),
            ({"createdAtMin": (MOMENT + timedelta(microseconds=1)).isoformat()}, 0),
            ({"createdAtMax": MOMENT.isoformat()}, 1),
            ({"createdAtMax": (MOMENT - timedelta(microseconds=1)).isoformat()}, 0),
        ],
    )
    async def test_filters_choose(self, shopify: ShopifyStandIn, app: App, filters: dict[str, str], found: int) -> None:
        """Shop, domain, app and time, bounds included, each choose what is told."""
        shopify.refund(await a_paid_charge(shopify, app, token=await app.token(OTHER_SHOP)), 100)

        answer = await app.ask_partner(types=REFUNDS, **filters)

        assert len(nodes(answer)) == found

    async def test_a_time_that_is_none_is_an_error(self, shopify: ShopifyStandIn, app: App) -> None:
        """A bound that is no time is an error inside a 200."""
        shopify.refund(await a_paid_charge(shopify, app), 100)

        answer = await app.ask_partner(createdAtMin="yesterday")

        assert (answer.status_code, sorted(answer.json())) == (200, ["errors"])

    async def test_pages_are_walked_by_the_last_edges_cursor(
        self, shopify: ShopifyStandIn, app: App, clock: FixedClock
    ) -> None:
        """The Partner API's pageInfo has no cursors: the last edge's leads on, to the end, each refund once."""
        gid = await a_paid_charge(shopify, app)
        for amount_minor in (100, 200, 300):
            clock.advance(timedelta(minutes=1))
            shopify.refund(gid, amount_minor)

        seen: list[str] = []
        after, more = None, True
        while more:
            answer = await app.ask_partner(types=REFUNDS, first=2, after=after)
            page = answer.json()["data"]["transactions"]
            seen += [edge["node"]["grossAmount"]["amount"] for edge in page["edges"]]
            after, more = page["edges"][-1]["cursor"], page["pageInfo"]["hasNextPage"]

        assert seen == ["-3.0", "-2.0", "-1.0"]

    async def test_a_test_charge_earns_nothing(self, shopify: ShopifyStandIn, app: App) -> None:
        """A test charge is never billed, so no sale is told."""
        payload = await app.create(test=True)

        shopify.approve(payload["appPurchaseOneTime"]["id"])

        assert nodes(await app.ask_partner()) == []

    async def test_one_transaction_is_found_by_id(self, shopify: ShopifyStandIn, app: App) -> None:
        """`transaction(id)` gives the one that was listed, and null for an unknown id."""
        await a_paid_charge(shopify, app)
        (sale,) = nodes(await app.ask_partner())
        document = "query ($id: ID!) { transaction(id: $id) { id } }"

        known = await app.post(PARTNER, document, PARTNER_TOKEN, {"id": sale["id"]})
        unknown = await app.post(PARTNER, document, PARTNER_TOKEN, {"id": "gid://partners/AppSaleCredit/1"})

        assert known.json()["data"] == {"transaction": {"id": sale["id"]}}
        assert unknown.json()["data"] == {"transaction": None}

    async def test_what_is_not_played_says_so(self, app: App) -> None:
        """A field of the schema that the stand-in does not play is an error, never a silent null."""
        document = 'query { app(id: "gid://partners/App/1") { id } }'

        answer = await app.post(PARTNER, document, PARTNER_TOKEN, {})

        assert "does not play QueryRoot.app" in answer.json()["errors"][0]["message"]
