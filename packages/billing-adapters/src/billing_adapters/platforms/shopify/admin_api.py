"""Shopify's GraphQL Admin API: one shop, one document, one answer."""

from collections.abc import Mapping
from typing import Any

import httpx2

from billing_adapters.logs import get_logger
from billing_adapters.outbound import is_shop_domain
from billing_adapters.platforms.shopify.answers import TOKEN_HEADER, read_answer
from billing_adapters.platforms.shopify.shapes import NAME
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.tokens import Tokens
from billing_adapters.platforms.shopify.wire import Wire
from billing_core.domain.pseudonyms import is_pseudonym
from billing_core.errors import PlatformAuthError, PlatformThrottled
from billing_core.ports.platforms import PlatformAccount


class AdminApi:
    """The Admin API of every shop, each under its own token. `base_url` replaces `https://{shop domain}`."""

    def __init__(
        self, wire: Wire, tokens: Tokens, *, api_version: str, base_url: str | None, throttles: Throttles
    ) -> None:
        self._wire, self._tokens, self._throttles = wire, tokens, throttles
        self._api_version, self._base_url = api_version, base_url
        self._versions_seen = {api_version}

    async def read(self, document: str, variables: Mapping[str, Any], account: PlatformAccount) -> Mapping[str, Any]:
        """This will ask, once more where the connection breaks, and give the answer's `data`. Raises PlatformError."""
        return await self._ask(document, variables, account, repeatable=True)

    async def write(self, document: str, variables: Mapping[str, Any], account: PlatformAccount) -> Mapping[str, Any]:
        """This will have something done and give the answer's `data`. Raises PlatformError.

        It is never sent again by itself: Shopify has no idempotency, and cannot tell a repetition from a second wish.
        """
        return await self._ask(document, variables, account, repeatable=False)

    async def _ask(
        self, document: str, variables: Mapping[str, Any], account: PlatformAccount, *, repeatable: bool
    ) -> Mapping[str, Any]:
        url = self._url(account)
        body = {"query": document, "variables": dict(variables)}
        self._throttles.check(account.platform_account_id)
        try:
            response = await self._send(url, body, account, repeatable=repeatable)
            self._compare_version(response)
            return read_answer(response)
        except PlatformThrottled as throttled:
            self._throttles.remember(account.platform_account_id, throttled)
            raise

    async def _send(
        self, url: str, body: Mapping[str, Any], account: PlatformAccount, *, repeatable: bool
    ) -> httpx2.Response:
        token = await self._tokens.token(account)
        response = await self._wire.send(_request(url, token, body), repeatable=repeatable)
        if response.status_code != 401:
            return response
        token = await self._tokens.renewed(account, refused=token)
        # Refused at the door, so nothing was done: even a write may be sent again.
        return await self._wire.send(_request(url, token, body), repeatable=repeatable)

    def _url(self, account: PlatformAccount) -> str:
        """Where the account's token may be sent: nowhere but to Shopify, or where the configuration says."""
        path = f"/admin/api/{self._api_version}/graphql.json"
        if self._base_url is not None:
            return self._base_url.rstrip("/") + path
        if is_pseudonym(account.platform_account_id):
            raise PlatformAuthError(NAME, "the shop was redacted, and only a notice of its own says where to ask")
        if account.platform_domain is None:
            raise PlatformAuthError(NAME, "the merchant was announced without its shop's domain (platform_domain)")
        if not is_shop_domain(account.platform_domain):
            raise PlatformAuthError(NAME, "the merchant's platform_domain is not a *.myshopify.com domain")
        return f"https://{account.platform_domain}{path}"

    def _compare_version(self, response: httpx2.Response) -> None:
        """This will warn, once for each, of an API version other than the one asked for.

        Shopify serves the oldest supported version for one that has ended. That is told, not refused: the charge may
        be made already, every answer is read strictly, and refusing would end all sales on a date of the vendor's.
        """
        served = response.headers.get("X-Shopify-API-Version")
        if served is not None and served not in self._versions_seen and len(self._versions_seen) < 100:
            self._versions_seen.add(served)
            get_logger(NAME).warning("shopify.other_api_version", asked=self._api_version, served=served[:32])


def _request(url: str, token: str, body: Mapping[str, Any]) -> httpx2.Request:
    headers = {TOKEN_HEADER: token, "Accept": "application/json"}
    return httpx2.Request("POST", url, json=body, headers=headers)
