"""Refusals as `application/problem+json` (RFC 9457): one table from errors to status and title.

`type` is `urn:billing:problem:CODE`: a name, stable for ever, that is not meant to be opened.
"""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Scope

from billing_core import errors
from billing_core.errors import BillingError, InvalidRequest, PlatformError, PublishingUnavailable, StorageUnavailable
from billing_http import refusals

MEDIA_TYPE = "application/problem+json"
CORRELATION_ID = "billing.correlation_id"
PROBLEM_CODE = "billing.problem_code"

# Subclasses are told like their nearest class here; what is not here is a fault of ours (500).
TABLE: Mapping[type[BillingError], tuple[int, str]] = {
    errors.InvalidRequest: (400, "The request is not valid"),
    errors.InvalidPack: (400, "Unknown credit pack"),
    errors.InvalidPlatform: (400, "Unknown platform"),
    errors.PlatformMismatch: (403, "Wrong platform"),
    errors.MerchantNotFound: (404, "Unknown merchant"),
    errors.PurchaseNotFound: (404, "Unknown purchase"),
    errors.TrialAlreadyUsed: (409, "The trial has been used"),
    errors.TooManyOpenPurchases: (409, "Too many open purchases"),
    errors.IdempotencyKeyReused: (422, "Idempotency key used for another request"),
    errors.IdempotencyKeyInUse: (409, "The first request is still running"),
    errors.PlatformError: (502, "The payment platform did not do what was asked"),
    errors.StorageUnavailable: (503, "Billing is not available right now"),
    errors.RateLimited: (429, "Too many requests"),
    errors.PublishingUnavailable: (503, "Messages cannot be sent right now"),
    refusals.Unauthenticated: (401, "No valid token"),
    refusals.Forbidden: (403, "The token does not allow this"),
    refusals.NotSigned: (401, "No valid signature"),
    refusals.KeysUnavailable: (503, "Tokens cannot be verified right now"),
    refusals.IdempotencyKeyRequired: (400, "No usable idempotency key"),
    refusals.NotFound: (404, "Not found"),
    refusals.MethodNotAllowed: (405, "Method not allowed"),
    refusals.RequestTimeout: (408, "The request did not arrive in time"),
    refusals.PayloadTooLarge: (413, "The body is too large"),
    refusals.UriTooLong: (414, "The path or query is too long"),
    refusals.UnsupportedMediaType: (415, "The body is not announced as JSON"),
    refusals.HeadersTooLarge: (431, "The headers are too large"),
    refusals.NotPublished: (503, "Webhooks cannot be passed on right now"),
    refusals.Crowded: (503, "More is asked than can be answered in time"),
    refusals.ShuttingDown: (503, "This process is stopping"),
    refusals.InternalError: (500, "Internal error"),
}


class FieldProblem(BaseModel):
    """One thing wrong with the request."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the field or query parameter; empty is the whole.")
    detail: str


class Problem(BaseModel):
    """A refusal (RFC 9457). Programs branch on `code`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(examples=["urn:billing:problem:INVALID_PACK"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(examples=["INVALID_PACK"])
    correlation_id: str
    errors: tuple[FieldProblem, ...] | None = Field(default=None, description="Only with INVALID_REQUEST.")
    retryable: bool | None = Field(default=None, description="Only with PLATFORM_ERROR.")
    platform: str | None = Field(default=None, description="Only with PLATFORM_ERROR.")


def status_of(error: type[BillingError]) -> int:
    """The status a refusal of this kind is told with."""
    return _entry(error)[0]


def problem_response(scope: Scope, error: BillingError) -> Response:
    """This will tell a refusal, noting its code for the log and the metrics."""
    status, title = _entry(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        error = refusals.InternalError()
    scope[PROBLEM_CODE] = error.code
    document = {
        "type": f"urn:billing:problem:{error.code}",
        "title": title,
        "status": status,
        "detail": _detail(error),
        "instance": quote(scope["path"], safe="/:@!$&'()*+,;=~")[:2048],
        "code": error.code,
        "correlation_id": scope.get(CORRELATION_ID, ""),
        **_members(error),
    }
    return Response(json.dumps(document), status, headers=_headers(error), media_type=MEDIA_TYPE)


def _entry(error: type[BillingError]) -> tuple[int, str]:
    return next((TABLE[kind] for kind in error.__mro__ if kind in TABLE), TABLE[refusals.InternalError])


def _detail(error: BillingError) -> str:
    # What a platform, the broker or a database said stays in the log.
    if isinstance(error, PlatformError):
        again = "Send the same request again, with the same Idempotency-Key." if error.retryable else "Try no more."
        return f"The payment platform made no checkout. {again}"
    if isinstance(error, PublishingUnavailable):
        return "Nothing was sent. Try again later."
    if isinstance(error, StorageUnavailable):
        return "Nothing was decided. Send the same request again, with the same Idempotency-Key."
    return str(error)


def _members(error: BillingError) -> dict[str, Any]:
    if isinstance(error, InvalidRequest):
        return {"errors": [{"pointer": each.pointer, "detail": each.detail} for each in error.errors]}
    if isinstance(error, PlatformError):
        return {"retryable": error.retryable, "platform": error.platform}
    return {}


def _headers(error: BillingError) -> dict[str, str]:
    headers = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if isinstance(error, refusals.Unauthenticated):
        invalid = f', error="invalid_token", error_description="{error}"' if error.token_sent else ""
        headers["WWW-Authenticate"] = f'Bearer realm="billing"{invalid}'
    elif isinstance(error, refusals.NotSigned):
        headers["WWW-Authenticate"] = 'Signature realm="webhooks"'  # a 401 needs one (RFC 9110 §11.6.1)
    elif isinstance(error, refusals.Forbidden):
        headers["WWW-Authenticate"] = f'Bearer realm="billing", error="insufficient_scope", scope="{error.scope}"'
    elif isinstance(error, refusals.MethodNotAllowed):
        headers["Allow"] = error.allowed
    elif isinstance(error, refusals.UnsupportedMediaType):
        headers["Accept-Post"] = "application/json"
    elif isinstance(error, refusals.RequestTimeout):
        headers["Connection"] = "close"
    return headers
