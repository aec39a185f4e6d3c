"""Stripe Checkout as a `PaymentPlatform`, on Stripe's official library.

The library is slow to import, so only what opens Stripe or checks its signatures imports it, and only when it does.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from billing_adapters.logs import get_logger
from billing_adapters.outbound import Destinations, checked_url
from billing_adapters.platforms.stripe_checkout.marks import NAME
from billing_adapters.settings import InvalidConfiguration, Settings

if TYPE_CHECKING:
    from billing_adapters.platforms.stripe_checkout.platform import StripePlatform

CHECKOUT_HOST = "checkout.stripe.com"
# Twice more after no answer, a 409 or a 5xx, with the same idempotency key, half a second to five seconds apart.
MAX_RETRIES = 2


@asynccontextmanager
async def open_stripe(settings: Settings) -> AsyncIterator["StripePlatform"]:
    """This will open Stripe for the account of `BILLING_STRIPE_SECRET_KEY`, and close its connections at the end.

    Without a key every call is a PlatformAuthError. Raises InvalidConfiguration where the key is none of Stripe's, or
    the address is none.
    """
    from stripe import DEFAULT_API_BASE, StripeClient

    from billing_adapters.platforms.stripe_checkout.calls import StripeCalls
    from billing_adapters.platforms.stripe_checkout.paced_http import PacedHttp
    from billing_adapters.platforms.stripe_checkout.platform import StripePlatform

    secret_key, test_mode = _secret_key(settings)
    base_url = checked_url("BILLING_STRIPE_BASE_URL", settings.stripe_base_url) or DEFAULT_API_BASE
    hosts = frozenset({CHECKOUT_HOST, *settings.stripe_checkout_hosts})
    if secret_key is None:
        get_logger(NAME).warning("platform.without_credentials", mend="set BILLING_STRIPE_SECRET_KEY")
        yield StripePlatform(StripeCalls(None), test_mode=test_mode, checkout_hosts=hosts)
        return
    http = PacedHttp(
        Destinations.of(base_url),
        timeout_s=settings.platform_timeout_s,
        requests_per_second=settings.stripe_requests_per_second,
    )
    try:
        client = StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")},
            http_client=http,
            max_network_retries=MAX_RETRIES,
        )
        yield StripePlatform(StripeCalls(client), test_mode=test_mode, checkout_hosts=hosts)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]  # the library leaves it so


def _secret_key(settings: Settings) -> tuple[str | None, bool]:
    """The secret (`sk_`) or restricted (`rk_`) key, where there is one, and whether it is one of the test mode."""
    if settings.stripe_secret_key is None:
        return None, True
    key = settings.stripe_secret_key.get_secret_value()
    shape = re.fullmatch(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]+", key)
    if shape is None:
        raise InvalidConfiguration(
            "BILLING_STRIPE_SECRET_KEY: set Stripe's secret key (sk_live_…, sk_test_…) or a restricted one (rk_…)"
        )
    return key, shape[1] == "test"
