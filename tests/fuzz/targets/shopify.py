"""Shopify: what it sends and answers is understood or a PlatformError, and never believed further than it goes."""

import asyncio
import atexit
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import httpx2
from starlette.datastructures import Headers
from tests.adapters.platforms.shopify.shop import ACCOUNT, GID, TOKEN, a_shopify_purchase
from tests.fuzz.target import Target, at_once, by_first_letter, notice_in, parts

from billing_adapters.platforms.shopify import ShopifyPlatform, ShopifyRefunds
from billing_adapters.platforms.shopify.admin_api import AdminApi
from billing_adapters.platforms.shopify.notices import read_charge_notice
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.tokens import StaticToken, TokenService
from billing_adapters.platforms.shopify.wire import Wire
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import InvalidRequest, MalformedMessage, PlatformError
from billing_core.messages import PURCHASE_UPDATED, InboundMessage, PurchaseUpdated, open_envelope, read_data
from billing_core.testing import MOMENT
from billing_http.edge import TRACEPARENT
from billing_http.problems import CORRELATION_ID
from billing_http.webhook_vendors import ShopifyWebhooks
from billing_http.webhooks import _json_object, _message

DEEPEST = 200  # what the parser of both ends takes; the envelope and its data are two levels of it
SECRETS = ("sample-secret", "sample-secret-before")
WEBHOOKS = ShopifyWebhooks(SECRETS)
PURCHASE = a_shopify_purchase()
LOOP = asyncio.new_event_loop()
atexit.register(LOOP.close)
_PAGE = re.compile(r"https://([a-z0-9-]+\.myshopify\.com|admin\.shopify\.com)/[^\\\s]*", re.IGNORECASE)


class Answering(Wire):
    """Gives one answer, whatever is asked."""

    def __init__(self, data: bytes) -> None:
        status, retry_after, body = parts(data, 3)
        self._status = 100 + int.from_bytes(status[-2:], "big") % 500 if not status.isdigit() else int(status[-3:])
        self._headers = [(b"Retry-After", retry_after)] if retry_after else []
        self._body = body

    async def send(self, request: httpx2.Request, *, repeatable: bool = False) -> httpx2.Response:
        """See `Wire.send`."""
        return httpx2.Response(self._status, headers=self._headers, content=self._body, request=request)


def signatures(data: bytes) -> None:
    """A body is Shopify's exactly where the header is the base64 of its HMAC under one of the secrets."""
    header, body = parts(data, 2)
    text = header.decode("latin-1")
    good = [base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode() for secret in SECRETS]
    assert WEBHOOKS.is_signed(body, text, MOMENT) == (text in good)
    assert all(WEBHOOKS.is_signed(body, each, MOMENT) for each in good)
    assert not WEBHOOKS.is_signed(body + b" ", good[0], MOMENT)


def webhooks(data: bytes) -> None:
    """What comes in at the door goes on as it came, and the consumer reads what the door read."""
    topic, delivery_id, body = parts(data, 3)
    headers = Headers(raw=[(b"x-shopify-topic", topic), (b"x-shopify-webhook-id", delivery_id)])
    try:
        payload = _json_object(body)
        delivery = WEBHOOKS.delivery(headers, payload, body)
    except InvalidRequest:
        return
    told = {"platform": "shopify", "delivery_id": delivery.delivery_id, "topic": delivery.topic}
    scope = {CORRELATION_ID: "correlation-1", TRACEPARENT: None}
    published = _message(f"shopify:{delivery.delivery_id}", told, body, datetime(2026, 3, 1, tzinfo=UTC), scope)
    try:
        envelope = open_envelope(InboundMessage(subject=PURCHASE_UPDATED, body=published, headers={}))
    except MalformedMessage:
        assert body.count(b"[") + body.count(b"{") > DEEPEST - 3
        return
    read = read_data(PurchaseUpdated, envelope.data)
    assert (envelope.message_id, read.topic) == (f"shopify:{delivery.delivery_id}", delivery.topic)
    assert repr(read.payload) == repr(payload)


def notices(data: bytes) -> None:
    """A notice names a charge of its own shop, or is malformed in words that can be kept."""
    notice = notice_in(data, read_charge_notice)
    if notice is not None:
        assert re.fullmatch(r"gid://shopify/AppPurchaseOneTime/[0-9]{1,20}", str(notice.platform_reference))
        assert re.fullmatch(r"gid://shopify/Shop/[0-9]{1,20}", str(notice.platform_account_id))


