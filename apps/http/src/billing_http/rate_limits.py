"""The rate limit at the door: who asks too often is refused, and every answer says how its merchant stands.

The header fields are those of draft-ietf-httpapi-ratelimit-headers (11, 12). Every process judges by itself
(`LimitRequests`); in the background it is kept in step with the others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.types import Scope

from billing_adapters.clock import monotonic_us
from billing_adapters.logs import get_logger
from billing_core.domain.rate_limits import RateLimit
from billing_core.errors import RateLimited, SharedUsageUnavailable
from billing_core.ports.rate_limits import SharedUsage
from billing_core.use_cases.limit_requests import LimitRequests

RATE_LIMIT: Final = "billing.rate_limit"  # where a request's scope has the header fields of its answer
SETTLE_EVERY_S: Final = 0.1
# While the others cannot be told, it is tried this often.
TRY_EVERY_S: Final = 1.0
_SECOND_US: Final = 1_000_000


class RateLimits:
    """Judges requests, and writes what is told of it."""

    def __init__(self, limiter: LimitRequests) -> None:
        self._limiter, limit = limiter, limiter.limit
        policy = f'"merchant";q={limit.per_minute};w=60;billing-burst={limit.burst}'
        self._policy = (b"ratelimit-policy", policy.encode())
        self._log = get_logger("rate_limits")

    @property
    def is_shared(self) -> bool:
        """Whether the other processes are told what this one admits."""
        return self._limiter.is_shared

    def check(self, scope: Scope, merchant_id: str) -> None:
        """This will count a request of the merchant, and note in its scope what the answer says. Raises RateLimited."""
        is_admitted, left, wait_us = self._limiter.admit(merchant_id)
        wait_s = -(-wait_us // _SECOND_US)
        scope[RATE_LIMIT] = (self._policy, (b"ratelimit", b'"merchant";r=%d;t=%d' % (left, wait_s)))
        if not is_admitted:
            limit = self._limiter.limit
            raise RateLimited(per_minute=limit.per_minute, burst=limit.burst, retry_after_s=wait_s)

    @asynccontextmanager
    async def kept_in_step(
        self, *, every_s: float = SETTLE_EVERY_S, try_every_s: float = TRY_EVERY_S
    ) -> AsyncIterator[None]:
        """This will settle with the other processes for as long as the block runs."""
        settling = asyncio.create_task(self._keep_in_step(every_s, try_every_s))
        try:
            yield
        finally:
            settling.cancel()
            with suppress(asyncio.CancelledError):
                await settling

    async def _keep_in_step(self, every_s: float, try_every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s if self.is_shared else try_every_s)
            was_shared = self.is_shared
            try:
                await self._limiter.settle()
            except SharedUsageUnavailable as away:
                if was_shared:
                    self._log.warning("rate_limits.alone", reason=str(away))
            except Exception:  # noqa: BLE001 - nobody waits for this task: whatever happens, it is told and goes on
                self._log.exception("rate_limits.not_settled")
            else:
                if not was_shared:
                    self._log.info("rate_limits.shared_again")


def rate_limits(limit: RateLimit | None, usage: SharedUsage) -> RateLimits | None:
    """The rate limit of this process; None where there is no limit."""
    return None if limit is None else RateLimits(LimitRequests(limit=limit, usage=usage, now_us=monotonic_us))
