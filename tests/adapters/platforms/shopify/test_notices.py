"""What is read from Shopify's webhook body, which proves nothing and points at a charge."""

import copy
from typing import Any

import pytest
from tests.adapters.platforms.shopify.shop import ACCOUNT, a_shopify_purchase, opened

from billing_adapters.platforms.shopify.charges import charge_name
from billing_adapters.platforms.shopify.notices import read_charge_notice
from billing_adapters.stand_ins.shopify_schema import sample_notice
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Notice

FIELDS = ["admin_graphql_api_id", "admin_graphql_api_shop_id", "name", "status", "created_at", "updated_at"]


def a_body(**changes: Any) -> dict[str, Any]:
    """Shopify's own sample, approved, with changes."""
    body: dict[str, Any] = copy.deepcopy(dict(sample_notice()))
    body["app_purchase_one_time"] |= {"status": "ACTIVE"} | changes
    return body


class TestWhatIsUnderstood:
    """Bodies Shopify sends."""

    def test_the_vendors_sample_is_no_news(self) -> None:
        """It tells of a charge that waits for the merchant."""
        assert read_charge_notice(sample_notice()) is None

    @pytest.mark.parametrize("status", ["PENDING", "ACCEPTED", "pending", "Accepted"])
    def test_a_charge_that_waits_is_no_news(self, status: str) -> None:
        """Nothing about the purchase can have changed."""
        assert read_charge_notice(a_body(status=status)) is None

    @pytest.mark.parametrize("status", ["ACTIVE", "DECLINED", "EXPIRED", "active", "Expired"])
    def test_an_end_points_at_the_charge_and_its_shop(self, status: str) -> None:
        """By gid; without our reference in the name there is none."""
        assert read_charge_notice(a_body(status=status)) == Notice(
            platform_reference="gid://shopify/AppPurchaseOneTime/1017262364",
            platform_account_id="gid://shopify/Shop/548380009",
        )

    def test_the_name_tells_the_purchase(self) -> None:
        """So that a charge whose id we never heard is found all the same."""
        purchase = a_shopify_purchase()

        notice = read_charge_notice(a_body(name=charge_name(purchase)))

        assert notice is not None
        assert notice.purchase_reference == purchase.short_reference

    def test_what_else_stands_in_it_is_ignored(self) -> None:
        """Shopify may add fields."""
        body = {**a_body(charge_type="one_time"), "more": [1]}

        assert read_charge_notice(body) == read_charge_notice(a_body())

    async def test_the_notice_of_a_real_flow_is_understood(self) -> None:
        """Made by the platform, approved by the merchant, told by Shopify."""
        purchase = a_shopify_purchase()
        async with opened() as shop:
            checkout = await shop.platform.create_checkout(purchase, ACCOUNT)
            shop.shopify.approve(checkout.platform_reference)

            notice = shop.platform.read_notice(shop.shopify.notice(checkout.platform_reference))

        assert notice == Notice(
            platform_reference=checkout.platform_reference,
            purchase_reference=purchase.short_reference,
            platform_account_id=purchase.platform_account_id,
        )


class TestWhatIsMalformed:
    """Bodies Shopify cannot have sent."""

    @pytest.mark.parametrize("field", FIELDS)
    @pytest.mark.parametrize("value", [None, 7, True, [], {"x": 1}], ids=repr)
    def test_a_field_of_another_type(self, field: str, value: object) -> None:
        """Each field is a string, as the vendor's schema says."""
        with pytest.raises(MalformedMessage, match="payload/app_purchase_one_time"):
            read_charge_notice(a_body(**{field: value}))

    @pytest.mark.parametrize("field", FIELDS)
    def test_a_field_that_is_missing(self, field: str) -> None:
        """All of them are required by the vendor's schema."""
        body = a_body()
        del body["app_purchase_one_time"][field]

        with pytest.raises(MalformedMessage, match=field):
            read_charge_notice(body)

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "REFUNDED"},
            {"status": "ACTIVE "},
            {"status": ""},
            {"admin_graphql_api_id": ""},
            {"admin_graphql_api_id": "gid://shopify/AppSubscription/1"},
            {"admin_graphql_api_id": "gid://shopify/AppPurchaseOneTime/1\n"},
            {"admin_graphql_api_id": "gid://shopify/AppPurchaseOneTime/x"},
            {"admin_graphql_api_id": "1017262364"},
            {"admin_graphql_api_shop_id": "sample.myshopify.com"},
            {"created_at": "yesterday"},
            {"created_at": "2021-12-31T19:00:00"},
            {"updated_at": "2021-12-31"},
        ],
        ids=str,
    )
    def test_a_value_of_another_shape(self, change: dict[str, Any]) -> None:
        """Unknown statuses, ids of other things, times without a zone."""
        with pytest.raises(MalformedMessage):
            read_charge_notice(a_body(**change))

    @pytest.mark.parametrize("payload", [{}, {"app_purchase_one_time": []}, {"app_subscription": {}}], ids=str)
    def test_another_body(self, payload: dict[str, Any]) -> None:
        """Of another topic, or of nobody."""
        with pytest.raises(MalformedMessage):
            read_charge_notice(payload)
