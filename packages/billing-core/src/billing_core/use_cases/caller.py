"""Who asks, as the token and headers say."""

from dataclasses import dataclass

from billing_core.domain.events import Origin
from billing_core.domain.merchants import Merchant
from billing_core.errors import MerchantNotFound, PlatformMismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller acting for one merchant on one platform."""

    merchant_id: str
    platform: str
    subject: str
    correlation_id: str
    traceparent: str | None = None

    @property
    def origin(self) -> Origin:
        """The caller as the origin of a change."""
        return Origin(actor=self.subject, correlation_id=self.correlation_id, traceparent=self.traceparent)

    def known(self, merchant: Merchant | None) -> Merchant:
        """This will give the caller's merchant. Raises MerchantNotFound, or PlatformMismatch where the merchant's
        record names another platform."""
        if merchant is None:
            raise MerchantNotFound
        self.check_platform(merchant.platform)
        return merchant

    def known_to_act(self, merchant: Merchant | None) -> Merchant:
        """This will give the caller's merchant where it may start or buy something. Raises MerchantNotFound for one
        that was redacted, too: it is not known any more, until it is announced again."""
        known = self.known(merchant)
        if known.is_redacted:
            raise MerchantNotFound
        return known

    def check_platform(self, platform: str) -> None:
        """This will raise PlatformMismatch where the merchant's record names another platform than the caller."""
        if platform != self.platform:
            raise PlatformMismatch
