"""A Stripe account for the tests of its adapter: played by the stand-in, or with answers written down beforehand."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web

from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.platforms.stripe_checkout.platform import StripePlatform
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.serving import serving
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT, FixedClock, a_merchant, a_purchase

SECRET_KEY = "sk_test_sample"
ACCOUNT = PlatformAccount(platform_account_id="account-1", platform_domain=None)
SESSIONS = "/v1/checkout/sessions"


def a_stripe_purchase(**values: Any) -> Purchase:
    """A purchase of this file's account whose checkout is not made yet."""
    merchant = a_merchant(platform="stripe", platform_account_id=ACCOUNT.platform_account_id)
    fixed = {"status": PurchaseStatus.CREATED, "expires_at": MOMENT + timedelta(hours=23)}
    return a_purchase(merchant, **fixed | values)


def a_session(**values: Any) -> dict[str, Any]:
    """The body of one of our sessions, open; `values` replace or add fields."""
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "mode": "payment",
        "livemode": False,
        "status": "open",
        "payment_status": "unpaid",
        "amount_total": 6999,
        "currency": "usd",
        "client_reference_id": "purchase-1",
        "metadata": {"platform_account_id": ACCOUNT.platform_account_id, "reference": "CP-" + "A" * 20},
        "payment_intent": None,
        "url": "https://checkout.stripe.com/c/pay/cs_test_1",
    } | values


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A platform and the Stripe account behind it."""

    platform: StripePlatform
    stripe: StripeStandIn

    async def sell(self) -> str:
        """This will make the checkout of a new purchase and give its reference."""
        return (await self.platform.create_checkout(a_stripe_purchase(), ACCOUNT)).platform_reference

    async def report(self, reference: str) -> PaymentReport:
        """How the payment stands."""
        report = await self.platform.look_up(reference, ACCOUNT, MOMENT)
        assert report is not None
        return report


@asynccontextmanager
async def open_platform(base_url: str, **settings: Any) -> AsyncIterator[StripePlatform]:
    """A platform that takes `base_url` for Stripe."""
    fixed: dict[str, Any] = {
        "stripe_secret_key": SECRET_KEY,
        "stripe_base_url": base_url,
        "stripe_requests_per_second": 100,
    }
    async with open_stripe(Settings(_env_file=None, **fixed | settings)) as platform:
        yield platform


@asynccontextmanager
async def open_account(*, retry_after_s: int = 1, **settings: Any) -> AsyncIterator[Account]:
    """A platform on an account of the stand-in's."""
    stripe = StripeStandIn(secret_key=SECRET_KEY, clock=FixedClock(), retry_after_s=retry_after_s)
    async with stripe.open() as base_url, open_platform(base_url, **settings) as platform:
        yield Account(platform=platform, stripe=stripe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An answer written down beforehand. Stripe's library is told not to try again."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer as it is sent."""
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Stripe-Should-Retry": "false", "Request-Id": "req_1", **self.headers}
        return web.Response(status=self.status, body=raw, headers=headers, content_type="application/json")


@asynccontextmanager
async def open_written(answers: Mapping[str, Any], **settings: Any) -> AsyncIterator[tuple[StripePlatform, list[str]]]:
    """A platform whose Stripe has one answer a path (`*` for any other), or an iterator of them, and the paths it was
    asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        told = answers.get(request.path, answers.get("*", Written(status=404, body={"error": {"code": "no_answer"}})))
        told = next(told) if isinstance(told, Iterator) else told
        return (told if isinstance(told, Written) else Written(body=told)).response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app) as base_url, open_platform(base_url, **settings) as platform:
        yield platform, asked
