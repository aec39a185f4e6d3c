"""Stripe, played by its stand-in over real HTTP, keeps every promise of a payment platform."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.platforms.stripe_checkout.platform import StripePlatform
from billing_adapters.settings import Settings
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import FixedClock
from billing_core.testing.contracts import PaymentPlatformContract


class StripeUnderTest:
    """Stripe as the contract drives it. A payment that is declined at the page leaves the page open, so the decline
    that ends a checkout is a delayed payment that failed."""

    def __init__(self, platform: StripePlatform, stripe: StripeStandIn) -> None:
        self.platform, self._stripe = platform, stripe
        self.account = PlatformAccount(platform_account_id="account-1", platform_domain=None)

    async def pay(self, reference: str) -> None:
        """See `PlatformUnderTest.pay`."""
        self._stripe.pay(reference)

    async def decline(self, reference: str) -> None:
        """See `PlatformUnderTest.decline`."""
        self._stripe.process(reference)
        self._stripe.fail(reference)

    async def expire(self, reference: str) -> None:
        """See `PlatformUnderTest.expire`."""
        self._stripe.expire(reference)

    def notice(self, reference: str) -> Mapping[str, Any]:
        """See `PlatformUnderTest.notice`."""
        return self._stripe.event(reference, "checkout.session.completed")


class TestStripe(PaymentPlatformContract):
    """In the test mode."""

    secret_key = "sk_test_sample"
    livemode = False

    @pytest.fixture
    async def platform_under_test(self) -> AsyncIterator[StripeUnderTest]:
        """A Stripe account without sessions, on loopback."""
        stripe = StripeStandIn(secret_key=self.secret_key, livemode=self.livemode, clock=FixedClock())
        async with stripe.open() as base_url:
            settings = Settings(
                _env_file=None,
                stripe_secret_key=self.secret_key,
                stripe_base_url=base_url,
                stripe_requests_per_second=100,
            )
            async with open_stripe(settings) as platform:
                yield StripeUnderTest(platform, stripe)


class TestStripeLive(TestStripe):
    """With live payments, by a restricted key."""

    secret_key = "rk_live_sample"
    livemode = True
