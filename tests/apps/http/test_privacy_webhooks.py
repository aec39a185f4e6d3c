"""Shopify's compliance webhooks at the door."""

import json
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from structlog.testing import capture_logs
from tests.apps.http.door import Door, assert_problem, open_door
from tests.apps.http.vendors import (
    DELIVERY,
    SHOPIFY,
    a_body,
    knock,
    messages,
    open_settings,
    shopify_headers,
    some_billing,
)

from billing_adapters.platforms.shopify.privacy import PRIVACY_TOPICS

BODY = a_body()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A running app whose door is open to both vendors."""
    async with open_door(some_billing(), open_settings()) as opened:
        yield opened


class TestPrivacy:
    """Shopify's mandatory compliance webhooks."""

    CUSTOMER: ClassVar = {"id": 191167, "email": "joe@customer.example", "phone": "555-625-1199"}

    @pytest.mark.parametrize("topic", PRIVACY_TOPICS)
    async def test_each_is_passed_on_with_the_shop_alone(self, door: Door, topic: str) -> None:
        """What they tell of a shop's customers goes no further than this door."""
        asked = {"shop_id": 954889, "shop_domain": "janes-shop.myshopify.com", "customer": self.CUSTOMER}
        body = json.dumps({**asked, "orders_requested": [299938], "data_request": {"id": 9999}}).encode()

        answer = await knock(door, SHOPIFY, body, shopify_headers(body, X_Shopify_Topic=topic))

        (message,) = messages(door)
        assert (answer.status_code, answer.content) == (200, b"{}")
        assert (message["id"], message["type"]) == (f"shopify:{DELIVERY}", "evt.webhook.app.purchase_updated")
        assert (message["data"]["platform"], message["data"]["topic"]) == ("shopify", topic)
        assert message["data"]["payload"] == {"shop_id": 954889, "shop_domain": "janes-shop.myshopify.com"}
        assert "customer" not in door.billing.sender.sent[0].body.decode().replace(topic, "")

    @pytest.mark.parametrize("topic", PRIVACY_TOPICS)
    async def test_a_wrong_signature_is_401(self, door: Door, topic: str) -> None:
        """As Shopify's review demands; nothing is passed on."""
        body = b'{"shop_id": 954889}'

        answer = await knock(door, SHOPIFY, body, shopify_headers(body, secret="wrong", X_Shopify_Topic=topic))

        assert_problem(answer, 401, "UNAUTHENTICATED")
        assert messages(door) == []

    async def test_one_that_names_no_shop_is_passed_on_to_be_looked_at(self, door: Door) -> None:
        """A shop waits to be redacted: the consumer parks it."""
        body = b'{"surprise": true}'

        answer = await knock(door, SHOPIFY, body, shopify_headers(body, X_Shopify_Topic="shop/redact"))

        assert (answer.status_code, messages(door)[0]["data"]["payload"]) == (200, {})

    async def test_with_nats_away_shopify_sends_it_again(self, door: Door) -> None:
        """Nothing is acknowledged that nobody will do."""
        door.billing.sender.is_down = True
        body = b'{"shop_id": 954889}'

        answer = await knock(door, SHOPIFY, body, shopify_headers(body, X_Shopify_Topic="shop/redact"))

        assert_problem(answer, 503, "SERVICE_UNAVAILABLE")

    async def test_neither_shop_nor_customer_is_logged(self, door: Door) -> None:
        """Only what was delivered, and what became of it."""
        body = json.dumps({"shop_id": 954889, "shop_domain": "janes-shop.example", "customer": self.CUSTOMER}).encode()
        headers = shopify_headers(body, X_Shopify_Topic="shop/redact", X_Shopify_Shop_Domain="janes-shop.example")

        with capture_logs() as lines:
            await knock(door, SHOPIFY, body, headers)
            await knock(door, SHOPIFY, BODY, shopify_headers(BODY, X_Shopify_Shop_Domain="janes-shop.example"))
            door.billing.sender.is_down = True
            await knock(door, SHOPIFY, BODY, shopify_headers(BODY, X_Shopify_Shop_Domain="janes-shop.example"))

        assert [each["topic"] for each in lines if each["event"] == "webhook"][:1] == ["shop/redact"]
        assert [word for word in ("janes-shop", "joe@", "954889") if word in repr(lines)] == []

    @pytest.mark.parametrize(
        ("domain", "told"), [("janes-shop.myshopify.com", "janes-shop.myshopify.com"), ("a b", None), (None, None)]
    )
    async def test_a_notice_says_where_its_shop_is(self, door: Door, domain: str | None, told: str | None) -> None:
        """By which a shop can still be asked about whose domain is kept no more."""
        await knock(door, SHOPIFY, BODY, shopify_headers(BODY, X_Shopify_Shop_Domain=domain))

        assert messages(door)[0]["data"].get("platform_domain") == told
