"""Nobody who answers can lead a request of ours elsewhere."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.adapters.platforms.shopify.shop import ACCOUNT, GID, a_shopify_purchase, some_settings
from tests.adapters.platforms.stripe.account import ACCOUNT as STRIPE_ACCOUNT
from tests.adapters.platforms.stripe.account import open_platform

from billing_adapters.platforms.shopify import open_partner_refunds, open_shopify
from billing_adapters.stand_ins.serving import serving
from billing_core.errors import PlatformError
from billing_core.testing import MOMENT

REDIRECTS = (301, 302, 303, 307, 308)


class Leading:
    """A server that leads everybody to another one, which counts who came."""

    def __init__(self) -> None:
        self.status, self.asked, self.elsewhere = 302, 0, 0
        self.location = ""

    async def leads(self, request: web.Request) -> web.Response:
        """This will send away."""
        self.asked += 1
        return web.Response(status=self.status, headers={"Location": self.location, "Stripe-Should-Retry": "false"})

    async def counts(self, request: web.Request) -> web.Response:
        """This will count."""
        self.elsewhere += 1
        return web.json_response({"access_token": "stolen", "expires_in": 3600, "data": {}})


@pytest.fixture
async def leading() -> AsyncIterator[tuple[Leading, str]]:
    """It, and its address."""
    leading, first, second = Leading(), web.Application(), web.Application()
    first.router.add_route("*", "/{path:.*}", leading.leads)
    second.router.add_route("*", "/{path:.*}", leading.counts)
    async with serving(first) as url, serving(second) as elsewhere:
        leading.location = f"{elsewhere}/elsewhere"
        yield leading, url


class TestRedirects:
    """Nobody who answers can lead us elsewhere; for the issuer's keys see `tests/apps/http/test_jwks_over_https.py`."""

    @pytest.mark.parametrize("status", REDIRECTS)
    async def test_shopify_leads_nowhere(self, leading: tuple[Leading, str], status: int) -> None:
        """Neither its Admin API nor its Partner API nor the service of tokens."""
        server, url = leading
        server.status = status
        settings = some_settings(
            shopify_base_url=url, shopify_partner_base_url=url, shopify_partner_organization_id="1",
            shopify_partner_token="sample",
        )  # fmt: skip
        async with open_shopify(settings) as platform, open_partner_refunds(settings) as refunds:
            assert refunds is not None
            with pytest.raises(PlatformError):
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)
            with pytest.raises(PlatformError):
                await refunds.refunds(MOMENT)
        async with open_shopify(some_settings(shopify_token_url=url, shopify_base_url=url)) as platform:
            with pytest.raises(PlatformError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert server.asked >= 3
        assert server.elsewhere == 0

    @pytest.mark.parametrize("status", REDIRECTS)
    async def test_stripe_leads_nowhere(self, leading: tuple[Leading, str], status: int) -> None:
        """Its library follows nobody either."""
        server, url = leading
        server.status = status
        async with open_platform(url) as platform:
            with pytest.raises(PlatformError):
                await platform.look_up("cs_test_1", STRIPE_ACCOUNT, MOMENT)

        assert server.asked >= 1
        assert server.elsewhere == 0
