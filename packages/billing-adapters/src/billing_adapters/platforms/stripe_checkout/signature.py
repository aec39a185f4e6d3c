"""Whether a webhook's body is Stripe's: the header `Stripe-Signature` (docs.stripe.com/webhooks/signature)."""

import re
from collections.abc import Sequence
from datetime import datetime


def verify_stripe_signature(
    body: bytes, header: str, secrets: Sequence[str], now: datetime, tolerance_s: int = 300
) -> bool:
    """This will tell whether the raw body was signed with one of the secrets (the new one, and the old one while it
    is replaced) within `tolerance_s` seconds of `now`. Compares in constant time; never raises for what was sent."""
    signed_at_s = _signed_at_s(header)
    if signed_at_s is None or abs(now.timestamp() - signed_at_s) > tolerance_s:
        return False
    # Every secret is tried, so the time it takes does not tell which one fits. The library's own tolerance goes by
    # the machine's clock, so it is left out: ours above is the only one.
    verdicts = [_is_signed(body, header, secret) for secret in secrets]
    return any(verdicts)


def _signed_at_s(header: str) -> int | None:
    """The one timestamp of the header. With two, the one that is checked might not be the one that was signed."""
    stamps = [item.removeprefix("t=") for item in header.split(",") if item.strip().startswith("t=")]
    if len(stamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", stamps[0]):
        return None
    return int(stamps[0])


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    from stripe import SignatureVerificationError, WebhookSignature  # slow to import: see the package

    try:
        WebhookSignature.verify_header(body, header, secret)
    except (SignatureVerificationError, ValueError, TypeError):  # ValueError: no UTF-8; TypeError: a header not ASCII
        return False
    return True
