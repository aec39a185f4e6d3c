"""Billing on a real adapter, which talks over real HTTP to a platform's stand-in that can be told to misbehave."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from billing_adapters.platforms.shopify import open_shopify
from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.faults import Faults
from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.testing import FixedClock, InMemoryBilling, a_merchant, a_purchase_updated
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.inbound import Outcome

TIMEOUT_S = 1.0
# Stripe's library tries twice more by itself, under each of our keys: a fault that should be seen befalls every try.
EVERY_TRY = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Billing, one platform of it, and a hand on what its customers and its network do."""

    billing: InMemoryBilling
    platform: str
    faults: Faults
    find: str
    pay: Callable[[str], None]
    payload: Callable[[str], Mapping[str, Any]]
    account: str

    def fault(self, fault: Any, operation: str) -> None:
        """This will befall every try of the operation until `calm`."""
        self.faults.plan(fault, operation, times=EVERY_TRY)

    def calm(self) -> None:
        """This will let everything go well again."""
        self.faults.clear()

    async def notify(self, reference: str, *, attempt: int = 1) -> Outcome:
        """This will deliver a new notice about the payment, and tell what became of it."""
        notice = a_purchase_updated(platform=self.platform, payload=dict(self.payload(reference)), attempt=attempt)
        (outcome,) = await self.billing.handle_webhooks([notice])
        return outcome

    async def merchant(self) -> Caller:
        """This will announce a merchant of the platform."""
        merchant = a_merchant(
            platform=self.platform, platform_account_id=self.account, platform_domain="sample.myshopify.com"
        )
        return await self.billing.register(merchant)

    @property
    def credits(self) -> list[int]:
        """The credits of each credits.purchased so far."""
        rows = [row.event for row in self.billing.storage.tables.outbox.values()]
        told = [json.loads(event.body) for event in rows if event.type == "evt.billing.credits.purchased"]
        return [event["data"]["credits"] for event in told]


@asynccontextmanager
async def shopify_play() -> AsyncIterator[Play]:
    """This will play Billing on Shopify."""
    clock = FixedClock(datetime.now(UTC))
    shopify = ShopifyStandIn(clock=clock)
    async with shopify.open() as url:
        settings = Settings(
            _env_file=None,
            shopify_base_url=url,
            shopify_token_url=f"{url}/token",
            platform_timeout_s=TIMEOUT_S,
        )
        async with open_shopify(settings) as platform:
            yield Play(
                billing=InMemoryBilling(platforms=[cast("Any", platform)], clock=clock),
                platform=platform.name,
                faults=shopify.faults,
                find="find",
                pay=shopify.approve,
                payload=shopify.notice,
                account="gid://shopify/Shop/548380009",
            )


@asynccontextmanager
async def stripe_play() -> AsyncIterator[Play]:
    """This will play Billing on Stripe."""
    clock = FixedClock(datetime.now(UTC))
    stripe = StripeStandIn(clock=clock)
    async with stripe.open() as url:
        settings = Settings(
            _env_file=None,
            stripe_secret_key="sk_test_sample",
            stripe_base_url=url,
            stripe_requests_per_second=100,
            platform_timeout_s=TIMEOUT_S,
        )
        async with open_stripe(settings) as platform:
            yield Play(
                billing=InMemoryBilling(platforms=[cast("Any", platform)], clock=clock),
                platform=platform.name,
                faults=stripe.faults,
                find="list",
                pay=stripe.pay,
                payload=lambda reference: stripe.event(reference, "checkout.session.completed"),
                account="account-1",
            )


PLAYS: Mapping[str, Callable[[], AbstractAsyncContextManager[Play]]] = {
    "shopify": shopify_play,
    "stripe": stripe_play,
}
