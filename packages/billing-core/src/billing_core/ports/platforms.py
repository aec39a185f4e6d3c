"""The platforms that take the money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A page where the merchant can pay: `url` is for the merchant, `platform_reference` for us."""

    platform_reference: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAccount:
    """Whose checkout it is. Of an account that was redacted only the pseudonym is known: it is taken for the account's
    whose the reference in question is, because one purchase alone has claimed that."""

    platform_account_id: str
    platform_domain: str | None

    @classmethod
    def of(cls, merchant: Merchant) -> "PlatformAccount":
        """The account of a merchant."""
        return cls(platform_account_id=merchant.platform_account_id, platform_domain=merchant.platform_domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a platform's notice points at. It proves nothing: the platform is asked.

    At least one of the three: the checkout's `platform_reference`; our own `purchase_reference`
    (`Purchase.short_reference`), where the notice carries it; the platform's `payment_id`, which only the platform can
    trace to a checkout. `platform_account_id` says whose payment it is, where the notice does.
    """

    platform_reference: str | None = None
    purchase_reference: str | None = None
    payment_id: str | None = None
    platform_account_id: str | None = None

    def __post_init__(self) -> None:
        if not (self.platform_reference or self.purchase_reference or self.payment_id):
            raise ValueError("a notice points at something")


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
    def needs_domain(self) -> bool:
        """Whether it is called at the account's own domain. A merchant's domain is kept for such platforms alone."""
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
        """This will make a page where `purchase` can be paid. The same purchase again is safe: it gives the same
        page, or, where the platform has no idempotency, another one, of which only one is ever handed out.

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

    async def trace_payment(self, payment_id: str) -> str | None:
        """This will give the platform reference of the checkout a `Notice.payment_id` was paid at; None where the
        platform knows of none, or never sends notices with a payment id alone."""
        ...

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will end an unpaid checkout where the platform can; nothing happens where it cannot."""
        ...

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """This will read the platform's own notice, without I/O; None where it is about something else than one of
        our payments, or tells of no change worth asking about. Raises MalformedMessage where the platform could not
        have sent it."""
        ...


@runtime_checkable
class LooksUpMany(PaymentPlatform, Protocol):
    """A platform that tells how many payments stand in one answer. The others are asked about one after the other."""

    async def look_up_many(
        self, checkouts: Sequence[tuple[str, PlatformAccount]], now: datetime
    ) -> Sequence[PaymentReport | None]:
        """This will tell of each platform reference with its account what `look_up` would, in the order given."""
        ...


class PrivacyTopic(StrEnum):
    """What a platform may ask about people's data, in our words."""

    CUSTOMER_DATA = "customer data asked for"
    CUSTOMER_REDACTION = "customer to be redacted"
    SHOP_REDACTION = "shop to be redacted"


@runtime_checkable
class AsksForPrivacy(PaymentPlatform, Protocol):
    """A platform that passes on what people ask about their data (Shopify's compliance webhooks)."""

    @property
    def privacy_topics(self) -> Mapping[str, PrivacyTopic]:
        """What each of its topics asks for."""
        ...

    def read_shop(self, payload: Mapping[str, Any]) -> str:
        """The platform account a request is about. Raises MalformedMessage where the platform could not have sent
        it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """How much of one payment was given back so far: `refunded` is cumulative."""

    platform_reference: str
    platform_account_id: str
    refunded: Money


class RefundSource(Protocol):
    """Where refunds are told that neither notices nor `PaymentPlatform.look_up` tell of."""

    @property
    def platform(self) -> str:
        """The platform whose payments they are of."""
        ...

    async def refunds(self, since: datetime) -> Sequence[Refund]:
        """The payments of which something was given back since the moment, with all that was ever. Raises a
        PlatformError."""
        ...
