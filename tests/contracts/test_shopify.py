"""Shopify, played by its stand-in over real HTTP, keeps every promise of a payment platform."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from billing_adapters.platforms.shopify import ShopifyPlatform, open_shopify
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import FixedClock
from billing_core.testing.contracts import PaymentPlatformContract


class ShopifyUnderTest:
    """Shopify as the contract drives it; its shops' tokens come from the stand-in's token service."""

    def __init__(self, platform: ShopifyPlatform, shopify: ShopifyStandIn) -> None:
        self.platform, self._shopify = platform, shopify
        self.account = PlatformAccount(
            platform_account_id="gid://shopify/Shop/548380009", platform_domain="sample.myshopify.com"
        )

    async def pay(self, reference: str) -> None:
        """See `PlatformUnderTest.pay`."""
        self._shopify.approve(reference)

    async def decline(self, reference: str) -> None:
        """See `PlatformUnderTest.decline`."""
        self._shopify.decline(reference)

    async def expire(self, reference: str) -> None:
        """See `PlatformUnderTest.expire`."""
        self._shopify.expire(reference)

    def notice(self, reference: str) -> Mapping[str, Any]:
        """See `PlatformUnderTest.notice`. A charge that waits for the merchant is no news, so it is approved."""
        if self._shopify.charges[reference].status == "PENDING":
            self._shopify.approve(reference)
        return self._shopify.notice(reference)


class TestShopify(PaymentPlatformContract):
    """With live charges."""

    is_idempotent = False
    test_charges = False

    @pytest.fixture
    async def platform_under_test(self) -> AsyncIterator[ShopifyUnderTest]:
        """A Shopify without charges, on loopback."""
        shopify = ShopifyStandIn(clock=FixedClock())
        async with shopify.open() as base_url:
            settings = Settings(
                _env_file=None,
                shopify_base_url=base_url,
                shopify_token_url=f"{base_url}/token",
                shopify_test_charges=self.test_charges,
            )
            async with open_shopify(settings) as platform:
                yield ShopifyUnderTest(platform, shopify)


class TestShopifyWithTestCharges(TestShopify):
    """With charges that Shopify never bills."""

    test_charges = True
