"""The platforms that take the money."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from billing_core.domain.purchases import PaymentReport, Purchase


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A page where the merchant can pay: `url` is for the merchant, `platform_reference` for us."""

    platform_reference: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAccount:
    """Whose checkout it is."""

    platform_account_id: str
    platform_domain: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a platform's notice points at. It proves nothing: the platform is asked."""

    platform_reference: str


class PaymentPlatform(Protocol):
    """One payment platform. Every failure is one of the `PlatformError` tree; nothing else leaves."""

    @property
    def name(self) -> str:
        """The name merchants and tokens carry: `shopify`, `stripe`, `sandbox`."""
        ...

    @property
    def test_mode(self) -> bool:
        """Whether its payments move no real money."""
        ...

    @property
    def checkout_lifetime(self) -> timedelta:
        """How long after its creation a checkout can be paid."""
        ...

    @property
    def expiry_grace(self) -> timedelta:
        """How long past its deadline a purchase is left open, for payments under way at the deadline."""
        ...

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will make a page where `purchase` can be paid; the same purchase again is safe.

        Raises PlatformRejected where the platform refuses for good, another PlatformError where it may exist.
        """
        ...

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will ask how the payment stands; None where the platform knows no such reference of this account."""
        ...

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will find the platform reference of a purchase whose create was never answered; None where the
        platform has none."""
        ...

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will end an unpaid checkout where the platform can; nothing happens where it cannot."""
        ...

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """This will read the platform's own notice, without I/O; None where it is about something else than one of
        our payments. Raises MalformedMessage where the platform could not have sent it."""
        ...
