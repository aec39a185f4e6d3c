"""Shopify and Stripe as they knock at the webhook door: signed bodies, and the headers around them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from tests.apps.http.door import Door, some_settings

from billing_adapters.settings import Settings
from billing_core.testing import InMemoryBilling, ScriptedPlatform

SHOPIFY_SECRET, OLD_SHOPIFY_SECRET = "sample-shopify-secret", "former-shopify-secret"
STRIPE_SECRET, OLD_STRIPE_SECRET = "whsec_sample", "whsec_former"
SHOPIFY, STRIPE = "/webhooks/shopify", "/webhooks/stripe"
DELIVERY = "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"
EVENT = "evt_1sample"


def open_settings(**values: Any) -> Settings:
    """A configuration whose door is open for both vendors, with a secret that is being replaced."""
    return some_settings(
        **{
            "platforms": ("shopify", "stripe", "sandbox"),
            "metrics_auth": "off",
            "webhook_door": True,
            "shopify_client_secret": SHOPIFY_SECRET,
            "shopify_client_secret_previous": OLD_SHOPIFY_SECRET,
            "stripe_webhook_secret": STRIPE_SECRET,
            "stripe_webhook_secret_previous": OLD_STRIPE_SECRET,
        }
        | values
    )


def some_billing() -> InMemoryBilling:
    """Billing that sells through both vendors; their notices read `{"reference": …}`."""
    return InMemoryBilling(platforms=[ScriptedPlatform("shopify"), ScriptedPlatform("stripe")])


def shopify_headers(body: bytes, *, secret: str = SHOPIFY_SECRET, **changes: str | None) -> dict[str, str]:
    """What Shopify sends around a body; a change to None leaves the header out."""
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    return _changed(
        {
            "Content-Type": "application/json",
            "X-Shopify-Topic": "app_purchases_one_time/update",
            "X-Shopify-Webhook-Id": DELIVERY,
            "X-Shopify-Hmac-Sha256": signature,
        },
        changes,
    )


def stripe_headers(
    body: bytes, *, secret: str = STRIPE_SECRET, age_s: int = 0, **changes: str | None
) -> dict[str, str]:
    """What Stripe sends around a body it signed `age_s` seconds ago; a change to None leaves the header out."""
    stamp = int(time.time()) - age_s
    signature = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hex()
    return _changed(
        {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={stamp},v1={signature}"}, changes
    )


def a_body(reference: str = "pay-1", **more: Any) -> bytes:
    """A notice of the scripted platform in the clothes of a Stripe event."""
    return json.dumps({"id": EVENT, "type": "checkout.session.completed", "reference": reference, **more}).encode()


def messages(door: Door) -> list[Mapping[str, Any]]:
    """The CloudEvents that were published."""
    return [json.loads(each.body) for each in door.billing.sender.sent]


async def knock(
    door: Door, path: str, body: bytes, headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
) -> httpx2.Response:
    """This will send the body as the path's vendor would, unless other headers are given. No token, no key."""
    if headers is None:
        headers = shopify_headers(body) if path == SHOPIFY else stripe_headers(body)
    given = headers.items() if isinstance(headers, Mapping) else headers
    return await door.client.post(path, content=body, headers=list(given))


def _changed(headers: dict[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = {name: value for name, value in headers.items() if name not in named}
    return kept | {name: value for name, value in named.items() if value is not None}
