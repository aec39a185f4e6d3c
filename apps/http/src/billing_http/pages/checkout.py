"""The sandbox's checkout: a page that looks like one, on which no money moves.

GET shows the offer or, once something was decided, what. POST enters the decision, tells the service the way the
webhook service would, and redirects to GET, so that reloading is harmless.
"""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_adapters.logs import get_logger
from billing_adapters.platforms.sandbox import NAME, SandboxPlatform
from billing_adapters.platforms.sandbox_books import SandboxEntry
from billing_adapters.platforms.sandbox_offer import InvalidOffer, SandboxOffer, is_reference
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import PlatformUnavailable, PublishingUnavailable
from billing_http.edge import TRACEPARENT
from billing_http.pages.documents import SECURITY_HEADERS, document, trouble
from billing_http.pages.notices import send_notice
from billing_http.problems import CORRELATION_ID
from billing_http.state import State

_ACTIONS = {"pay": PaymentStatus.PAID, "decline": PaymentStatus.DECLINED, "expire": PaymentStatus.EXPIRED}
_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_BYTES = 4096


async def checkout_page(request: Request[State]) -> Response:
    """The checkout of one purchase, for `GET` and `POST`."""
    platform, reference = request.state["platforms"].get(NAME), request.path_params["reference"]
    if not isinstance(platform, SandboxPlatform) or not is_reference(reference):
        return _unknown()
    try:
        offer = platform.read_offer(reference, request.query_params.get("offer", ""))
        if request.method == "POST":
            return await _decide(request, platform, offer)
        return await _show(request, platform, offer)
    except InvalidOffer:
        return _not_genuine()
    except PlatformUnavailable:
        return _away()


async def _show(request: Request[State], platform: SandboxPlatform, offer: SandboxOffer) -> Response:
    decided = await platform.decision(offer)
    if decided is not None:
        asked = _ACTIONS.get(request.query_params.get("asked", ""))
        return document(
            "checkout_decided.html",
            offer=offer,
            status=decided.status.value,
            asked=asked.value if asked is not None and asked is not decided.status else None,
            notice_unsent=request.query_params.get("notice") == "unsent",
        )
    over = offer.is_over(datetime.now(UTC))
    # Also for clients that do not know that a form without an address goes where the page came from.
    action = f"{request.url.path}?{urlencode({'offer': request.query_params['offer']})}"
    return document("checkout.html", status_code=410 if over else 200, offer=offer, over=over, action=action)


async def _decide(request: Request[State], platform: SandboxPlatform, offer: SandboxOffer) -> Response:
    action = await _action(request)
    if isinstance(action, Response):
        return action
    if offer.is_over(datetime.now(UTC)):
        return await _show(request, platform, offer)
    decided = await platform.decide(offer, _ACTIONS[action])
    marks = {"offer": request.query_params["offer"]}
    if decided.status is not _ACTIONS[action]:
        marks["asked"] = action
    elif not await _told(request, decided):
        marks["notice"] = "unsent"
    # Relative, and to ourselves: whatever host the browser came by, it stays there.
    return RedirectResponse(f"{request.url.path}?{urlencode(marks)}", 303, headers=SECURITY_HEADERS)


async def _action(request: Request[State]) -> str | Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return trouble(415, "This is not the checkout's form", "The checkout is answered with its own three buttons.")
    body = await request.body()
    try:
        fields = parse_qsl(body.decode("ascii"), max_num_fields=8) if len(body) <= _MAX_FORM_BYTES else []
    except ValueError:
        fields = []
    actions = [value for name, value in fields if name == "action"]
    if len(actions) != 1 or actions[0] not in _ACTIONS:
        return trouble(400, "Choose one of the three buttons", "Nothing was decided: the form named no known action.")
    return actions[0]


async def _told(request: Request[State], decided: SandboxEntry) -> bool:
    try:
        ids = request.scope.get(CORRELATION_ID), request.scope.get(TRACEPARENT)
        await send_notice(request.state["sender"], decided, datetime.now(UTC), *ids)
    except PublishingUnavailable as away:
        # The decision stands in the books, where the reconciler finds it: the page says so, and nothing is lost.
        get_logger("sandbox").warning("sandbox_notice_unsent", reference=decided.reference, error=str(away))
        return False
    return True


def _unknown() -> Response:
    return trouble(404, "There is no such checkout", "This address does not belong to a checkout of the sandbox.")


def _not_genuine() -> Response:
    return trouble(
        400,
        "This checkout link is not genuine",
        "The offer in the address is missing or was changed, so nothing can be paid here.",
        remedy="Go back to the shop and open the checkout again from there.",
    )


def _away() -> Response:
    response = trouble(
        503,
        "The sandbox is away for a moment",
        "Its books cannot be reached right now, so nothing was decided.",
        remedy="Load this page again in a few seconds.",
    )
    response.headers["Retry-After"] = "2"
    return response
