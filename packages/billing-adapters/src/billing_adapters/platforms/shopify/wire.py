"""One HTTP client for everything of Shopify, and what its failures mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from billing_adapters.logs import get_logger
from billing_adapters.outbound import Client, DestinationRefused, Destinations, open_client
from billing_adapters.platforms.shopify.shapes import NAME
from billing_core.errors import PlatformAuthError, PlatformUnavailable

_BROKEN = (httpx2.NetworkError, httpx2.RemoteProtocolError)


class Wire:
    """Sends requests. Each is over, answered or not, after `timeout_s` seconds."""

    def __init__(self, client: Client, *, timeout_s: float) -> None:
        self._client, self._timeout_s = client, timeout_s

    async def send(self, request: httpx2.Request, *, repeatable: bool = False) -> httpx2.Response:
        """This will send a request and give the answer, whatever its status; redirects are not followed.

        A `repeatable` one is sent once more where the connection breaks: one kept open may have been closed at the
        other end. Raises PlatformUnavailable where no answer came, and PlatformAuthError where the configuration sends
        nobody there.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._sent(request, repeatable=repeatable)
        except DestinationRefused as refused:
            get_logger(NAME).error("shopify.destination_refused", reason=str(refused))
            raise PlatformAuthError(NAME, "it is asked at its own hosts, or where the configuration says") from None
        except (httpx2.HTTPError, TimeoutError) as wrong:
            get_logger(NAME).warning("shopify.no_answer", host=request.url.host, error=type(wrong).__name__)
            raise PlatformUnavailable(NAME, "it did not answer") from wrong

    async def _sent(self, request: httpx2.Request, *, repeatable: bool) -> httpx2.Response:
        try:
            return await self._client.send(request)
        except _BROKEN:
            if not repeatable:
                raise
        return await self._client.send(request)


@asynccontextmanager
async def open_wire(destinations: Destinations, *, timeout_s: float) -> AsyncIterator[Wire]:
    """This will open one HTTP client with its pool of connections, which asks nobody but these."""
    async with open_client(destinations, timeout_s=timeout_s) as client:
        yield Wire(client, timeout_s=timeout_s)
