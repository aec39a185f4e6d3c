"""What is read of Shopify's compliance webhooks: the shop, and nothing of its customers."""

from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.platforms.shopify.shop import ACCOUNT, Script, a_shopify_purchase, scripted_platform

from billing_adapters.platforms.shopify.privacy import PRIVACY_TOPICS, read_shop
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.errors import MalformedMessage, PlatformAuthError
from billing_core.ports.platforms import AsksForPrivacy, PrivacyTopic

# As Shopify's documentation shows it.
CUSTOMERS_REDACT = {
    "shop_id": 954889,
    "shop_domain": "{shop}.myshopify.com",
    "customer": {"id": 191167, "email": "john@example.com", "phone": "555-625-1199"},
    "orders_to_redact": [299938, 280263, 220458],
}


def test_the_shop_is_named_by_its_gid() -> None:
    """As it is announced, and as it stands in every other body of Shopify's."""
    assert read_shop(CUSTOMERS_REDACT) == "gid://shopify/Shop/954889"


@pytest.mark.parametrize(
    "body", [{}, {"shop_id": "954889"}, {"shop_id": 0}, {"shop_id": -1}, {"shop_id": 10**20}, {"shop_id": True}]
)
def test_what_names_no_shop_is_malformed(body: dict[str, Any]) -> None:
    """Whatever else it tells."""
    with pytest.raises(MalformedMessage, match="payload/shop_id"):
        read_shop({**CUSTOMERS_REDACT, "shop_id": None, **body})


async def test_it_asks_under_the_three_topics_of_its_own() -> None:
    """And under no other."""
    async with scripted_platform(Script()) as platform:
        assert isinstance(platform, AsksForPrivacy)
        assert platform.privacy_topics == PRIVACY_TOPICS
        assert platform.read_shop({"shop_id": 1}) == "gid://shopify/Shop/1"
        assert platform.needs_domain

    assert PRIVACY_TOPICS == {
        "customers/data_request": PrivacyTopic.CUSTOMER_DATA,
        "customers/redact": PrivacyTopic.CUSTOMER_REDACTION,
        "shop/redact": PrivacyTopic.SHOP_REDACTION,
    }


async def test_about_a_redacted_shop_nobody_can_ask() -> None:
    """Nothing is sent anywhere, and the error says why."""
    gone = Pseudonyms(b"k" * 32).of_account("shopify", ACCOUNT.platform_account_id)
    account, script = replace(ACCOUNT, platform_account_id=gone, platform_domain=None), Script()

    async with scripted_platform(script) as platform:
        with pytest.raises(PlatformAuthError, match="was redacted"):
            await platform.create_checkout(a_shopify_purchase(), account)

    assert script.requests == []
