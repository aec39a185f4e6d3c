"""The words of the OpenAPI document that no model has: what parameters, headers, tags and tokens are for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from billing_http.openapi_examples import A_CORRELATION_ID, A_PURCHASE_ID
from billing_http.requests import IDEMPOTENCY_KEY_PATTERN

TAGS: Final[Mapping[str, str]] = {
    "Overview": "Everything about the merchant at once.",
    "Trials": "One trial for each shop, ever.",
    "Purchases": "Credit packs: opened here, paid on the platform's page, told as `evt.billing.credits.purchased`.",
    "Packs": "What the merchant can buy, at the merchant's prices.",
    "Service": "For orchestrators and Prometheus.",
}

_DESCRIPTION = """\
Trials and credit packs of one merchant, who is named by the token and by nothing else.

**Every request** to `/api/billing` carries `Authorization: Bearer` with a JWT (`iss`, `aud`, `exp`, `iat`, `sub`,
`merchant_id`, `platform`, `scope`) and `X-Platform`, equal to the token's platform.

**Every POST** carries an `Idempotency-Key`, new for each new request and the same when repeating one: then the first
answer is told again, with `Idempotency-Replayed: true`, for 24 hours. Nothing is ever bought twice by repeating it.

**Refusals** are problem documents (RFC 9457). Branch on `code`; `detail` is for people. Repeat a request, under the
same key, after 429, 503, and 409 `IDEMPOTENCY_KEY_IN_USE`, when `Retry-After` says; and after 502 where `retryable` is
true.

| code | status | |
|---|---|---|
"""


def description(refusals: Iterable[tuple[str, int, str]]) -> str:
    """What is the same everywhere, with a table of code, status and title."""
    return _DESCRIPTION + "".join(f"| `{code}` | {status} | {title} |\n" for code, status, title in refusals)


TOKEN: Final[Mapping[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": (
        "Signed with HS256, RS256, ES256 or EdDSA, whichever this Billing is configured with. Scopes: `billing:read` "
        "to ask, `billing:write` to start a trial or buy, `metrics:read` for `/metrics`."
    ),
}


def _parameter(name: str, place: str, text: str, schema: dict[str, Any], example: str) -> dict[str, Any]:
    required = place == "path"
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema, "example": example}


def platform(platforms: Sequence[str]) -> dict[str, Any]:
    """The header X-Platform."""
    schema = {"type": "string", "enum": list(platforms)}
    text = "The platform the merchant is on; the token's and the merchant's own."
    return {**_parameter("X-Platform", "header", text, schema, platforms[-1]), "required": True}


IDEMPOTENCY_KEY: Final = {
    **_parameter(
        "Idempotency-Key",
        "header",
        "Visible ASCII, bare or as a quoted string; new for each new request, the same when repeating one.",
        {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
        "5b0f6f1e-9a53-4d0e-8f57-2f4f6a3f8a11",
    ),
    "required": True,
}
CORRELATION_ID: Final = _parameter(
    "X-Correlation-Id",
    "header",
    # No pattern: what is not well formed is replaced, and never refused.
    "Names the request in logs and events. Taken where it has 1-128 characters of A-Z a-z 0-9 . _ : -; otherwise made.",
    {"type": "string"},
    A_CORRELATION_ID,
)
TRACEPARENT: Final = _parameter(
    "traceparent",
    "header",
    "The caller's trace (W3C Trace Context), which is continued where it is well formed.",
    {"type": "string"},
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
PATH: Final = {"id": _parameter("id", "path", "The purchase's id.", {"type": "string"}, A_PURCHASE_ID)}
QUERY: Final[Mapping[str, Any]] = {
    "status": "completed",
    "limit": 20,
    "cursor": "AZnDqG8CfDGNVTsfDJp-IQ",
    "archived": False,
}
BODIES: Final[Mapping[str, Any]] = {
    "Nothing": {"nothing": {"summary": "No fields", "value": {}}},
    "NewPurchase": {
        "pack": {
            "summary": "A pack, in the merchant's own currency",
            "value": {"pack": "large", "return_url": "https://shop.example/billing"},
        },
        "currency": {
            "summary": "A pack, in a currency",
            "value": {"pack": "small", "return_url": "https://shop.example/billing", "currency": "USD"},
        },
    },
}

_TEXT: Final = {"type": "string"}
# Of what is admitted and of what is not (429); there only while a limit is set.
RATE_LIMIT: Final[Mapping[str, Any]] = {
    "RateLimit": {
        "description": "How many requests are left, and in how many seconds there will be more.",
        "schema": _TEXT,
        "example": '"merchant";r=599;t=1',
    },
    "RateLimit-Policy": {
        "description": "Requests (q) of one merchant in so many seconds (w), and how many of them at once.",
        "schema": _TEXT,
        "example": '"merchant";q=6000;w=60;billing-burst=600',
    },
}
HEADERS: Final[Mapping[str, Any]] = {
    **RATE_LIMIT,
    "traceresponse": {
        "description": "The answer's span, where traces are exported (W3C Trace Context, level 2).",
        "schema": _TEXT,
        "example": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    },
    "X-Correlation-Id": {
        "description": "The request's name in logs and events.",
        "required": True,
        "schema": _TEXT,
        "example": A_CORRELATION_ID,
    },
    "Location": {
        "description": "Where what was made is shown.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/api/billing/purchases/{A_PURCHASE_ID}",
    },
    "Idempotency-Replayed": {
        "description": "Sent where this is the first answer under the key, told again.",
        "schema": {"const": "true"},
        "example": "true",
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is repeated.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "example": "2",
    },
    "WWW-Authenticate": {
        "description": "What the token lacks (RFC 6750).",
        "schema": _TEXT,
        "example": 'Bearer realm="billing"',
    },
    "Accept-Post": {
        "description": "The media type that is accepted.",
        "schema": _TEXT,
        "example": "application/json",
    },
}

METRICS: Final = 'billing_http_requests_total{method="GET",route="/api/billing",status="200"} 1.0\n'
