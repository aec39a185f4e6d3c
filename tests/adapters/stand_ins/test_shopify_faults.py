"""The Shopify stand-in's faults: each one, in each operation, over real HTTP."""

from collections.abc import Awaitable, Callable

import httpx2
import pytest
from tests.adapters.stand_ins.shopify_app import CREATE, FIND, LOOK_UP, OTHER_SHOP, App

from billing_adapters.stand_ins.faults import Fault
from billing_adapters.stand_ins.shopify import ShopifyStandIn

OPERATIONS: dict[str, Callable[[App], Awaitable[httpx2.Response]]] = {
    "create": lambda app: app.ask(
        CREATE, name="x", price={"amount": "9.99", "currencyCode": "USD"}, returnUrl="https://app.example/back"
    ),
    "look_up": lambda app: app.ask(LOOK_UP, id="gid://shopify/AppPurchaseOneTime/1"),
    "find": lambda app: app.ask(FIND, first=10),
    "partner": lambda app: app.ask_partner(),
    "token": lambda app: app.http.get("/token", params={"platform_account_id": OTHER_SHOP}),
}
ADMIN_OPERATIONS = ("create", "look_up", "find")
each_operation = pytest.mark.parametrize("operation", OPERATIONS)


class TestFaults:
    @each_operation
    @pytest.mark.parametrize(
        ("fault", "status", "content_type"),
        [
            (Fault.TOO_MANY_REQUESTS, 429, "application/json"),
            (Fault.SERVER_ERROR, 500, "application/json"),
            (Fault.UNAUTHORIZED, 401, "application/json"),
            (Fault.HTML_BODY, 502, "text/html"),
            (Fault.HTML_SUCCESS, 200, "text/html"),
        ],
    )
    async def test_an_answer_goes_wrong_once(
        self, shopify: ShopifyStandIn, app: App, operation: str, fault: Fault, status: int, content_type: str
    ) -> None:
        """The planned answer comes once and makes nothing; the next call goes well."""
        shopify.faults.plan(fault, operation)

        wrong, right = await OPERATIONS[operation](app), await OPERATIONS[operation](app)

        assert (wrong.status_code, wrong.headers["content-type"].split(";")[0]) == (status, content_type)
        assert (right.status_code, "errors" in right.json()) == (200, False)
        assert len(shopify.charges) == (operation == "create")

    @each_operation
    async def test_429_says_how_long_in_fractions(self, shopify: ShopifyStandIn, app: App, operation: str) -> None:
        """Retry-After is a float, as Shopify sends it."""
        shopify.faults.plan(Fault.TOO_MANY_REQUESTS, operation)

        answer = await OPERATIONS[operation](app)

        assert answer.headers["Retry-After"] == "0.1"

    @pytest.mark.parametrize("operation", ADMIN_OPERATIONS)
    async def test_the_admin_api_throttles_inside_a_200(
        self, shopify: ShopifyStandIn, app: App, operation: str
    ) -> None:
        """THROTTLED is an error in a 200 without data, and the cost beside it says how long to wait."""
        shopify.faults.plan(Fault.THROTTLED, operation)

        answer = await OPERATIONS[operation](app)

        body = answer.json()
        cost = body["extensions"]["cost"]
        assert (answer.status_code, "data" in body) == (200, False)
        assert [error["extensions"]["code"] for error in body["errors"]] == ["THROTTLED"]
        assert cost["actualQueryCost"] is None
        assert cost["requestedQueryCost"] > cost["throttleStatus"]["currentlyAvailable"]
        assert shopify.charges == {}

    @pytest.mark.parametrize("operation", ["partner", "token"])
    async def test_elsewhere_slower_is_a_429_without_a_time(
        self, shopify: ShopifyStandIn, app: App, operation: str
    ) -> None:
        """The Partner API and the token's giver know no cost: theirs is a 429, here without Retry-After."""
        shopify.faults.plan(Fault.THROTTLED, operation)

        answer = await OPERATIONS[operation](app)

        assert (answer.status_code, "Retry-After" in answer.headers) == (429, False)

    @each_operation
    async def test_a_connection_that_breaks_does_nothing(
        self, shopify: ShopifyStandIn, app: App, operation: str
    ) -> None:
        """A reset breaks the connection before anything happens."""
        shopify.faults.plan(Fault.RESET, operation)

        with pytest.raises(httpx2.TransportError):
            await OPERATIONS[operation](app)

        assert shopify.charges == {}

    @each_operation
    async def test_a_timeout_does_nothing(self, shopify: ShopifyStandIn, app: App, operation: str) -> None:
        """A call that is never answered runs into the caller's own timeout, and makes nothing."""
        shopify.faults.plan(Fault.TIMEOUT, operation)
        app.http.timeout = httpx2.Timeout(0.2)

        with pytest.raises(httpx2.ReadTimeout):
            await OPERATIONS[operation](app)

        assert shopify.charges == {}

    @each_operation
    async def test_a_lost_answer_has_its_effect(self, shopify: ShopifyStandIn, app: App, operation: str) -> None:
        """The connection breaks after the work: a create has made its charge."""
        shopify.faults.plan(Fault.LOST_ANSWER, operation)

        with pytest.raises(httpx2.TransportError):
            await OPERATIONS[operation](app)

        assert [charge.status for charge in shopify.charges.values()] == ["PENDING"] * (operation == "create")

    @each_operation
    async def test_without_url_all_else_stands(self, shopify: ShopifyStandIn, app: App, operation: str) -> None:
        """A create without URL has made its charge; what has no URL to lose goes well."""
        shopify.faults.plan(Fault.NO_URL, operation)

        answer = await OPERATIONS[operation](app)

        assert (answer.status_code, "errors" in answer.json()) == (200, False)
        if operation == "create":
            payload = answer.json()["data"]["appPurchaseOneTimeCreate"]
            assert (payload["confirmationUrl"], payload["userErrors"]) == (None, [])
            assert payload["appPurchaseOneTime"]["id"] in shopify.charges
