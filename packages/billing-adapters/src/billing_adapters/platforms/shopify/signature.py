"""Shopify's signature of a webhook."""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def verify_shopify_signature(body: bytes, header: str, secrets: Sequence[str]) -> bool:
    """This will tell whether `header` (`X-Shopify-Hmac-Sha256`) signs the raw `body` under one of the app's secrets.

    It is the base64 of HMAC-SHA256 over the body as it came, keyed with the app's client secret; after a rotation
    Shopify may sign with the old one for up to an hour. Compared in constant time, against every secret that is set.
    """
    given = header.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(_signature(body, secret), given) for secret in secrets if secret]
    return any(matches)


def _signature(body: bytes, secret: str) -> bytes:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