def checkouts(data: bytes) -> None:
    """The page a merchant is sent to is Shopify's, or there is none."""
    checkout = _asked(data, lambda platform: platform.create_checkout(PURCHASE, ACCOUNT))
    if checkout is not None:
        assert _PAGE.fullmatch(checkout.url)
        assert checkout.platform_reference.startswith("gid://shopify/AppPurchaseOneTime/")


def reports(data: bytes) -> None:
    """A payment is reported of the charge that was asked about, paid only where Shopify says ACTIVE."""
    report = _asked(data, lambda platform: platform.look_up(GID, ACCOUNT, MOMENT))
    if report is not None:
        assert report.platform_reference == GID
        assert (report.status is PaymentStatus.PAID) == (
            json.loads(parts(data, 3)[2])["data"]["node"]["status"] == "ACTIVE"
        )
        assert report.price is not None
        assert report.price.amount_minor >= 0


def findings(data: bytes) -> None:
    """A charge that is found is one whose name has our purchase's reference."""
    found = _asked(data, lambda platform: platform.find_checkout(PURCHASE, ACCOUNT))
    if found is not None:
        nodes = json.loads(parts(data, 3)[2])["data"]["currentAppInstallation"]["oneTimePurchases"]["nodes"]
        assert any(each["id"] == found and PURCHASE.short_reference in each["name"] for each in nodes)


def refunds(data: bytes) -> None:
    """Refunds are amounts that are none below zero, of one-time charges."""
    source = ShopifyRefunds(
        Answering(data),
        endpoint="https://partners.shopify.com/1/api/2026-07/graphql.json",
        token=TOKEN,
        app_id=None,
        throttles=Throttles(),
        requests_per_second=1e9,
    )
    with suppress(PlatformError):
        for refund in LOOP.run_until_complete(source.refunds(MOMENT)):  # it looks at the loop's clock
            assert refund.refunded.amount_minor >= 0
            assert refund.platform_reference.startswith("gid://shopify/AppPurchaseOneTime/")


def tokens(data: bytes) -> None:
    """A token service's answer is a token that a header can carry, or a PlatformError."""
    service = TokenService(Answering(data), "http://127.0.0.1/token")
    with suppress(PlatformError):
        assert re.fullmatch(r"[\x21-\x7e]{1,4096}", at_once(service._ask(ACCOUNT)))


def _asked(data: bytes, ask: Callable[[ShopifyPlatform], Coroutine[Any, Any, Any]]) -> Any:
    api = AdminApi(Answering(data), StaticToken(TOKEN), api_version="2026-10", base_url=None, throttles=Throttles())
    try:
        return _driven(ask(ShopifyPlatform(api, test_mode=False)))
    except PlatformError as refusal:
        assert TOKEN not in str(refusal)
        assert refusal.retry_after_s is None or 0 <= refusal.retry_after_s <= 3600
        return None


def _driven(work: Awaitable[Any]) -> Any:
    return at_once(cast("Coroutine[Any, Any, Any]", work))


TARGET = Target(
    name="shopify",
    about="webhooks, and answers of the Admin and Partner API and of a token service",
    run=by_first_letter(
        {
            "s": signatures,
            "w": webhooks,
            "n": notices,
            "c": checkouts,
            "l": reports,
            "f": findings,
            "r": refunds,
            "t": tokens,
        }
    ),
    words=(
        *(b"\n--\n", b"200", b"401", b"429", b"500", b"2.0", b"inf", b"-1", b'"data"', b'"errors"', b'"message"'),
        *(b'"extensions"', b'"code"', b'"THROTTLED"', b'"ACCESS_DENIED"', b'"cost"', b'"requestedQueryCost"'),
        *(b'"throttleStatus"', b'"currentlyAvailable"', b'"restoreRate"', b'"node"', b'"id"', b'"name"', b'"status"'),
        *(b'"ACTIVE"', b'"PENDING"', b'"DECLINED"', b'"price"', b'"amount"', b'"69.99"', b'"currencyCode"', b'"USD"'),
        *(b'"createdAt"', b'"test"', b"true", b"null", b"[]", b"{}", b"9" * 320, b"1e308", b"NaN", b"\\u0000"),
        *(b'"confirmationUrl"', b"https://shop-1.myshopify.com/", b"admin.shopify.com", b"@", b"\\\\", b"%00"),
        *(b'"userErrors"', b'"pageInfo"', b'"hasNextPage"', b'"endCursor"', b"gid://shopify/AppPurchaseOneTime/1"),
        *(b'"0001-01-01T00:00:00+23:59"', b'"access_token"', b'"expires_in"', b'"chargeId"', b'"netAmount"'),
    ),
    secrets=(TOKEN, *SECRETS),
)
