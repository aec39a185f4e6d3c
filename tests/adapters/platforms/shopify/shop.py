"""A shop for the tests of the Shopify adapter: behind the stand-in, or with answers written down beforehand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from billing_adapters.platforms.shopify import ShopifyPlatform, open_shopify
from billing_adapters.platforms.shopify.admin_api import AdminApi
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.tokens import StaticToken, Tokens
from billing_adapters.platforms.shopify.wire import Wire
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import FixedClock, a_merchant, a_purchase

TOKEN = "shpat_sample"
ACCOUNT = PlatformAccount(platform_account_id="gid://shopify/Shop/1", platform_domain="shop-1.myshopify.com")
GID = "gid://shopify/AppPurchaseOneTime/1017262364"


def some_settings(**values: Any) -> Settings:
    """Settings of a deployment that sells through Shopify."""
    defaults: dict[str, Any] = {"platforms": ("shopify",), "shopify_access_token": TOKEN, "platform_timeout_s": 5.0}
    return Settings(_env_file=None, **defaults | values)


def a_shopify_purchase(**values: Any) -> Purchase:
    """A purchase of this module's account that has no checkout yet."""
    merchant = a_merchant(
        platform="shopify",
        platform_account_id=ACCOUNT.platform_account_id,
        platform_domain=ACCOUNT.platform_domain,
    )
    return a_purchase(merchant, **{"status": PurchaseStatus.CREATED} | values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The platform, the stand-in it talks to, that one's clock, and where it listens."""

    platform: ShopifyPlatform
    shopify: ShopifyStandIn
    clock: FixedClock
    base_url: str


@asynccontextmanager
async def opened(**values: Any) -> AsyncIterator[Opened]:
    """This will open the platform against a stand-in whose clock stands at MOMENT, over real HTTP."""
    clock = FixedClock()
    shopify = ShopifyStandIn(static_token=TOKEN, clock=clock)
    async with (
        shopify.open() as base_url,
        open_shopify(some_settings(shopify_base_url=base_url, **values)) as platform,
    ):
        yield Opened(platform=platform, shopify=shopify, clock=clock, base_url=base_url)


class Hand:
    """A clock hand that moves when told."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        """Where it stands, in seconds."""
        return self.at_s


Step = httpx2.Response | Exception


class Script:
    """Answers in the order they were written down, and the requests they were given to."""

    def __init__(self, *steps: Step) -> None:
        self._steps, self.requests = list(steps), list[httpx2.Request]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """The next answer; an exception where that is what stands there."""
        self.requests.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Wire]:
    """A wire that is answered by a script."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(script)) as client:
        yield Wire(client, timeout_s=5.0)


@asynccontextmanager
async def scripted_platform(
    script: Script, *, tokens: Tokens | None = None, hand: Hand | None = None
) -> AsyncIterator[ShopifyPlatform]:
    """The platform, answered by a script, for shops at their own domains."""
    async with scripted(script) as wire:
        api = AdminApi(
            wire,
            tokens or StaticToken(TOKEN),
            api_version="2026-10",
            base_url=None,
            throttles=Throttles(monotonic_s=hand or Hand()),
        )
        yield ShopifyPlatform(api, test_mode=False)


def created(**changes: Any) -> httpx2.Response:
    """Shopify's answer to a charge that was made, with changes."""
    payload: Mapping[str, Any] = {
        "appPurchaseOneTime": {"id": GID},
        "confirmationUrl": "https://shop-1.myshopify.com/admin/charges/1/confirm?signature=sample",
        "userErrors": [],
    }
    return httpx2.Response(200, json={"data": {"appPurchaseOneTimeCreate": {**payload, **changes}}})


def told(**changes: Any) -> httpx2.Response:
    """Shopify's answer to a question about one charge, with changes."""
    return httpx2.Response(200, json={"data": {"node": a_node(**changes)}})


def a_node(**changes: Any) -> dict[str, Any]:
    """A charge as Shopify tells it, with changes."""
    node = {
        "id": GID,
        "name": "1000 credits",
        "status": "ACTIVE",
        "test": False,
        "createdAt": "2026-03-02T09:30:15Z",
        "price": {"amount": "69.99", "currencyCode": "USD"},
    }
    return node | changes


def failed(code: str | None, **extensions: Any) -> httpx2.Response:
    """A refusal inside an HTTP 200."""
    error = {"message": "Refused", **({"extensions": {"code": code}} if code else {})}
    return httpx2.Response(200, json={"errors": [error], "extensions": extensions})
