"""Shopify's signature of a webhook."""

import base64
import hashlib
import hmac

import pytest

from billing_adapters.platforms.shopify import verify_shopify_signature

BODY = '{"app_purchase_one_time":{"name":"1000 credits ✓"}}'.encode()
SECRET = "hush"


def signed(body: bytes = BODY, secret: str = SECRET) -> str:
    """The header as Shopify documents it."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def test_a_known_signature_holds() -> None:
    """RFC 4231's second test case, in base64."""
    published = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    header = base64.b64encode(published).decode()

    assert verify_shopify_signature(b"what do ya want for nothing?", header, ["Jefe"])


@pytest.mark.parametrize("secrets", [[SECRET], ["new", SECRET], [SECRET, "new"]], ids=repr)
def test_any_secret_in_force_will_do(secrets: list[str]) -> None:
    """The old one and the new one, while it is rotated."""
    assert verify_shopify_signature(BODY, signed(), secrets)


@pytest.mark.parametrize(
    ("body", "header", "secrets"),
    [
        (BODY + b" ", signed(), [SECRET]),
        (BODY, signed(), ["other"]),
        (BODY, signed(), []),
        (BODY, signed(secret=""), [""]),
        (BODY, signed()[:-1], [SECRET]),
        (BODY, signed() + "=", [SECRET]),
        (BODY, signed().lower(), [SECRET]),
        (BODY, "", [SECRET]),
        (BODY, "é\udcff", [SECRET]),
        (BODY, hmac.digest(SECRET.encode(), BODY, hashlib.sha256).hex(), [SECRET]),
    ],
    ids=["body", "secret", "no secrets", "empty secret", "short", "long", "case", "empty", "not ascii", "hex"],
)
def test_anything_else_is_refused(body: bytes, header: str, secrets: list[str]) -> None:
    """One byte more or less, another secret, another encoding; and no secret ever means yes."""
    assert not verify_shopify_signature(body, header, secrets)
