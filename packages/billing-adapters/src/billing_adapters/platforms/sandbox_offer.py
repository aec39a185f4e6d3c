"""What a sandbox checkout shows: the offer travels, signed, in the checkout's own URL. Making one needs no storage."""

import hashlib
import hmac
import re
from datetime import datetime

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billing_core.domain.events import Timestamp
from billing_core.domain.money import Money
from billing_core.domain.purchases import Purchase
from billing_core.errors import BillingError

REFERENCE_PATTERN = r"^sbx_[0-9a-f]{48}$"
_TYPE = "billing-sandbox-offer"
# The key is made for this one use: no access token is ever an offer, and no offer an access token.
_KEY_CONTEXT = b"billing sandbox offer, version 1"
_MAX_TOKEN_BYTES = 8192
_MARK_DIGITS = 16


class InvalidOffer(BillingError):
    """The offer in a checkout's address is missing, changed, or signed by somebody else."""

    code = "INVALID_OFFER"


class SandboxOffer(BaseModel):
    """What is bought at one sandbox checkout, for how much, by whom, until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str = Field(pattern=REFERENCE_PATTERN)
    merchant_id: str
    platform_account_id: str
    pack: str
    credits: int
    bonus_credits: int
    amount_minor: int
    currency: str
    return_url: str
    expires_at: Timestamp

    @classmethod
    def of(cls, purchase: Purchase) -> "SandboxOffer":
        """The offer of a purchase; the same purchase always makes the same one."""
        return cls(
            reference=reference_of(purchase),
            merchant_id=purchase.merchant_id,
            platform_account_id=purchase.platform_account_id,
            pack=purchase.offer.pack,
            credits=purchase.offer.credits,
            bonus_credits=purchase.offer.bonus_credits,
            amount_minor=purchase.offer.price.amount_minor,
            currency=purchase.offer.price.currency,
            return_url=purchase.return_url,
            expires_at=purchase.expires_at,
        )

    @property
    def price(self) -> Money:
        """What is to be paid."""
        return Money(amount_minor=self.amount_minor, currency=self.currency)

    def is_over(self, now: datetime) -> bool:
        """Whether the time to pay has run out."""
        return now >= self.expires_at


def reference_of(purchase: Purchase) -> str:
    """The sandbox's reference of a purchase: derived from it alone, so asking again finds the same one.

    It ends with a mark of the account, by which the sandbox knows its references without having stored them.
    """
    key = purchase.purchase_id.hex
    return f"sbx_{key}{_mark(key, purchase.platform_account_id)}"


def is_reference(text: str) -> bool:
    """Whether the text has the shape of a sandbox reference."""
    return re.fullmatch(REFERENCE_PATTERN, text) is not None


def is_reference_of(text: str, platform_account_id: str) -> bool:
    """Whether the text is a sandbox reference of that account."""
    return is_reference(text) and text[-_MARK_DIGITS:] == _mark(text[4:-_MARK_DIGITS], platform_account_id)


def _mark(key: str, platform_account_id: str) -> str:
    return hashlib.sha256(f"{key}|{platform_account_id}".encode()).hexdigest()[:_MARK_DIGITS]


class OfferSigner:
    """Signs offers, and reads back only those it signed."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(hmac.digest(secret.encode(), _KEY_CONTEXT, "sha256"))

    def sign(self, offer: SandboxOffer) -> str:
        """This will give the offer as a compact JWS (RFC 7515), safe in a URL."""
        header = {"alg": "HS256", "typ": _TYPE}
        return jws.serialize_compact(header, offer.model_dump_json(), self._key, algorithms=["HS256"])

    def read(self, token: str) -> SandboxOffer:
        """This will give back a signed offer. Raises InvalidOffer where it is not exactly one of ours."""
        if len(token) > _MAX_TOKEN_BYTES or not token.isascii():
            raise InvalidOffer("this is no offer of the sandbox")
        try:
            signed = jws.deserialize_compact(token, self._key, algorithms=["HS256"])
            if signed.headers().get("typ") != _TYPE:
                raise InvalidOffer("this is no offer of the sandbox")
            return SandboxOffer.model_validate_json(signed.payload or b"")
        except (JoseError, ValidationError, ValueError) as wrong:
            raise InvalidOffer("this is no offer of the sandbox") from wrong
