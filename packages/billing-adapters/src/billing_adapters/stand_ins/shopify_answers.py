"""How Shopify's door reads a GraphQL request, and how it answers one that it does not serve."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

_BUCKET, _RESTORE_RATE = 2000.0, 100.0
# Made up but for their order of size, which is Shopify's: a mutation 10, an object 1, a list more.
_COSTS = {"create": 10, "look_up": 1, "find": 34}
_THROTTLED = {
    "message": "Throttled",
    "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
}


async def read_request(request: web.Request) -> Mapping[str, Any]:
    """The GraphQL request `{query, variables, operationName}`. Raises HTTPBadRequest where it is none."""
    try:
        asked = await request.json()
    except ValueError:
        raise _bad_request("Bad Request") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        raise _bad_request({"query": "Required parameter missing or invalid"})
    if not isinstance(asked.get("variables") or {}, dict):
        raise _bad_request({"variables": "Required parameter missing or invalid"})
    return asked


def with_cost(answer: Mapping[str, Any], operation: str) -> web.Response:
    """An executed document's answer, HTTP 200; with its cost unless the document itself was wrong."""
    cost = {"extensions": _cost(operation)} if "data" in answer else {}
    return web.json_response({**answer, **cost})


def throttled(operation: str) -> web.Response:
    """The Admin API's "slower": HTTP 200 with an error and the cost that says how long to wait."""
    return web.json_response({"errors": [_THROTTLED], "extensions": _cost(operation, is_throttled=True)})


def too_many_requests(retry_after_s: float | None = None) -> web.Response:
    """HTTP 429, the Partner API's only "slower". `Retry-After` is a float, unlike HTTP's own."""
    return refusal(
        429, "Too Many Requests", {} if retry_after_s is None else {"Retry-After": str(float(retry_after_s))}
    )


def unauthorized() -> web.Response:
    """HTTP 401, for a token that is none of ours, is revoked or has run out."""
    return refusal(401, "[API] Invalid API key or access token (unrecognized login or wrong password)")


def refusal(status: int, errors: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal before any document is read: `errors` is a text then."""
    return web.json_response({"errors": errors}, status=status, headers=headers)


def _cost(operation: str, *, is_throttled: bool = False) -> Mapping[str, Any]:
    requested = _COSTS.get(operation, 1)
    return {
        "cost": {
            "requestedQueryCost": requested,
            "actualQueryCost": None if is_throttled else requested,
            "throttleStatus": {
                "maximumAvailable": _BUCKET,
                "currentlyAvailable": 0 if is_throttled else _BUCKET - requested,
                "restoreRate": _RESTORE_RATE,
            },
        }
    }


def _bad_request(errors: object) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"errors": errors}), content_type="application/json")
