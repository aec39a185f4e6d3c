"""Shopify: charges through its Admin API, refunds through its Partner API."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from billing_adapters.logs import get_logger
from billing_adapters.outbound import Destinations, checked_url
from billing_adapters.platforms.shopify.admin_api import AdminApi
from billing_adapters.platforms.shopify.partner_api import ShopifyRefunds
from billing_adapters.platforms.shopify.platform import ShopifyPlatform
from billing_adapters.platforms.shopify.shapes import NAME
from billing_adapters.platforms.shopify.signature import verify_shopify_signature
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.tokens import TOKEN_PATTERN, StaticToken, Tokens, TokenService
from billing_adapters.platforms.shopify.wire import Wire, open_wire
from billing_adapters.settings import InvalidConfiguration, Settings

__all__ = ["ShopifyPlatform", "ShopifyRefunds", "open_partner_refunds", "open_shopify", "verify_shopify_signature"]

PARTNER_BASE_URL = "https://partners.shopify.com"


@asynccontextmanager
async def open_shopify(settings: Settings) -> AsyncIterator[ShopifyPlatform]:
    """This will give Shopify as a payment platform, over one HTTP client that is closed at the end.

    Tokens come from `BILLING_SHOPIFY_TOKEN_URL` where it is set, else from `BILLING_SHOPIFY_ACCESS_TOKEN`. Raises
    InvalidConfiguration.
    """
    base_url = checked_url("BILLING_SHOPIFY_BASE_URL", settings.shopify_base_url)
    token_url = checked_url("BILLING_SHOPIFY_TOKEN_URL", settings.shopify_token_url)
    destinations = Destinations.of(base_url, token_url, shops=base_url is None)
    async with (
        open_wire(destinations, timeout_s=settings.platform_timeout_s) as wire,
        _open_tokens(settings, wire, token_url) as tokens,
    ):
        api = AdminApi(wire, tokens, api_version=settings.shopify_api_version, base_url=base_url, throttles=Throttles())
        yield ShopifyPlatform(api, test_mode=settings.shopify_test_charges)


@asynccontextmanager
async def open_partner_refunds(settings: Settings) -> AsyncIterator[ShopifyRefunds | None]:
    """This will give the source of Shopify's refunds; None where the Partner API's organization or token is unset.

    Raises InvalidConfiguration.
    """
    token = _checked_token("BILLING_SHOPIFY_PARTNER_TOKEN", settings.shopify_partner_token)
    organization = settings.shopify_partner_organization_id
    if token is None or organization is None:
        yield None
        return
    base_url = checked_url("BILLING_SHOPIFY_PARTNER_BASE_URL", settings.shopify_partner_base_url) or PARTNER_BASE_URL
    endpoint = f"{base_url.rstrip('/')}/{organization}/api/{settings.shopify_partner_api_version}/graphql.json"
    async with open_wire(Destinations.of(endpoint), timeout_s=settings.platform_timeout_s) as wire:
        yield ShopifyRefunds(
            wire, endpoint=endpoint, token=token, app_id=settings.shopify_partner_app_id, throttles=Throttles()
        )


@asynccontextmanager
async def _open_tokens(settings: Settings, wire: Wire, url: str | None) -> AsyncIterator[Tokens]:
    if url is None:
        token = _checked_token("BILLING_SHOPIFY_ACCESS_TOKEN", settings.shopify_access_token)
        if token is None:
            mend = "set BILLING_SHOPIFY_TOKEN_URL or BILLING_SHOPIFY_ACCESS_TOKEN"
            get_logger(NAME).warning("platform.without_credentials", mend=mend)
        yield StaticToken(token)
        return
    service = TokenService(wire, url)
    try:
        yield service
    finally:
        await service.close()


def _checked_token(variable: str, token: SecretStr | None) -> str | None:
    if token is None:
        return None
    if not re.fullmatch(TOKEN_PATTERN, token.get_secret_value()):
        raise InvalidConfiguration(f"{variable}: must be visible ASCII characters, without white space")
    return token.get_secret_value()
