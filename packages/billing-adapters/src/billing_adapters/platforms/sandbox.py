"""The sandbox: a payment platform of our own where no money moves, for development, demonstrations and tests.

Its checkout is a page of the HTTP app. Making one does no I/O: the offer stands, signed, in the checkout's URL. What
was decided there stands in the sandbox's books, and is what `look_up` tells.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billing_adapters.platforms.sandbox_books import NO_PRICE, SandboxBooks, SandboxEntry
from billing_adapters.platforms.sandbox_offer import (
    REFERENCE_PATTERN,
    InvalidOffer,
    OfferSigner,
    SandboxOffer,
    is_reference,
    is_reference_of,
    reference_of,
)
from billing_core.domain.money import MAX_AMOUNT_MINOR
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.pseudonyms import is_pseudonym
from billing_core.domain.purchases import Purchase
from billing_core.errors import MalformedMessage, PlatformUnavailable, StorageUnavailable
from billing_core.ports.platforms import Checkout, Notice, PlatformAccount

NAME = "sandbox"
CHECKOUT_PATH = "/sandbox/checkout"


class SandboxPlatform:
    """The `PaymentPlatform` of the sandbox, and what its checkout page needs."""

    def __init__(self, books: SandboxBooks, *, base_url: str, secret: str) -> None:
        self._books, self._base_url, self._offers = books, base_url.rstrip("/"), OfferSigner(secret)

    @property
    def name(self) -> str:
        """`sandbox`."""
        return NAME

    @property
    def test_mode(self) -> bool:
        """True: no money moves."""
        return True

    @property
    def needs_domain(self) -> bool:
        """False: nothing is called."""
        return False

    @property
    def checkout_lifetime(self) -> timedelta:
        """A day."""
        return timedelta(hours=24)

    @property
    def expiry_grace(self) -> timedelta:
        """Long enough for a click at the last second."""
        return timedelta(minutes=1)

    # --- what the service asks -------------------------------------------------------------------------------------

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will give the page where `purchase` can be paid, without I/O; again gives the same one."""
        offer = SandboxOffer.of(purchase)
        url = f"{self._base_url}{CHECKOUT_PATH}/{offer.reference}?offer={self._offers.sign(offer)}"
        return Checkout(platform_reference=offer.reference, url=url)

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will tell what was decided at the checkout; pending where nothing was.

        None where the reference is not one of this account's. Raises PlatformUnavailable where the books cannot be
        read.
        """
        (report,) = await self.look_up_many([(platform_reference, account)], now)
        return report

    async def look_up_many(
        self, checkouts: Sequence[tuple[str, PlatformAccount]], now: datetime
    ) -> Sequence[PaymentReport | None]:
        """This will tell of each what `look_up` would, with one question to the books. Raises PlatformUnavailable."""
        ours = [_is_ours(reference, account) for reference, account in checkouts]
        try:
            entries = await self._books.get_many(
                [each for (each, _), is_ours in zip(checkouts, ours, strict=True) if is_ours]
            )
        except StorageUnavailable as away:
            raise _unreadable() from away
        return [
            _report(reference, entries.get(reference), now) if is_ours else None
            for (reference, _), is_ours in zip(checkouts, ours, strict=True)
        ]

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """The reference of the purchase: it follows from the purchase, and so does its checkout."""
        return reference_of(purchase)

    async def trace_payment(self, payment_id: str) -> str | None:
        """None: every notice of the sandbox names its checkout."""
        return None

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will close a checkout at which nothing was decided. Raises PlatformUnavailable."""
        if _is_ours(platform_reference, account):
            cancelled = SandboxEntry(
                reference=platform_reference,
                status=PaymentStatus.CANCELLED,
                platform_account_id=account.platform_account_id,
                price=NO_PRICE,
            )
            await self._enter(cancelled)

    def read_notice(self, payload: Mapping[str, Any]) -> Notice:
        """This will read a notice as `sandbox_notice` makes them. Raises MalformedMessage."""
        try:
            notice = _SandboxNotice.model_validate(payload)
        except ValidationError as wrong:
            error = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
            place = "/".join(str(part) for part in ("payload", *error["loc"]))
            raise MalformedMessage(f"{place}: {error['msg']}") from wrong
        if notice.type != f"checkout.{notice.checkout.status}":
            raise MalformedMessage("payload/type: does not go with the checkout's status")
        return Notice(platform_reference=notice.checkout.reference, platform_account_id=notice.account)

    # --- what the checkout page asks -------------------------------------------------------------------------------

    def read_offer(self, reference: str, token: str) -> SandboxOffer:
        """This will give the offer of the checkout. Raises InvalidOffer where the token is not ours or another's."""
        offer = self._offers.read(token)
        if offer.reference != reference:
            raise InvalidOffer("this is the offer of another checkout")
        return offer

    async def decision(self, offer: SandboxOffer) -> SandboxEntry | None:
        """What was decided at the checkout, or None. Raises PlatformUnavailable."""
        try:
            return await self._books.get(offer.reference)
        except StorageUnavailable as away:
            raise _unreadable() from away

    async def decide(self, offer: SandboxOffer, status: PaymentStatus) -> SandboxEntry:
        """This will enter the payer's decision and give the one that stands, the first. Raises PlatformUnavailable."""
        decided = SandboxEntry(
            reference=offer.reference,
            status=status,
            price=offer.price,
            platform_account_id=offer.platform_account_id,
        )
        return await self._enter(decided)

    async def _enter(self, entry: SandboxEntry) -> SandboxEntry:
        try:
            return await self._books.enter(entry)
        except StorageUnavailable as away:
            raise PlatformUnavailable(NAME, "its books cannot be written right now") from away


def _is_ours(reference: str, account: PlatformAccount) -> bool:
    """Whether the reference is one of the account's; of an account that was redacted, one of the sandbox's."""
    if is_pseudonym(account.platform_account_id):
        return is_reference(reference)
    return is_reference_of(reference, account.platform_account_id)


def _unreadable() -> PlatformUnavailable:
    return PlatformUnavailable(NAME, "its books cannot be read right now")


def _report(reference: str, entry: SandboxEntry | None, now: datetime) -> PaymentReport:
    if entry is None:
        return PaymentReport(platform_reference=reference, status=PaymentStatus.PENDING, observed_at=now, test=True)
    return PaymentReport(
        platform_reference=reference,
        status=entry.status,
        observed_at=now,
        price=entry.price,
        platform_account_id=entry.platform_account_id,
        test=True,
    )


def sandbox_notice(entry: SandboxEntry) -> dict[str, Any]:
    """The sandbox's own body of a notice about what was decided at a checkout.

    Its id follows from the checkout and the decision, so telling it again tells nothing new.
    """
    return {
        "type": f"checkout.{entry.status}",
        "id": f"{entry.reference}.{entry.status}",
        "account": entry.platform_account_id,
        "checkout": {
            "reference": entry.reference,
            "status": str(entry.status),
            "amount_minor": entry.price.amount_minor,
            "currency": entry.price.currency,
        },
    }


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _NoticedCheckout(_Strict):
    reference: str = Field(pattern=REFERENCE_PATTERN)
    status: Literal["paid", "declined", "expired", "cancelled"]
    amount_minor: int = Field(ge=0, le=MAX_AMOUNT_MINOR)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class _SandboxNotice(_Strict):
    type: str
    id: str = Field(min_length=1, max_length=255)
    account: str = Field(min_length=1, max_length=255)
    checkout: _NoticedCheckout
