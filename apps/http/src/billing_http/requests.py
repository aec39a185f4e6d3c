"""Reading requests: who asks, under which key, with which query and body. What is wrong is refused here."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from billing_core.errors import FieldError, InvalidPlatform, InvalidRequest, PlatformMismatch
from billing_core.use_cases.caller import Caller
from billing_http.edge import TRACEPARENT
from billing_http.head import head_of
from billing_http.json_documents import MAX_ERRORS, pointer, read_json
from billing_http.problems import CORRELATION_ID
from billing_http.refusals import Crowded, Forbidden, IdempotencyKeyRequired, Unauthenticated, UnsupportedMediaType
from billing_http.state import State
from billing_http.tokens import Principal

MERCHANT_ID = "billing.merchant_id"

_BEARER = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE)
_JSON = re.compile(r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)
# 1-255 visible ASCII characters, bare or as a quoted string; one that begins with a quote can only be quoted.
_BARE_KEY = re.compile(r"[!#-~][!-~]{0,254}")
_QUOTED_KEY = re.compile(r'"((?:[!#-\[\]-~]|\\["\\]){1,255})"')
IDEMPOTENCY_KEY_PATTERN = f"^(?:{_BARE_KEY.pattern}|{_QUOTED_KEY.pattern})$"

M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """What callers send: strict types, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(RequestModel):
    """No fields: `{}` as a body, no parameters as a query."""


async def authenticate(request: Request[State], scope: str) -> Principal:
    """This will verify the token and that it has the scope. Raises Unauthenticated, Forbidden, KeysUnavailable."""
    bearer = _BEARER.fullmatch(head_of(request.scope).one(b"authorization"))
    if bearer is None:
        raise Unauthenticated
    principal = await request.state["tokens"].verify(bearer[1])
    request.scope[MERCHANT_ID] = principal.merchant_id
    if scope not in principal.scopes:
        raise Forbidden(scope)
    return principal


async def identify(request: Request[State], scope: str) -> Caller:
    """This will tell who asks, for which merchant on which platform.

    Raises Crowded, what `authenticate` raises, then InvalidPlatform, then PlatformMismatch.
    """
    if request.state["is_crowded"]():
        raise Crowded  # before anything is spent on a request that nobody would get to
    principal = await authenticate(request, scope)
    configured = request.state["settings"].platforms
    platform = head_of(request.scope).one(b"x-platform")
    if platform not in configured:
        raise InvalidPlatform(configured)
    if platform != principal.platform:
        raise PlatformMismatch
    return Caller(
        merchant_id=principal.merchant_id,
        platform=platform,
        subject=principal.subject,
        correlation_id=request.scope[CORRELATION_ID],
        traceparent=request.scope[TRACEPARENT],
    )


def idempotency_key(request: Request[State]) -> str:
    """The key's text, the same whether it came bare or quoted (RFC 9651 §3.3.3). Raises IdempotencyKeyRequired."""
    value = head_of(request.scope).one(b"idempotency-key")
    if _BARE_KEY.fullmatch(value):
        return value
    quoted = _QUOTED_KEY.fullmatch(value)
    if quoted is None:
        raise IdempotencyKeyRequired
    return re.sub(r"\\(.)", r"\1", quoted[1])


def read_query(request: Request[State], model: type[M]) -> M:
    """This will read the query's parameters. Raises InvalidRequest for unknown, doubled and wrong ones."""
    given = request.query_params.multi_items() if request.scope["query_string"] else []
    doubled = [name for name, times in Counter(name for name, _ in given).items() if times > 1]
    if doubled:
        errors = (FieldError(pointer=pointer(name), detail="is given more than once") for name in doubled[:MAX_ERRORS])
        raise InvalidRequest(*errors)
    return _validated(model, dict(given))


async def read_body(request: Request[State], model: type[M]) -> M:
    """This will read the JSON body of a request without query parameters.

    Raises UnsupportedMediaType, PayloadTooLarge, RequestTimeout, then InvalidRequest.
    """
    require_json(request)
    body = await _whole_body(request.receive)
    if request.scope["query_string"]:
        read_query(request, Nothing)
    document = read_json(body)
    if not isinstance(document, dict):
        raise InvalidRequest(FieldError(pointer="", detail="the body must be a JSON object"))
    return _validated(model, document)


async def _whole_body(receive: Receive) -> bytes:
    """Starlette's `Request.body`, without a generator for what mostly comes as one piece."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def require_json(request: Request[State]) -> None:
    """This will check that the body is announced as plain JSON. Raises UnsupportedMediaType."""
    head = head_of(request.scope)
    if not _JSON.fullmatch(head.one(b"content-type")) or not {"identity"}.issuperset(head.every(b"content-encoding")):
        raise UnsupportedMediaType


def _validated(model: type[M], values: Mapping[str, object]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
        raise InvalidRequest(
            *(FieldError(pointer=pointer(*each["loc"]), detail=each["msg"]) for each in errors)
        ) from wrong
