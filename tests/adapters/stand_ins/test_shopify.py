"""The Shopify stand-in: the vendor's own schema answers over HTTP."""

from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from tests.adapters.stand_ins.shopify_app import ADMIN, CREATE, FIND, LOOK_UP, OTHER_SHOP, TRANSACTIONS, App

from billing_adapters.stand_ins.shopify import STATIC_SHOP, ShopifyStandIn
from billing_adapters.stand_ins.shopify_schema import notice_schema, sample_notice
from billing_core.testing import MOMENT, FixedClock


class TestCharges:
    async def test_a_charge_is_made_pending_with_a_page_of_the_shop(self, shopify: ShopifyStandIn, app: App) -> None:
        """A create gives a PENDING charge as it was asked for, and a confirmation page on the shop's own domain."""
        payload = await app.create("500 credits", amount="39.90", test=True)

        node = payload["appPurchaseOneTime"]
        charge = shopify.charges[node.pop("id")]
        assert payload["userErrors"] == []
        assert payload["confirmationUrl"].startswith("https://shop-1.myshopify.com/admin/charges/")
        assert node == {
            "name": "500 credits",
            "price": {"amount": "39.9", "currencyCode": "USD"},
            "status": "PENDING",
            "test": True,
            "createdAt": MOMENT.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert (charge.shop, charge.amount, charge.return_url) == (STATIC_SHOP, "39.9", "https://app.example/back")

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"amount": "0.49"}, "Validation failed: Price must be greater than or equal to 0.5"),
            ({"returnUrl": "nowhere"}, "Validation failed: Return url is invalid"),
            ({"returnUrl": "https://[half"}, "Validation failed: Return url is invalid"),
        ],
    )
    async def test_a_refused_charge_is_a_user_error(
        self, shopify: ShopifyStandIn, app: App, asked: dict[str, Any], message: str
    ) -> None:
        """A price under 0.50 or a bad return URL is told in userErrors, and nothing is made."""
        payload = await app.create(**asked)

        assert [error["message"] for error in payload["userErrors"]] == [message]
        assert payload["appPurchaseOneTime"] is payload["confirmationUrl"] is None
        assert shopify.charges == {}

    @pytest.mark.parametrize(("act", "status"), [("approve", "ACTIVE"), ("decline", "DECLINED"), ("expire", "EXPIRED")])
    async def test_a_charge_ends_once(self, shopify: ShopifyStandIn, app: App, act: str, status: str) -> None:
        """What the merchant or time decides is what a look-up tells, and cannot be decided again."""
        gid = await app.charge()

        getattr(shopify, act)(gid)

        assert (await app.ask(LOOK_UP, id=gid)).json()["data"] == {"node": {"id": gid, "status": status}}
        with pytest.raises(ValueError, match="final"):
            shopify.approve(gid)

    async def test_another_shops_charge_is_null(self, app: App) -> None:
        """A shop sees nothing of another's charges, neither by id nor in its list."""
        gid, token = await app.charge(), await app.token()

        by_id = await app.ask(LOOK_UP, token=token, id=gid)
        listed = await app.ask(FIND, token=token, first=10)

        assert by_id.json()["data"] == {"node": None}
        assert listed.json()["data"]["currentAppInstallation"]["oneTimePurchases"]["nodes"] == []

    async def test_pages_are_walked_to_the_end(self, app: App, clock: FixedClock) -> None:
        """Pages of a reversed list give every charge once, newest first, with true pageInfo in both directions."""
        for number in range(5):
            await app.charge(f"charge {number}")
            clock.advance(timedelta(seconds=1))

        seen: list[tuple[list[str], bool, bool]] = []
        after, more = None, True
        while more:
            page = await self._page(app, first=2, after=after)
            info = page["pageInfo"]
            after, more = info["endCursor"], info["hasNextPage"]
            seen.append(([node["name"] for node in page["nodes"]], info["hasPreviousPage"], more))
        back = await self._page(app, last=2, before=after, key="ID")

        assert seen == [
            (["charge 4", "charge 3"], False, True),
            (["charge 2", "charge 1"], True, True),
            (["charge 0"], True, False),
        ]
        assert [node["name"] for node in back["nodes"]] == ["charge 2", "charge 1"]

    @pytest.mark.parametrize(
        ("page", "message"),
        [
            ({}, "you must provide one of first or last"),
            ({"first": 1, "last": 1}, "you must provide one of first or last"),
            ({"first": 251}, "a page has from 1 to 250 elements"),
            ({"first": 0}, "a page has from 1 to 250 elements"),
            ({"first": 1, "after": "nonsense"}, "'nonsense' is not a valid cursor"),
        ],
    )
    async def test_a_bad_page_is_an_error(self, app: App, page: dict[str, Any], message: str) -> None:
        """No size or two, more than 250, nothing, or a strange cursor is an error inside a 200."""
        answer = await app.ask(FIND, **page)

        assert answer.status_code == 200
        assert [error["message"] for error in answer.json()["errors"]] == [message]

    async def test_the_notice_is_one_shopify_could_send(self, shopify: ShopifyStandIn, app: App) -> None:
        """The webhook's body has exactly the keys of Shopify's sample, and obeys Shopify's JSON Schema."""
        gid = await app.charge()
        shopify.approve(gid)

        notice = shopify.notice(gid)

        validator = jsonschema.Draft202012Validator(
            dict(notice_schema()), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        validator.validate(notice)
        told, sample = notice["app_purchase_one_time"], sample_notice()["app_purchase_one_time"]
        assert told.keys() == sample.keys()
        assert (told["admin_graphql_api_id"], told["status"]) == (gid, "ACTIVE")

    @staticmethod
    async def _page(app: App, **page: Any) -> dict[str, Any]:
        answer = await app.ask(FIND, **page)
        connection: dict[str, Any] = answer.json()["data"]["currentAppInstallation"]["oneTimePurchases"]
        return connection


class TestDoor:
    async def test_a_wrong_document_is_told_inside_a_200(self, shopify: ShopifyStandIn, app: App) -> None:
        """Bad syntax, fields, arguments and amounts are `errors` without `data`, and nothing is made."""
        wrong = [
            await app.ask("query {"),
            await app.ask("query { currentAppInstallation { purchases } }"),
            await app.ask(CREATE.replace("returnUrl: $returnUrl,", ""), name="x"),
            await app.ask(
                CREATE, name="x", returnUrl="https://a.example", price={"amount": "x", "currencyCode": "USD"}
            ),
        ]

        assert [(each.status_code, sorted(each.json())) for each in wrong] == [(200, ["errors"])] * 4
        assert shopify.charges == {}

    async def test_every_answer_tells_its_version_and_cost(self, shopify: ShopifyStandIn, app: App) -> None:
        """The version asked for is told, or the older one served instead; the bucket stands beside the data."""
        answer = await app.ask(LOOK_UP, id="gid://shopify/AppPurchaseOneTime/1")
        shopify.answers_version = "2026-07"
        older = await app.ask(LOOK_UP, id="gid://shopify/AppPurchaseOneTime/1")

        assert answer.headers["X-Shopify-API-Version"] == "2026-10"
        assert older.headers["X-Shopify-API-Version"] == "2026-07"
        cost = answer.json()["extensions"]["cost"]
        assert cost["actualQueryCost"] == cost["requestedQueryCost"]
        assert cost["throttleStatus"].keys() == {"maximumAvailable", "currentlyAvailable", "restoreRate"}

    async def test_another_version_is_not_found(self, app: App) -> None:
        """An API version other than the stand-in's is 404, in the Admin API and in the Partner API."""
        admin = await app.post("/admin/api/2019-01/graphql.json", LOOK_UP, "shpat_sample", {"id": "x"})
        partner = await app.post("/4711/api/2019-01/graphql.json", TRANSACTIONS, "prtapi_sample", {"first": 1})

        assert (admin.status_code, partner.status_code) == (404, 404)

    async def test_a_strange_token_is_unauthorized(self, shopify: ShopifyStandIn, app: App) -> None:
        """A token of nobody is 401; the call is on record, of no shop."""
        admin, partner = await app.ask(LOOK_UP, token="none", id="x"), await app.ask_partner(token="shpat_sample")

        assert (admin.status_code, partner.status_code) == (401, 401)
        assert [(call.operation, call.shop) for call in shopify.calls] == [("look_up", None), ("partner", None)]

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"query": 1}', b'{"query": "{shop{id}}", "variables": [1]}'])
    async def test_a_body_that_is_no_request_is_refused(self, app: App, body: bytes) -> None:
        """What is no GraphQL request at all is 400."""
        answer = await app.http.post(ADMIN, content=body)

        assert (answer.status_code, "errors" in answer.json()) == (400, True)

    async def test_calls_are_on_record(self, shopify: ShopifyStandIn, app: App) -> None:
        """Each call is kept with its operation, shop, variables and headers, in order."""
        await app.charge("first", token=await app.token())

        token, create = shopify.calls
        assert (token.operation, token.variables) == ("token", {"platform_account_id": OTHER_SHOP})
        assert (create.operation, create.shop, create.variables["name"]) == ("create", OTHER_SHOP, "first")
        assert create.headers["content-type"] == "application/json"


