"""The development page: a developer, as a merchant, tries everything the service does.

It calls the real API with a real token; the page itself can do nothing a caller of the API could not.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from billing_adapters.settings import Settings
from billing_core.domain.events import rfc3339
from billing_core.domain.merchants import MERCHANT_ID
from billing_core.errors import PublishingUnavailable
from billing_core.messages import CONTENT_TYPE, MERCHANT_CREATED
from billing_core.ports.publishing import MessageSender
from billing_http.pages.documents import SECURITY_HEADERS, document, trouble
from billing_http.state import State

DEFAULT_MERCHANT = "dev-merchant"  # the one `billing up` announces
TOKEN_LIFETIME_S = 600
_SUBJECT = "development-page"
_STATIC = "/development/static"
_MAX_FORM_BYTES = 4096
_trouble = partial(trouble, static=_STATIC)


async def development_page(request: Request[State]) -> Response:
    """The page itself, as the merchant of `?merchant=` on `?platform=`."""
    settings = request.state["settings"]
    merchant_id, platform = _who(request.query_params, settings)
    if not _is_merchant(merchant_id, platform, settings):
        return _no_such_merchant(settings)
    return document(
        "development.html",
        static=_STATIC,
        merchant_id=merchant_id,
        platform=platform,
        platforms=settings.platforms,
    )


async def receipt_page(request: Request[State]) -> Response:
    """The receipt of one purchase, to be printed; what it says comes from the API."""
    settings = request.state["settings"]
    merchant_id, platform = _who(request.query_params, settings)
    if not _is_merchant(merchant_id, platform, settings):
        return _no_such_merchant(settings)
    return document(
        "receipt.html",
        static=_STATIC,
        merchant_id=merchant_id,
        platform=platform,
        purchase_id=request.path_params["purchase_id"],
        back=_page_of(merchant_id, platform),
    )


async def development_token(request: Request[State]) -> Response:
    """A short-lived token for the page's merchant."""
    settings = request.state["settings"]
    merchant_id, platform = _who(request.query_params, settings)
    secret = settings.signing_secret()
    if secret is None or not _is_merchant(merchant_id, platform, settings):
        return _no_such_merchant(settings)
    now_s = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": _SUBJECT,
        "iat": now_s,
        "exp": now_s + TOKEN_LIFETIME_S,
        "merchant_id": merchant_id,
        "platform": platform,
        "scope": "billing:read billing:write",
    }
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret.encode()), algorithms=["HS256"])
    return JSONResponse({"token": token, "lifetime_s": TOKEN_LIFETIME_S}, headers=SECURITY_HEADERS)


async def announce_merchant(request: Request[State]) -> Response:
    """This will announce a merchant as another service would, and show the page as that merchant."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return _trouble(403, "This form was sent from another site", "Nothing was announced.")
    settings, body = request.state["settings"], await request.body()
    merchant_id, platform = _who(_fields(body), settings)
    if not _is_merchant(merchant_id, platform, settings):
        return _no_such_merchant(settings)
    try:
        await _announce(request.state["sender"], merchant_id, platform)
    except PublishingUnavailable:
        remedy = "Start NATS, or look at /health, then try again."
        return _trouble(503, "NATS is away", "The merchant could not be announced.", remedy=remedy)
    return RedirectResponse(_page_of(merchant_id, platform), 303, SECURITY_HEADERS)


async def _announce(sender: MessageSender, merchant_id: str, platform: str) -> None:
    message_id = str(uuid4())
    announcement = {
        "specversion": "1.0",
        "id": message_id,
        "type": MERCHANT_CREATED,
        "source": _SUBJECT,
        "subject": merchant_id,
        "time": rfc3339(datetime.now(UTC)),
        "datacontenttype": "application/json",
        "data": {"merchant_id": merchant_id, "platform": platform},
    }
    headers = {"Nats-Msg-Id": message_id, "Content-Type": CONTENT_TYPE}
    await sender.send(MERCHANT_CREATED, json.dumps(announcement).encode(), headers)


def _fields(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(body.decode("ascii"), max_num_fields=8) if len(body) <= _MAX_FORM_BYTES else []
    except ValueError:
        fields = []
    return {"merchant": "", **dict(fields)}  # a form names its merchant; there is no usual one


def _who(values: Mapping[str, str], settings: Settings) -> tuple[str, str]:
    usual = "sandbox" if "sandbox" in settings.platforms else settings.platforms[0]
    return values.get("merchant", DEFAULT_MERCHANT), values.get("platform", usual)


def _page_of(merchant_id: str, platform: str) -> str:
    return f"/?{urlencode({'merchant': merchant_id, 'platform': platform})}"


def _is_merchant(merchant_id: str, platform: str, settings: Settings) -> bool:
    return MERCHANT_ID.fullmatch(merchant_id) is not None and platform in settings.platforms


def _no_such_merchant(settings: Settings) -> Response:
    return _trouble(
        400,
        "That cannot be a merchant",
        "A merchant id has 1 to 128 characters of A-Z a-z 0-9 . _ : and -.",
        f"The platform is one of: {', '.join(settings.platforms)}.",
    )
