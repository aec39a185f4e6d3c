"""Who is throttled until when, so that nobody is asked who has said "later"."""

import time
from collections.abc import Callable

from billing_adapters.platforms.shopify.shapes import NAME
from billing_core.errors import PlatformThrottled

MAX_REMEMBERED = 10_000


class Throttles:
    """Shopify counts per shop (and per client in the Partner API); so does this, in the memory of one process."""

    def __init__(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._until_s: dict[str, float] = {}

    def check(self, key: str) -> None:
        """This will raise PlatformThrottled, with the seconds that remain, while the key is throttled."""
        remaining_s = self._until_s.get(key, 0.0) - self._monotonic_s()
        if remaining_s > 0:
            raise PlatformThrottled(NAME, "it asks for fewer requests", retry_after_s=remaining_s)
        self._until_s.pop(key, None)

    def remember(self, key: str, throttled: PlatformThrottled) -> None:
        """This will keep the key from asking for as long as Shopify wishes."""
        if len(self._until_s) >= MAX_REMEMBERED:
            self._forget_the_past()
        self._until_s[key] = self._monotonic_s() + (throttled.retry_after_s or 0.0)

    def _forget_the_past(self) -> None:
        now_s = self._monotonic_s()
        self._until_s = {key: until_s for key, until_s in self._until_s.items() if until_s > now_s}
        while len(self._until_s) >= MAX_REMEMBERED:
            del self._until_s[next(iter(self._until_s))]
