"""The webhook door: `POST /webhooks/shopify` and `/webhooks/stripe`, for deployments without a webhook service.

It verifies who sent a webhook and publishes it as the webhook service would; everything after is the same path. What
it answers with 200 is in JetStream or none of Billing's business; anything else the vendor sends again. Of Shopify's
compliance webhooks nothing goes on but the shop: what they tell of its customers is no business of Billing's. The two
paths are no part of the merchants' API, so neither `operations.py` nor the OpenAPI document has them.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pydantic_core
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_adapters.logs import get_logger
from billing_adapters.settings import Settings
from billing_core.domain.events import rfc3339
from billing_core.errors import FieldError, InvalidRequest, MalformedMessage, PublishingUnavailable
from billing_core.messages import CONTENT_TYPE, PURCHASE_UPDATED
from billing_core.ports.platforms import PaymentPlatform
from billing_http.edge import TRACEPARENT
from billing_http.problems import CORRELATION_ID
from billing_http.refusals import NotPublished, NotSigned
from billing_http.requests import require_json
from billing_http.state import State
from billing_http.webhook_vendors import Vendor, configured_vendors

SOURCE: Final = "billing-webhook-door"
# Shopify waits five seconds for the whole answer (shopify.dev/docs/apps/build/webhooks).
PUBLISH_S: Final = 3.0
# A Stripe event carries its whole object, 50 metadata values of 500 characters and what changed of them. One refused
# for its size is sent again for days, and may end with Stripe switching the endpoint off.
BODY_BYTES: Final[Mapping[str, int]] = {"/webhooks/shopify": 256 * 1024, "/webhooks/stripe": 256 * 1024}


def webhook_routes(settings: Settings) -> list[Route]:
    """One route for each platform that is sold through and has a secret; none unless the door is switched on."""
    return [
        Route(f"/webhooks/{vendor.platform}", partial(_receive, vendor), methods=["POST"])
        for vendor in configured_vendors(settings)
    ]


async def _receive(vendor: Vendor, request: Request[State]) -> Response:
    body = await _signed_body(vendor, request)
    require_json(request)
    payload = _json_object(body)
    delivery = vendor.delivery(request.headers, payload, body)
    data = {"platform": vendor.platform, "delivery_id": delivery.delivery_id, "topic": delivery.topic}
    outcome = "ignored"
    if delivery.told is not None:
        await _publish(request, data, json.dumps(delivery.told).encode())
        outcome = "published"
    elif delivery.is_ours and (told := _told(request.state["platforms"][vendor.platform], payload)) is not None:
        where = {"platform_domain": delivery.domain} if delivery.domain else {}
        await _publish(request, {**data, **told, **where}, body)
        outcome = "published"
    get_logger("webhooks").info("webhook", outcome=outcome, **data)
    return Response("{}", media_type="application/json")


async def _signed_body(vendor: Vendor, request: Request[State]) -> bytes:
    signatures = request.headers.getlist(vendor.signature_header)
    if len(signatures) != 1:
        raise NotSigned
    body = await request.body()
    if not vendor.is_signed(body, signatures[0], datetime.now(UTC)):
        raise NotSigned
    return body


def _json_object(body: bytes) -> dict[str, Any]:
    # Not as strict as a merchant's request is read: this is the vendor's own text, and goes on as it came. Whatever
    # passes here, the consumer can read, for it reads with the same parser; only what is nested as deeply as that can
    # bear is two levels too deep in its envelope, and parked.
    try:
        document = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as wrong:
        raise InvalidRequest(FieldError(pointer="", detail="the body is not JSON")) from wrong
    if not isinstance(document, dict):
        raise InvalidRequest(FieldError(pointer="", detail="the body must be a JSON object"))
    return document


def _told(platform: PaymentPlatform, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
    """What the notice adds to the message; None where it is no news for Billing. One that cannot be understood goes
    on: the consumer parks it, for people to look at."""
    try:
        notice = platform.read_notice(payload)
    except MalformedMessage:
        return {}
    if notice is None:
        return None
    return {"platform_account_id": notice.platform_account_id} if notice.platform_account_id else {}


async def _publish(request: Request[State], data: Mapping[str, Any], payload: bytes) -> None:
    message_id = f"{data['platform']}:{data['delivery_id']}"
    headers = {"Nats-Msg-Id": message_id, "Content-Type": CONTENT_TYPE}
    message = _message(message_id, data, payload, datetime.now(UTC), request.scope)
    try:
        async with asyncio.timeout(PUBLISH_S):
            await request.state["sender"].send(PURCHASE_UPDATED, message, headers)
    except (PublishingUnavailable, TimeoutError) as away:
        named = {name: data[name] for name in ("platform", "delivery_id", "topic")}  # nobody's account or address
        get_logger("webhooks").warning("webhook_not_published", error=repr(away), **named)
        raise NotPublished from away


def _message(message_id: str, data: Mapping[str, Any], payload: bytes, at: datetime, scope: Mapping[str, Any]) -> bytes:
    """The CloudEvent, with the vendor's own bytes inside: reading and writing them anew could change their numbers."""
    envelope = {
        "specversion": "1.0",
        "id": message_id,
        "type": PURCHASE_UPDATED,
        "source": SOURCE,
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "correlationid": scope[CORRELATION_ID],
        **({"traceparent": scope[TRACEPARENT]} if scope[TRACEPARENT] else {}),
    }
    return _with(envelope, "data", _with({**data, "received_at": rfc3339(at)}, "payload", payload))


def _with(document: Mapping[str, Any], name: str, value: bytes) -> bytes:
    """The document with one more member, whose text is JSON already."""
    return json.dumps(document).encode()[:-1] + f', "{name}": '.encode() + value + b"}"
