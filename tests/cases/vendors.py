"""Billing in memory on a vendor's real adapter, which talks over real HTTP to the vendor's stand-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from billing_adapters.platforms.shopify import open_shopify
from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.domain.merchants import Merchant
from billing_core.testing import FixedClock, InMemoryBilling, a_merchant

SHOP = "gid://shopify/Shop/1"
OTHER_SHOP = "gid://shopify/Shop/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnShopify:
    """Billing that sells through Shopify."""

    billing: InMemoryBilling
    shopify: ShopifyStandIn


@dataclass(frozen=True, slots=True, kw_only=True)
class OnStripe:
    """Billing that sells through Stripe."""

    billing: InMemoryBilling
    stripe: StripeStandIn


def a_shop(merchant_id: str | None = None, *, gid: str = SHOP) -> Merchant:
    """A merchant of Shopify's; the same shop under another id, where one is given."""
    domain = f"shop-{gid.rpartition('/')[2]}.myshopify.com"
    return a_merchant(merchant_id, platform="shopify", platform_account_id=gid, platform_domain=domain)


@asynccontextmanager
async def on_shopify(**values: Any) -> AsyncIterator[OnShopify]:
    """This will open Billing on Shopify; each shop's token comes from a token service."""
    clock = FixedClock()
    shopify = ShopifyStandIn(clock=clock)
    async with shopify.open() as url:
        settings = Settings(_env_file=None, shopify_base_url=url, shopify_token_url=f"{url}/token", **values)
        async with open_shopify(settings) as platform:
            # What the wiring wants of a scripted platform, any platform has.
            billing = InMemoryBilling(platforms=[cast("Any", platform)], clock=clock)
            yield OnShopify(billing=billing, shopify=shopify)


@asynccontextmanager
async def on_stripe() -> AsyncIterator[OnStripe]:
    """This will open Billing on Stripe."""
    clock = FixedClock()
    stripe = StripeStandIn(clock=clock)
    async with stripe.open() as url:
        settings = Settings(
            _env_file=None, stripe_secret_key="sk_test_sample", stripe_base_url=url, stripe_requests_per_second=100
        )
        async with open_stripe(settings) as platform:
            billing = InMemoryBilling(platforms=[cast("Any", platform)], clock=clock)
            yield OnStripe(billing=billing, stripe=stripe)
