"""What tells the webhooks of the two vendors apart: how they are signed, and how they name a delivery."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import SecretStr
from starlette.datastructures import Headers

from billing_adapters.logs import get_logger
from billing_adapters.settings import Settings
from billing_core.errors import FieldError, InvalidRequest
from billing_core.messages import message_digest

SHOPIFY_TOPIC = "app_purchases_one_time/update"

# What fits into a message's id, together with the platform.
_NAME = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook as its vendor names it: sent again, it has the same `delivery_id`. `is_ours` is whether its topic is
    one Billing asked for, `domain` the shop it is about. Of a request about people's data `told` is all that goes on:
    it names people Billing knows nothing of, and must not learn of."""

    delivery_id: str
    topic: str | None
    is_ours: bool = True
    domain: str | None = None
    told: Mapping[str, Any] | None = None


class Vendor(Protocol):
    """One vendor that sends webhooks."""

    @property
    def platform(self) -> str:
        """The platform they are about."""
        ...

    @property
    def signature_header(self) -> str:
        """The header their signature comes in."""
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What may have signed them: the new secret, and the old one while it is replaced. Never an empty one."""
        ...

    def is_signed(self, body: bytes, signature: str, now: datetime) -> bool:
        """This will tell whether the signature is one of the raw body, in constant time."""
        ...

    def delivery(self, headers: Headers, payload: Mapping[str, Any], body: bytes) -> Delivery:
        """This will tell how the vendor names it. Raises InvalidRequest where a header lacks that it always sends."""
        ...


@dataclass(frozen=True, slots=True)
class ShopifyWebhooks:
    """Shopify names the topic and the delivery in headers (shopify.dev/docs/apps/build/webhooks)."""

    secrets: Sequence[str]
    platform: ClassVar[str] = "shopify"
    signature_header: ClassVar[str] = "X-Shopify-Hmac-Sha256"

    def is_signed(self, body: bytes, signature: str, now: datetime) -> bool:
        """See `Vendor.is_signed`. Shopify signs no time, so a replay is known by its delivery id alone."""
        # Where Shopify is sold through, its adapter is imported already; elsewhere nothing of it is needed.
        from billing_adapters.platforms.shopify.signature import verify_shopify_signature

        return verify_shopify_signature(body, signature, self.secrets)

    def delivery(self, headers: Headers, payload: Mapping[str, Any], body: bytes) -> Delivery:
        """See `Vendor.delivery`."""
        from billing_adapters.platforms.shopify.privacy import PRIVACY_TOPICS, SHOP_FIELDS

        topic, about_people = _one(headers, "X-Shopify-Topic"), None
        if topic in PRIVACY_TOPICS:
            about_people = {name: payload[name] for name in SHOP_FIELDS if name in payload}
        return Delivery(
            delivery_id=_one(headers, "X-Shopify-Webhook-Id"),
            topic=topic,
            is_ours=topic == SHOPIFY_TOPIC or about_people is not None,
            domain=_name(headers.get("X-Shopify-Shop-Domain")),
            told=about_people,
        )


@dataclass(frozen=True, slots=True)
class StripeWebhooks:
    """Stripe names the type and the event in the body (docs.stripe.com/webhooks)."""

    secrets: Sequence[str]
    platform: ClassVar[str] = "stripe"
    signature_header: ClassVar[str] = "Stripe-Signature"

    def is_signed(self, body: bytes, signature: str, now: datetime) -> bool:
        """See `Vendor.is_signed`. The signature holds for 300 seconds."""
        from billing_adapters.platforms.stripe_checkout.signature import verify_stripe_signature

        return verify_stripe_signature(body, signature, self.secrets, now)

    def delivery(self, headers: Headers, payload: Mapping[str, Any], body: bytes) -> Delivery:
        """See `Vendor.delivery`. An event without a usable id cannot be understood; it is known by its body, parked
        like any other such message."""
        return Delivery(delivery_id=_name(payload.get("id")) or message_digest(body), topic=_name(payload.get("type")))


def configured_vendors(settings: Settings) -> Sequence[Vendor]:
    """Those the service sells through and has a secret of, where the door is switched on."""
    if not settings.webhook_door:
        return ()
    known: tuple[Vendor, ...] = (
        ShopifyWebhooks(_given(settings.shopify_client_secret, settings.shopify_client_secret_previous)),
        StripeWebhooks(_given(settings.stripe_webhook_secret, settings.stripe_webhook_secret_previous)),
    )
    sold_through = [each for each in known if each.platform in settings.platforms]
    for each in sold_through:
        if not each.secrets:
            get_logger("webhooks").warning("webhook_door_closed", platform=each.platform, reason="no secret is set")
    return [each for each in sold_through if each.secrets]


def _given(*secrets: SecretStr | None) -> Sequence[str]:
    # An empty secret, as an empty file gives one, would be known to everybody.
    return [value for each in secrets if each is not None and (value := each.get_secret_value())]


def _one(headers: Headers, name: str) -> str:
    values = headers.getlist(name)
    if len(values) != 1 or not _NAME.fullmatch(values[0]):
        detail = f"{name} must be sent exactly once, with 1-200 visible ASCII characters"
        raise InvalidRequest(FieldError(pointer="", detail=detail))
    return values[0]


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None