class TestTokens:
    async def test_a_token_opens_its_shop(self, shopify: ShopifyStandIn, app: App) -> None:
        """Charges under a token are its shop's, with pages on the domain the token was asked for."""
        payload = await app.create(token=await app.token(domain="pears.myshopify.com"))

        assert shopify.charges[payload["appPurchaseOneTime"]["id"]].shop == OTHER_SHOP
        assert payload["confirmationUrl"].startswith("https://pears.myshopify.com/admin/charges/")

    async def test_revoked_tokens_are_worthless(self, shopify: ShopifyStandIn, app: App) -> None:
        """Tokens given so far are 401 after a revocation; new ones and the static one open."""
        revoked = await app.token()
        shopify.revoke_tokens()
        fresh = await app.token()

        answers = [await app.ask(LOOK_UP, token=token, id="x") for token in (revoked, fresh, "shpat_sample")]

        assert [answer.status_code for answer in answers] == [401, 200, 200]

    async def test_a_token_runs_out(self, app: App, clock: FixedClock) -> None:
        """A token is 401 once the seconds of its `expires_in` have passed."""
        answer = (await app.http.get("/token", params={"platform_account_id": OTHER_SHOP})).json()

        clock.advance(timedelta(seconds=answer["expires_in"]))

        assert (await app.ask(LOOK_UP, token=answer["access_token"], id="x")).status_code == 401

    async def test_no_shop_no_token(self, app: App) -> None:
        """Who names no shop is refused."""
        answer = await app.http.get("/token")

        assert answer.status_code == 400
