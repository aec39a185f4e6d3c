"""The handlers of `/api/billing`: each reads its request, asks one use case and tells the answer."""

import re
from typing import Annotated, Any
from uuid import UUID

import pydantic_core
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PurchaseNotFound
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.read_billing import CURSOR_PATTERN
from billing_core.views import View
from billing_http.requests import Nothing, RequestModel, idempotency_key, read_body, read_query
from billing_http.state import State
from billing_http.time_limits import STORAGE_S, within

JSON = "application/json"
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_STATUS_OF_OUTCOME = {"created": 201, "reused": 200}


class NewPurchase(RequestModel):
    """What to buy and where to return to."""

    pack: str = Field(examples=["large"], description="The code of a pack from GET /api/billing/packs.")
    return_url: str = Field(examples=["https://shop.example/billing"], description="Where the merchant goes back to.")
    currency: str | None = Field(
        default=None, pattern=r"^[A-Z]{3}$", examples=["USD"], description="Default: the merchant's own."
    )


def _limit(text: Any) -> int:
    if isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,2}", text) and int(text) <= 100:
        return int(text)
    raise ValueError("must be a whole number from 1 to 100")


def _flag(text: Any) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(text == "true")


class PurchasesQuery(RequestModel):
    """Which purchases to list."""

    status: PurchaseStatus | None = Field(default=None, strict=False, description="Only those of this status.")
    limit: Annotated[int, BeforeValidator(_limit)] = Field(default=20, ge=1, le=100, description="How many at most.")
    cursor: str | None = Field(
        default=None, description="`next_cursor` of the page before.", json_schema_extra={"pattern": CURSOR_PATTERN}
    )
    archived: Annotated[bool, BeforeValidator(_flag)] = Field(
        default=False, description="Those that were archived instead of the live ones."
    )


async def overview(request: Request[State], caller: Caller) -> Response:
    """Everything about the merchant's billing."""
    read_query(request, Nothing)
    async with within(STORAGE_S):
        return _document(await request.state["read"].overview(caller))


async def activate_trial(request: Request[State], caller: Caller) -> Response:
    """Start the merchant's one trial."""
    key = idempotency_key(request)
    await read_body(request, Nothing)
    async with within(STORAGE_S):
        answered = await request.state["activate_trial"](caller, key)
    return _answer(answered, location="/api/billing/trials")


async def show_trial(request: Request[State], caller: Caller) -> Response:
    """The merchant's trial; `available` before the first."""
    read_query(request, Nothing)
    async with within(STORAGE_S):
        return _document(await request.state["read"].trial(caller))


async def create_purchase(request: Request[State], caller: Caller) -> Response:
    """Buy a credit pack: opens a purchase and a page where it is paid."""
    key = idempotency_key(request)
    body = await read_body(request, NewPurchase)
    wanted = PurchaseRequest(pack=body.pack, return_url=body.return_url, currency=body.currency)
    answered = await request.state["create_purchase"](caller, key, wanted)  # each of its steps is bounded
    purchase_id = pydantic_core.from_json(answered.answer.document)["id"]
    return _answer(answered, location=f"/api/billing/purchases/{purchase_id}")


async def list_purchases(request: Request[State], caller: Caller) -> Response:
    """The merchant's purchases, newest first."""
    query = read_query(request, PurchasesQuery)
    async with within(STORAGE_S):
        page = await request.state["read"].purchases(
            caller, status=query.status, archived=query.archived, cursor=query.cursor, limit=query.limit
        )
    return _document(page)


async def show_purchase(request: Request[State], caller: Caller) -> Response:
    """One purchase, archived or not."""
    read_query(request, Nothing)
    purchase_id = _purchase_id(request)
    async with within(STORAGE_S):
        return _document(await request.state["read"].purchase(caller, purchase_id))


async def show_history(request: Request[State], caller: Caller) -> Response:
    """Who changed what about a purchase, when and why."""
    read_query(request, Nothing)
    purchase_id = _purchase_id(request)
    async with within(STORAGE_S):
        return _document(await request.state["read"].purchase_history(caller, purchase_id))


async def list_packs(request: Request[State], caller: Caller) -> Response:
    """What the merchant can buy."""
    read_query(request, Nothing)
    async with within(STORAGE_S):
        return _document(await request.state["read"].packs(caller))


def _purchase_id(request: Request[State]) -> UUID:
    text = request.path_params["id"]
    if not _UUID.fullmatch(text):
        raise PurchaseNotFound
    return UUID(text)


def _document(view: View) -> Response:
    return Response(view.to_json(), media_type=JSON)


def _answer(answered: Answered, *, location: str) -> Response:
    status = _STATUS_OF_OUTCOME[answered.answer.outcome]
    headers = {"Location": location} if status == 201 else {}
    if answered.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answered.answer.document, status, headers=headers, media_type=JSON)
