"""Shops' tokens: configured, or asked for, kept while they live, and asked for again when refused."""

import asyncio
from typing import Any

import httpx2
import pytest
from tests.adapters.platforms.shopify.shop import (
    ACCOUNT,
    GID,
    Hand,
    Script,
    a_shopify_purchase,
    opened,
    scripted,
    scripted_platform,
    some_settings,
    told,
)

from billing_adapters.platforms.shopify import open_shopify
from billing_adapters.platforms.shopify import tokens as adapter
from billing_adapters.platforms.shopify.tokens import TokenService
from billing_adapters.platforms.shopify.wire import Wire
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT

URL = "https://tokens.example/shopify?purpose=billing"
SAMPLE = "shpat_1"
ANOTHER = PlatformAccount(platform_account_id="gid://shopify/Shop/2", platform_domain=None)


def given(access_token: str = SAMPLE, expires_in: Any = 3600) -> httpx2.Response:
    """A token service's answer."""
    return httpx2.Response(200, json={"access_token": access_token, "expires_in": expires_in})


class TestStaticToken:
    """The one of the configuration."""

    async def test_it_has_no_successor(self) -> None:
        """Where Shopify refuses it an operator must act; Shopify is not asked twice."""
        script = Script(httpx2.Response(401))
        async with scripted_platform(script) as platform:
            with pytest.raises(PlatformAuthError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert len(script.requests) == 1

    async def test_without_any_token_nothing_is_asked(self) -> None:
        """It is told as what it is: credentials that are missing."""
        settings = some_settings(shopify_access_token=None, shopify_base_url="http://127.0.0.1:1")
        async with open_shopify(settings) as platform:
            with pytest.raises(PlatformAuthError, match="no token"):
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"shopify_access_token": "shpat_1\n"},
            {"shopify_access_token": "shpat_é"},
            {"shopify_access_token": ""},
            {"shopify_base_url": "shop.example"},
            {"shopify_base_url": "ftp://shop.example"},
            {"shopify_token_url": "https://"},
            {"shopify_token_url": "https://tokens.example/ x"},
        ],
        ids=str,
    )
    async def test_what_cannot_work_is_refused_at_the_start(self, wrong: dict[str, str]) -> None:
        """Naming the variable, and not the token."""
        (variable,) = wrong

        with pytest.raises(InvalidConfiguration, match=f"BILLING_{variable.upper()}") as refused:
            async with open_shopify(some_settings(**wrong)):
                pass

        assert "shpat_" not in str(refused.value)


