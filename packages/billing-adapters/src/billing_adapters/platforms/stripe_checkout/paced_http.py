"""The HTTP client of Stripe's library, at the pace Stripe allows, and to Stripe alone. It follows no redirects."""

import time
from collections.abc import Mapping
from typing import Any

from aiolimiter import AsyncLimiter
from stripe import HTTPXClient

from billing_adapters.outbound import Destinations
from billing_adapters.platforms.stripe_checkout.failures import retry_after_s, throttled


class PacedHttp(HTTPXClient):
    """Sends evenly, so many requests a second at most, pages and retries included; and, once Stripe has asked for
    fewer (429), none until it takes them again."""

    def __init__(self, destinations: Destinations, *, timeout_s: float, requests_per_second: float) -> None:
        super().__init__(timeout=timeout_s)
        self._destinations = destinations
        self._pace = AsyncLimiter(1, 1 / requests_per_second)
        self._silent_until_s = 0.0

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """This will send one request. Raises stripe.APIConnectionError; where it is not sent PlatformThrottled, or
        DestinationRefused."""
        self._destinations.check(url)
        self._check_silence()
        async with self._pace:
            self._check_silence()  # Stripe may have asked for it while this request waited for its turn
            answer = await super().request_async(method, url, headers, post_data)
        _, status, told = answer
        if status == 429:
            self._silent_until_s = max(self._silent_until_s, time.monotonic() + retry_after_s(told))
        return answer

    def _check_silence(self) -> None:
        left_s = self._silent_until_s - time.monotonic()
        if left_s > 0:
            raise throttled(left_s)
