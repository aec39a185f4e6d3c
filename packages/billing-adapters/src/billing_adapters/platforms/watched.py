"""A platform whose calls are counted, timed and, where traces are exported, spans of their trace."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformError
from billing_core.ports.platforms import Checkout, LooksUpMany, Notice, PaymentPlatform, PlatformAccount

if TYPE_CHECKING:
    from billing_adapters.opentelemetry.tracing import Tracing

T = TypeVar("T")


class PlatformCalls(Protocol):
    """Where calls are counted."""

    def expect_platform(self, platform: str) -> None:
        """This will tell from now on that no call to it has failed yet."""
        ...

    def note_platform_call(self, platform: str, error: PlatformError | None, duration_s: float) -> None:
        """This will count one call; `error` is how it failed."""
        ...


def watched(
    platforms: Mapping[str, PaymentPlatform], calls: PlatformCalls, tracing: "Tracing | None"
) -> dict[str, PaymentPlatform]:
    """The platforms by name, each watched."""
    for name in platforms:
        calls.expect_platform(name)
    return {
        name: _WatchedMany(platform, calls, tracing)
        if isinstance(platform, LooksUpMany)
        else WatchedPlatform(platform, calls, tracing)
        for name, platform in platforms.items()
    }


class WatchedPlatform:
    """Passes everything on; see `PaymentPlatform`."""

    def __init__(self, platform: PaymentPlatform, calls: PlatformCalls, tracing: "Tracing | None") -> None:
        self._platform, self._calls, self._tracing = platform, calls, tracing

    @property
    def name(self) -> str:
        """See `PaymentPlatform.name`."""
        return self._platform.name

    @property
    def test_mode(self) -> bool:
        """See `PaymentPlatform.test_mode`."""
        return self._platform.test_mode

    @property
    def needs_domain(self) -> bool:
        """See `PaymentPlatform.needs_domain`."""
        return self._platform.needs_domain

    @property
    def checkout_lifetime(self) -> timedelta:
        """See `PaymentPlatform.checkout_lifetime`."""
        return self._platform.checkout_lifetime

    @property
    def expiry_grace(self) -> timedelta:
        """See `PaymentPlatform.expiry_grace`."""
        return self._platform.expiry_grace

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """See `PaymentPlatform.create_checkout`."""
        return await self._watch("create_checkout", self._platform.create_checkout, purchase, account)

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """See `PaymentPlatform.look_up`."""
        return await self._watch("look_up", self._platform.look_up, platform_reference, account, now)

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """See `PaymentPlatform.find_checkout`."""
        return await self._watch("find_checkout", self._platform.find_checkout, purchase, account)

    async def trace_payment(self, payment_id: str) -> str | None:
        """See `PaymentPlatform.trace_payment`."""
        return await self._watch("trace_payment", self._platform.trace_payment, payment_id)

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """See `PaymentPlatform.cancel_checkout`."""
        await self._watch("cancel_checkout", self._platform.cancel_checkout, platform_reference, account)

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """See `PaymentPlatform.read_notice`."""
        return self._platform.read_notice(payload)

    async def _watch(self, call: str, method: Callable[..., Awaitable[T]], *given: Any) -> T:
        if self._tracing is None:
            return await self._count(method, *given)
        with self._tracing.calling(self.name, call):
            return await self._count(method, *given)

    async def _count(self, method: Callable[..., Awaitable[T]], *given: Any) -> T:
        began_s, error = time.perf_counter(), None
        try:
            return await method(*given)
        except PlatformError as failure:
            error = failure
            raise
        finally:
            self._calls.note_platform_call(self.name, error, time.perf_counter() - began_s)


class _WatchedMany(WatchedPlatform):
    """One that tells of many payments at once."""

    def __init__(self, platform: LooksUpMany, calls: PlatformCalls, tracing: "Tracing | None") -> None:
        super().__init__(platform, calls, tracing)
        self._many = platform

    async def look_up_many(
        self, checkouts: Sequence[tuple[str, PlatformAccount]], now: datetime
    ) -> Sequence[PaymentReport | None]:
        """See `LooksUpMany.look_up_many`."""
        return await self._watch("look_up_many", self._many.look_up_many, checkouts, now)
