"""Where a shop's access token comes from: the configuration, or a service that knows every shop's.

Public apps must use offline tokens that live an hour, so a token is asked for when it is needed, kept until shortly
before it expires, and asked for again when Shopify refuses it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx2
from pydantic import Field

from billing_adapters.logs import get_logger
from billing_adapters.platforms.shopify.answers import DEFAULT_WAIT_S, read_json, retry_after_s
from billing_adapters.platforms.shopify.shapes import NAME, Shape, shaped
from billing_adapters.platforms.shopify.wire import Wire
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.ports.platforms import PlatformAccount

MAX_CACHED = 10_000
EXPIRY_MARGIN_S = 60.0
TOKEN_PATTERN = r"^[\x21-\x7e]{1,4096}\Z"  # noqa: S105 - what a header can carry, no token


class Tokens(Protocol):
    """Gives access tokens."""

    async def token(self, account: PlatformAccount) -> str:
        """The account's token. Raises PlatformAuthError where there is none, or another PlatformError."""
        ...

    async def renewed(self, account: PlatformAccount, *, refused: str) -> str:
        """Another token than the one Shopify refused. Raises PlatformAuthError where there is none, or another
        PlatformError."""
        ...


class StaticToken:
    """The one token of the configuration: for one shop, or a stand-in."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def token(self, account: PlatformAccount) -> str:
        """See `Tokens.token`."""
        if self._token is None:
            raise PlatformAuthError(NAME, "no token is configured for the shop")
        return self._token

    async def renewed(self, account: PlatformAccount, *, refused: str) -> str:
        """See `Tokens.renewed`: there is never another one."""
        raise PlatformAuthError(NAME, "it does not accept the configured token")


class TokenService:
    """Tokens asked from `BILLING_SHOPIFY_TOKEN_URL`: one request at a time for each account, however many wait."""

    def __init__(
        self,
        wire: Wire,
        url: str,
        *,
        max_cached: int = MAX_CACHED,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire, self._url, self._max_cached, self._monotonic_s = wire, httpx2.URL(url), max_cached, monotonic_s
        self._cached: dict[PlatformAccount, _Cached] = {}
        self._flights: dict[PlatformAccount, asyncio.Task[str]] = {}

    async def token(self, account: PlatformAccount) -> str:
        """See `Tokens.token`."""
        cached = self._cached.get(account)
        if cached is not None and self._monotonic_s() < cached.good_until_s:
            return cached.token
        flight = self._flights.get(account) or self._take_off(account)
        await asyncio.wait([flight])  # unlike awaiting it, leaves it to the others when this caller is cancelled
        return flight.result()

    async def renewed(self, account: PlatformAccount, *, refused: str) -> str:
        """See `Tokens.renewed`: asked anew, unless somebody else has done so since."""
        cached = self._cached.get(account)
        if cached is not None and cached.token == refused:
            del self._cached[account]
        return await self.token(account)

    async def close(self) -> None:
        """This will end what is still being asked."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _take_off(self, account: PlatformAccount) -> asyncio.Task[str]:
        flight = asyncio.create_task(self._ask(account))
        self._flights[account] = flight
        flight.add_done_callback(lambda landed: self._land(account, landed))
        return flight

    def _land(self, account: PlatformAccount, landed: asyncio.Task[str]) -> None:
        del self._flights[account]
        if not landed.cancelled():
            landed.exception()  # told to whoever waits; asking here keeps asyncio from complaining when nobody does

    async def _ask(self, account: PlatformAccount) -> str:
        asked_at_s = self._monotonic_s()
        who = {"platform_account_id": account.platform_account_id, "domain": account.platform_domain or ""}
        url = self._url.copy_merge_params(who)
        request = httpx2.Request("GET", url, headers={"Accept": "application/json"})
        response = await self._wire.send(request, repeatable=True)
        if response.status_code != 200:
            raise _refusal(response)
        given = shaped(_GivenToken, read_json(response))
        margin_s = min(EXPIRY_MARGIN_S, given.expires_in / 10)
        self._keep(account, _Cached(token=given.access_token, good_until_s=asked_at_s + given.expires_in - margin_s))
        return given.access_token

    def _keep(self, account: PlatformAccount, cached: "_Cached") -> None:
        self._cached.pop(account, None)
        if len(self._cached) >= self._max_cached:
            del self._cached[next(iter(self._cached))]  # the one asked for longest ago
        self._cached[account] = cached


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cached:
    token: str
    good_until_s: float


class _GivenToken(Shape):
    access_token: str = Field(pattern=TOKEN_PATTERN)
    expires_in: float = Field(gt=0, allow_inf_nan=False)


def _refusal(response: httpx2.Response) -> PlatformError:
    status = response.status_code
    get_logger(NAME).warning("shopify.token_refused", status=status)
    if status >= 500:
        return PlatformUnavailable(NAME, "the token service failed", retry_after_s=retry_after_s(response))
    if status == 429:
        wait_s = retry_after_s(response)
        detail = "the token service asks for fewer requests"
        return PlatformThrottled(NAME, detail, retry_after_s=DEFAULT_WAIT_S if wait_s is None else wait_s)
    if status in (401, 403, 404, 410):
        return PlatformAuthError(NAME, "the token service has no token for the shop")
    return PlatformProtocolError(NAME, "the token service answered an unexpected HTTP status")