class TestTokenService:
    """Those asked for."""

    async def test_it_is_asked_for_the_shop(self) -> None:
        """By account and domain, beside whatever stands in the configured address."""
        script = Script(given())
        async with scripted(script) as wire:
            assert await TokenService(wire, URL).token(ACCOUNT) == "shpat_1"

        (request,) = script.requests
        assert request.method == "GET"
        assert dict(request.url.params) == {
            "purpose": "billing",
            "platform_account_id": "gid://shopify/Shop/1",
            "domain": "shop-1.myshopify.com",
        }

    async def test_a_token_is_kept_until_shortly_before_it_expires(self) -> None:
        """For each account its own."""
        script, hand = Script(given("a"), given("b"), given("c")), Hand()
        async with scripted(script) as wire:
            service = TokenService(wire, URL, monotonic_s=hand)
            first = [await service.token(ACCOUNT), await service.token(ANOTHER)]
            hand.at_s += 3600 - adapter.EXPIRY_MARGIN_S - 1
            kept = [await service.token(ACCOUNT), await service.token(ANOTHER)]
            hand.at_s += 1

            assert first == kept == ["a", "b"]
            assert await service.token(ACCOUNT) == "c"

    async def test_a_short_life_is_used(self) -> None:
        """The margin is never more than a tenth of it."""
        hand = Hand()
        async with scripted(Script(given("a", 10), given("b", 10))) as wire:
            service = TokenService(wire, URL, monotonic_s=hand)
            first = await service.token(ACCOUNT)
            hand.at_s += 8.9

            assert await service.token(ACCOUNT) == first == "a"

    async def test_many_at_once_ask_once(self) -> None:
        """The answer is everybody's."""
        script = Script(given())
        async with scripted(script) as wire:
            service = TokenService(wire, URL)

            answers = await asyncio.gather(*(service.token(ACCOUNT) for _ in range(20)))

        assert answers == ["shpat_1"] * 20

    async def test_a_failure_is_everybodys_and_not_kept(self) -> None:
        """The next one asks anew."""
        script = Script(httpx2.Response(500), given())
        async with scripted(script) as wire:
            service = TokenService(wire, URL)

            failures = await asyncio.gather(*(service.token(ACCOUNT) for _ in range(3)), return_exceptions=True)

            assert [type(each) for each in failures] == [PlatformUnavailable] * 3
            assert await service.token(ACCOUNT) == "shpat_1"

    async def test_one_that_gives_up_takes_nobody_with_it(self) -> None:
        """The caller that asked first is cancelled; the others get their token."""
        async with scripted(Script(given())) as wire:
            service = TokenService(wire, URL)
            impatient, patient = [asyncio.create_task(service.token(ACCOUNT)) for _ in range(2)]
            await asyncio.sleep(0)
            impatient.cancel()

            assert await patient == "shpat_1"
            assert impatient.cancelled()

    async def test_the_cache_is_bounded(self) -> None:
        """The one asked for longest ago makes room."""
        async with scripted(Script(given("a"), given("b"), given("c"))) as wire:
            service = TokenService(wire, URL, max_cached=1)

            assert [await service.token(each) for each in (ACCOUNT, ANOTHER, ACCOUNT)] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("step", "error"),
        [
            (httpx2.ConnectTimeout("late"), PlatformUnavailable),
            (httpx2.Response(500), PlatformUnavailable),
            (httpx2.Response(429, headers={"Retry-After": "3"}), PlatformThrottled),
            (httpx2.Response(401), PlatformAuthError),
            (httpx2.Response(404), PlatformAuthError),
            (httpx2.Response(302, headers={"Location": "https://evil.example"}), PlatformProtocolError),
            (httpx2.Response(200, text="<html>"), PlatformProtocolError),
            (httpx2.Response(200, json=["shpat_1"]), PlatformProtocolError),
            (httpx2.Response(200, json={"access_token": "shpat_1"}), PlatformProtocolError),
            (given(""), PlatformProtocolError),
            (given("shpat_1\r\nX-Other: 1"), PlatformProtocolError),
            (given("shpat_é"), PlatformProtocolError),
            (given(expires_in=0), PlatformProtocolError),
            (given(expires_in="3600"), PlatformProtocolError),
            (given(expires_in=True), PlatformProtocolError),
            (httpx2.Response(200, content=b'{"access_token": "a", "expires_in": NaN}'), PlatformProtocolError),
        ],
        ids=range(16),
    )
    async def test_its_troubles_have_our_words(
        self, step: httpx2.Response | Exception, error: type[PlatformError]
    ) -> None:
        """Whatever it answers, the error is one of the tree and tells no token."""
        async with scripted(Script(step)) as wire:
            with pytest.raises(PlatformError) as failure:
                await TokenService(wire, URL).token(ACCOUNT)

        assert type(failure.value) is error
        assert "shpat_" not in str(failure.value)

    async def test_closing_ends_what_is_being_asked(self) -> None:
        """Nothing is left behind."""
        asked = asyncio.Event()

        async def never(request: httpx2.Request) -> httpx2.Response:
            asked.set()
            return await asyncio.Future[httpx2.Response]()

        async with httpx2.AsyncClient(transport=httpx2.MockTransport(never)) as client:
            service = TokenService(Wire(client, timeout_s=60), URL)
            asking = asyncio.create_task(service.token(ACCOUNT))
            await asked.wait()
            await service.close()

            with pytest.raises(asyncio.CancelledError):
                await asking

    async def test_a_shop_whose_service_is_throttled_is_left_alone(self) -> None:
        """As if Shopify had said so."""
        script, hand = Script(httpx2.Response(429, headers={"Retry-After": "3"}), given(), told()), Hand()
        async with (
            scripted(script) as wire,
            scripted_platform(script, tokens=TokenService(wire, URL), hand=hand) as platform,
        ):
            for _ in range(2):
                with pytest.raises(PlatformThrottled):
                    await platform.look_up(GID, ACCOUNT, MOMENT)
            hand.at_s += 3.0

            assert await platform.look_up(GID, ACCOUNT, MOMENT) is not None


class TestRenewal:
    """A token Shopify refuses."""

    async def test_a_revoked_token_is_replaced_at_once(self) -> None:
        """Asked for again, and what was wanted is done, a create too: a refused one had no effect."""
        shopify = ShopifyStandIn()
        async with shopify.open() as base_url:
            settings = some_settings(shopify_base_url=base_url, shopify_token_url=f"{base_url}/token")
            async with open_shopify(settings) as platform:
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)
                shopify.revoke_tokens()

                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

        assert len(shopify.charges) == 2
        assert [call.operation for call in shopify.calls] == ["token", "create", "create", "token", "create"]

    async def test_a_second_refusal_is_final(self) -> None:
        """One renewal for one call."""
        script = Script(given("a"), httpx2.Response(401), given("b"), httpx2.Response(401))
        async with scripted(script) as wire:
            service = TokenService(wire, URL)
            async with scripted_platform(script, tokens=service) as platform:
                with pytest.raises(PlatformAuthError):
                    await platform.look_up(GID, ACCOUNT, MOMENT)

        assert [request.headers.get("X-Shopify-Access-Token") for request in script.requests] == [None, "a", None, "b"]

    async def test_what_another_call_renewed_is_used(self) -> None:
        """The refused one is not the one that is kept any more."""
        async with scripted(Script(given("a"), given("b"))) as wire:
            service = TokenService(wire, URL)
            await service.token(ACCOUNT)

            renewed = [await service.renewed(ACCOUNT, refused="a") for _ in range(2)]

        assert renewed == ["b", "b"]

    async def test_a_static_deployment_works_without_a_service(self) -> None:
        """Only the shop is asked."""
        async with opened() as shop:
            await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)

            assert [call.operation for call in shop.shopify.calls] == ["create"]
        async with scripted_platform(Script(told())) as platform:
            assert await platform.look_up(GID, ACCOUNT, MOMENT) is not None
