"""Shopify's one-time charges (`AppPurchaseOneTime`) in our words."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from billing_adapters.logs import get_logger
from billing_adapters.platforms.shopify.shapes import CHARGE_GID, NAME, Amount, Instant, Shape
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformProtocolError, PlatformRejected
from billing_core.ports.platforms import Checkout, PlatformAccount

# `AppPurchaseStatus`. ACCEPTED is deprecated: approved, but not yet charged.
PAYMENT_STATUSES: Mapping[str, PaymentStatus] = {
    "PENDING": PaymentStatus.PENDING,
    "ACCEPTED": PaymentStatus.PENDING,
    "ACTIVE": PaymentStatus.PAID,
    "DECLINED": PaymentStatus.DECLINED,
    "EXPIRED": PaymentStatus.EXPIRED,
}
_CONFIRMATION_URL = re.compile(
    r"https://(?:[a-z0-9][a-z0-9-]*\.myshopify\.com|admin\.shopify\.com)/[\x21-\x5b\x5d-\x7e]*", re.IGNORECASE
)
_REFERENCE = re.compile(r"(?<![\w-])CP-[0-9A-F]{20}(?![\w-])")
_LONGEST_URL = 8192


def charge_variables(purchase: Purchase, *, test: bool) -> dict[str, Any]:
    """What Shopify is asked to charge for a purchase: the variables of `CREATE_CHARGE`."""
    price = purchase.offer.price
    return {
        "name": charge_name(purchase),
        "price": {"amount": price.amount, "currencyCode": price.currency},
        "returnUrl": purchase.return_url,
        "test": test,
    }


def charge_name(purchase: Purchase) -> str:
    """What the merchant reads when approving and on the invoice, and what the charge is found by: `500 credits +
    50 bonus - CP-…`."""
    offer = purchase.offer
    bonus = f" + {offer.bonus_credits} bonus" if offer.bonus_credits else ""
    return f"{offer.credits} credits{bonus} - {purchase.short_reference}"


def reference_in(name: str) -> str | None:
    """The purchase reference in a charge's name, standing there as a word of its own; None where there is none."""
    found = _REFERENCE.search(name)
    return found[0] if found else None


class Charge(Shape):
    """A charge as Shopify tells it."""

    id: str = Field(pattern=CHARGE_GID)
    name: str
    status: str
    test: bool
    created_at: Instant = Field(alias="createdAt")
    price: Amount

    @property
    def is_paid(self) -> bool:
        """Whether the merchant was charged."""
        return PAYMENT_STATUSES.get(self.status) is PaymentStatus.PAID

    def is_for(self, purchase: Purchase) -> bool:
        """Whether it was made for the purchase: by the reference in its name, and by its price."""
        same_reference = reference_in(self.name) == purchase.short_reference
        return same_reference and not self.price.is_negative and self.price.magnitude() == purchase.offer.price

    def report(self, account: PlatformAccount, now: datetime) -> PaymentReport:
        """What it says of the payment. Raises PlatformProtocolError for a status or price there is no word for.

        The charge is the account's: it was asked for at the account's shop, under the account's token. Refunds and
        disputes are unknown to the Admin API.
        """
        status = PAYMENT_STATUSES.get(self.status)
        if status is None or self.price.is_negative:
            raise PlatformProtocolError(NAME, "it told a status or price it cannot have")
        return PaymentReport(
            platform_reference=self.id,
            status=status,
            observed_at=now,
            price=self.price.magnitude(),
            platform_account_id=account.platform_account_id,
            test=self.test,
            refunded_minor=None,
            dispute=None,
        )


class _UserError(Shape):
    message: str


class _NewCharge(Shape):
    id: str = Field(pattern=CHARGE_GID)


class _Payload(Shape):
    charge: _NewCharge | None = Field(alias="appPurchaseOneTime")
    confirmation_url: str | None = Field(alias="confirmationUrl")
    user_errors: list[_UserError] = Field(alias="userErrors")


class CreateAnswer(Shape):
    """The answer to `CREATE_CHARGE`."""

    payload: _Payload = Field(alias="appPurchaseOneTimeCreate")

    def checkout(self) -> Checkout:
        """The page where the merchant approves the charge.

        Raises PlatformRejected where Shopify refused and no charge exists, PlatformProtocolError where a charge may
        exist but cannot be shown: no id, no address, or an address that is not Shopify's.
        """
        charge, url = self.payload.charge, self.payload.confirmation_url
        if self.payload.user_errors and charge is None:
            messages = [each.message[:200] for each in self.payload.user_errors[:5]]
            get_logger(NAME).warning("shopify.charge_refused", messages=messages)
            raise PlatformRejected(NAME, "it refused to make the charge")
        if charge is None or url is None:
            raise PlatformProtocolError(NAME, "it made a charge without an id or a page")
        if not is_confirmation_url(url):
            raise PlatformProtocolError(NAME, "the page of the charge is not one of its own")
        return Checkout(platform_reference=charge.id, url=url)


class LookUpAnswer(Shape):
    """The answer to `LOOK_UP_CHARGE`; `node` is None where the shop has no such charge of this app."""

    node: Charge | None


class _PageInfo(Shape):
    has_next_page: bool = Field(alias="hasNextPage")
    end_cursor: str | None = Field(alias="endCursor")


class _Charges(Shape):
    nodes: list[Charge]
    page_info: _PageInfo = Field(alias="pageInfo")


class _Installation(Shape):
    charges: _Charges = Field(alias="oneTimePurchases")


class SweepAnswer(Shape):
    """The answer to `SWEEP_CHARGES`: one page of the charges this app made in the shop, newest first."""

    installation: _Installation = Field(alias="currentAppInstallation")

    @property
    def charges(self) -> Sequence[Charge]:
        """The charges of this page."""
        return self.installation.charges.nodes

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; None after the last. Raises PlatformProtocolError where it is missing."""
        page = self.installation.charges.page_info
        if page.has_next_page and not page.end_cursor:
            raise PlatformProtocolError(NAME, "it told of a next page, but not where it begins")
        return page.end_cursor if page.has_next_page else None


def is_confirmation_url(url: str) -> bool:
    """Whether a merchant may be sent there: https, a host of Shopify's own, and nothing (user, port, backslash,
    white space) that browsers read differently than we do."""
    return len(url) <= _LONGEST_URL and _CONFIRMATION_URL.fullmatch(url) is not None
