"""Stripe: what it sends and answers is understood or a PlatformError, and never believed further than it goes."""

import hashlib
import hmac
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import stripe
from tests.adapters.platforms.stripe.account import ACCOUNT, SECRET_KEY, a_stripe_purchase
from tests.fuzz.target import Target, at_once, by_first_letter, notice_in, parts

from billing_adapters.platforms.stripe_checkout import CHECKOUT_HOST
from billing_adapters.platforms.stripe_checkout.calls import StripeCalls
from billing_adapters.platforms.stripe_checkout.notices import read_notice
from billing_adapters.platforms.stripe_checkout.platform import StripePlatform
from billing_core.errors import PlatformError
from billing_core.testing import MOMENT
from billing_http.webhook_vendors import StripeWebhooks

SECRETS = ("whsec_sample", "whsec_sample_before")
WEBHOOKS = StripeWebhooks(SECRETS)
PURCHASE = a_stripe_purchase()
NOW_S = int(MOMENT.timestamp())


class Answering(stripe.HTTPClient):
    """Gives one answer, whatever is asked."""

    name = "answering"

    def __init__(self, data: bytes) -> None:
        super().__init__()
        status, fields, body = parts(data, 3)
        code = int(status[-3:]) if status.isdigit() else 100 + int.from_bytes(status[-2:], "big") % 500
        lines = (line.partition(": ") for line in fields.decode("latin-1").splitlines())
        self._answer = body, code, {name.lower(): value for name, _, value in lines}

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """See the library."""
        return self._answer


def signatures(data: bytes) -> None:
    """A body is Stripe's exactly where one signature of the header is its HMAC with the one time of the header, which
    is not long ago."""
    header, body = parts(data, 2)
    text = header.decode("latin-1")
    if WEBHOOKS.is_signed(body, text, MOMENT):
        (at_s,) = [item[2:] for item in text.split(",") if item.startswith("t=")]
        assert abs(int(at_s) - NOW_S) <= 300
        assert set(re.findall(r"v1=([0-9a-f]{64})", text)) & {_signature(each, int(at_s), body) for each in SECRETS}
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    assert WEBHOOKS.is_signed(body, f"t={NOW_S},v1={_signature(SECRETS[1], NOW_S, body)}", MOMENT)
    assert not WEBHOOKS.is_signed(body + b" ", f"t={NOW_S},v1={_signature(SECRETS[0], NOW_S, body)}", MOMENT)
    assert not WEBHOOKS.is_signed(body, f"t={NOW_S - 301},v1={_signature(SECRETS[0], NOW_S - 301, body)}", MOMENT)


def notices(data: bytes) -> None:
    """An event points at a session or a payment, is no news, or is malformed in words that can be kept."""
    notice = notice_in(data, read_notice)
    if notice is not None:
        assert re.fullmatch(r"(cs|pi)_[A-Za-z0-9_-]{1,250}", str(notice.platform_reference or notice.payment_id))
        assert re.fullmatch(r"CP-[0-9A-F]{20}", notice.purchase_reference or "CP-00000000000000000000")


def checkouts(data: bytes) -> None:
    """The page a merchant is sent to is Stripe's, or there is none."""
    checkout = _asked(data, lambda platform: platform.create_checkout(PURCHASE, ACCOUNT))
    if checkout is not None:
        assert checkout.url.lower().startswith(f"https://{CHECKOUT_HOST}")
        assert re.fullmatch(r"cs_[A-Za-z0-9_-]{1,250}", checkout.platform_reference)


def reports(data: bytes) -> None:
    """A payment is reported, or Stripe is not understood: nothing else comes of any answer."""
    report = _asked(data, lambda platform: platform.look_up("cs_test_1", ACCOUNT, MOMENT))
    if report is not None:
        assert report.price is None or report.price.amount_minor >= 0
        assert report.refunded_minor is None or report.refunded_minor >= 0


def findings(data: bytes) -> None:
    """Sessions that are found, traced or ended are sessions."""
    for ask in (
        lambda platform: platform.find_checkout(PURCHASE, ACCOUNT),
        lambda platform: platform.trace_payment("pi_1"),
        lambda platform: platform.cancel_checkout("cs_test_1", ACCOUNT),
    ):
        found = _asked(data, ask)
        assert found is None or re.fullmatch(r"cs_[A-Za-z0-9_-]{1,250}", found)


def _asked(data: bytes, ask: Callable[[StripePlatform], Coroutine[Any, Any, Any]]) -> Any:
    client = stripe.StripeClient(SECRET_KEY, http_client=Answering(data), max_network_retries=0)
    platform = StripePlatform(StripeCalls(client), test_mode=True, checkout_hosts=frozenset({CHECKOUT_HOST}))
    with suppress(PlatformError):
        return at_once(ask(platform))
    return None


def _signature(secret: str, at_s: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()


TARGET = Target(
    name="stripe",
    about="webhooks, events, and answers of the API",
    run=by_first_letter(
        {"s": signatures, "n": notices, "c": checkouts, "l": reports, "f": findings},
    ),
    words=(
        *(b"\n--\n", b"200", b"400", b"402", b"404", b"409", b"429", b"500", b"retry-after: 1", b"request-id: req_1"),
        *(b"idempotent-replayed: true", b"stripe-should-retry: true", b"t=", b",v1=", b",v0=", b'"id"', b'"object"'),
        *(b'"checkout.session"', b'"event"', b'"cs_test_1"', b'"pi_1"', b'"status"', b'"open"', b'"complete"'),
        *(b'"expired"', b'"payment_status"', b'"paid"', b'"unpaid"', b'"no_payment_required"', b'"amount_total"'),
        *(b'"currency"', b'"usd"', b'"isk"', b'"metadata"', b'"reference"', b'"CP-AAAAAAAAAAAAAAAAAAAA"', b'"mode"'),
        *(b'"payment_intent"', b'"latest_charge"', b'"amount_refunded"', b'"disputed"', b'"data"', b'"has_more"'),
        *(b'"list"', b'"error"', b'"type"', b'"code"', b'"resource_missing"', b'"message"', b'"param"', b"null"),
        *(b"true", b"[]", b"{}", b"9" * 320, b"1e400", b"NaN", b"\\u0000", b"\\ud800", b'"url"', b'"livemode"'),
        *(b"https://checkout.stripe.com/", b"@", b'"client_reference_id"', b'"doc_url"', b'"invalid_request_error"'),
    ),
    secrets=(SECRET_KEY, *SECRETS),
)
