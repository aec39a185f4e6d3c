"""Stripe opened from the settings."""

import asyncio
import subprocess
import sys

import pytest
from tests.adapters.platforms.stripe.account import (
    ACCOUNT,
    SECRET_KEY,
    SESSIONS,
    a_session,
    a_stripe_purchase,
    open_account,
    open_platform,
    open_written,
)

from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.settings import InvalidConfiguration, Settings
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.errors import PlatformAuthError, PlatformProtocolError, PlatformUnavailable
from billing_core.testing import MOMENT


class TestKeys:
    """The secret key."""

    async def test_without_a_key_every_call_says_what_is_missing(self) -> None:
        """The service runs for its other platforms; nothing is asked of Stripe."""
        async with open_stripe(Settings(_env_file=None, stripe_secret_key=None)) as platform:
            with pytest.raises(PlatformAuthError, match="BILLING_STRIPE_SECRET_KEY"):
                await platform.create_checkout(a_stripe_purchase(), ACCOUNT)
            with pytest.raises(PlatformAuthError, match="BILLING_STRIPE_SECRET_KEY"):
                await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

    @pytest.mark.parametrize("key", ["pk_test_sample", "sk_sample", "sk_org_sample", "sk_test_a b", "sk_live_x\n"])
    async def test_a_key_that_is_none_of_stripes_is_refused(self, key: str) -> None:
        """The variable is named, the key is not repeated."""
        with pytest.raises(InvalidConfiguration, match="BILLING_STRIPE_SECRET_KEY") as raised:
            async with open_stripe(Settings(_env_file=None, stripe_secret_key=key)):
                pass

        assert key not in str(raised.value)

    @pytest.mark.parametrize(
        ("key", "test_mode"),
        [("sk_test_a1", True), ("rk_test_a1", True), ("sk_live_a1", False), ("rk_live_a1", False)],
    )
    async def test_the_key_tells_the_mode(self, key: str, test_mode: bool) -> None:
        """Secret or restricted."""
        async with open_stripe(Settings(_env_file=None, stripe_secret_key=key)) as platform:
            assert platform.test_mode is test_mode


class TestPages:
    """Where a merchant may be sent to pay."""

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "",
            "checkout.stripe.com/c/pay",
            "http://checkout.stripe.com/c/pay",
            "https://checkout.stripe.com.evil.example/",
            "https://evil.example/checkout.stripe.com",
            "https://checkout.stripe.com@evil.example/",
            "https://merchant@checkout.stripe.com/",
            "https://checkout.stripe.com:8443/",
            "https://[/",
            "javascript:alert(1)",
        ],
    )
    async def test_any_other_page_is_refused(self, url: str | None) -> None:
        """A checkout exists, but nobody is sent anywhere."""
        async with open_written({SESSIONS: a_session(url=url)}) as (platform, _):
            with pytest.raises(PlatformProtocolError, match="without a page"):
                await platform.create_checkout(a_stripe_purchase(), ACCOUNT)

    async def test_a_checkout_domain_of_ones_own_is_accepted(self) -> None:
        """Where the settings name it."""
        url = "https://pay.shop.example/c/pay/cs_test_1"
        hosts = {"stripe_checkout_hosts": ("pay.shop.example",)}
        async with open_written({SESSIONS: a_session(url=url)}, **hosts) as (platform, _):
            checkout = await platform.create_checkout(a_stripe_purchase(), ACCOUNT)

        assert checkout.url == url

    async def test_a_session_without_an_id_is_refused(self) -> None:
        """It could never be asked about."""
        session = {name: value for name, value in a_session().items() if name != "id"}
        async with open_written({SESSIONS: session}) as (platform, _):
            with pytest.raises(PlatformProtocolError):
                await platform.create_checkout(a_stripe_purchase(), ACCOUNT)


class TestOpening:
    """The connection."""

    async def test_it_is_closed_at_the_end(self) -> None:
        """Then no call goes through any more."""
        stripe = StripeStandIn(secret_key=SECRET_KEY)
        async with stripe.open() as base_url:
            async with open_platform(base_url) as platform:
                pass

            with pytest.raises(PlatformUnavailable):
                await platform.look_up("cs_test_1", ACCOUNT, MOMENT)
            assert stripe.calls == ()

    async def test_calls_keep_to_the_configured_pace(self) -> None:
        """The second of two calls is not sent before its time, which here is 100 seconds later."""
        async with open_account(stripe_requests_per_second=0.01) as account:
            await account.sell()

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await account.sell()
            assert len(account.stripe.calls) == 1

    def test_the_library_is_not_imported_before(self) -> None:
        """What does not use Stripe starts without it: half a second."""
        code = (
            "import sys; from billing_adapters.platforms import stripe_checkout;"
            "from billing_adapters.platforms.stripe_checkout import notices, requests, signature;"
            "sys.exit('stripe' in sys.modules)"
        )

        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
