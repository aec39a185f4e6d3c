"""What an HTTP answer of Shopify's GraphQL APIs means: data, or one error of our tree.

Sources: shopify.dev `api/usage/response-codes`, `api/admin-graphql#status_and_error_codes`, and `api/partner`, which
tells most failures inside an HTTP 200 too, under codes that are the numbers of HTTP.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import httpx2

from billing_adapters.logs import get_logger
from billing_adapters.platforms.shopify.shapes import NAME
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)

DEFAULT_WAIT_S = 2.0
LONGEST_WAIT_S = 600.0
TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - a header's name
_SHORTEST_TOKEN = 8
_LARGEST_FIGURE = 1e12
_LOGGED_CHARACTERS = 200

_Refusal = tuple[type[PlatformError], str]
_BY_STATUS: Mapping[int, _Refusal] = {
    401: (PlatformAuthError, "it does not accept the token"),
    402: (PlatformRejected, "the shop is frozen"),
    403: (PlatformAuthError, "it does not allow the app to do this"),
    404: (PlatformAuthError, "it knows no such shop"),
    408: (PlatformUnavailable, "it gave up waiting"),
    423: (PlatformRejected, "the shop is locked"),
    429: (PlatformThrottled, "it asks for fewer requests"),
    430: (PlatformThrottled, "it asks for fewer requests"),
}
# The first that is found counts, so that a refusal for good never hides a failure whose effect is unknown.
_BY_CODE: Mapping[str, _Refusal] = {
    "INTERNAL_SERVER_ERROR": (PlatformUnavailable, "it failed"),
    "500": (PlatformUnavailable, "it failed"),
    "THROTTLED": (PlatformThrottled, "it asks for fewer requests"),
    "429": (PlatformThrottled, "it asks for fewer requests"),
    "401": (PlatformAuthError, "it does not accept the token"),
    "ACCESS_DENIED": (PlatformAuthError, "it does not allow the app to do this"),
    "SHOP_INACTIVE": (PlatformRejected, "the shop is inactive"),
}


def read_answer(response: httpx2.Response) -> Mapping[str, Any]:
    """This will give the `data` of a GraphQL answer. Raises the PlatformError that says why there is none."""
    if response.status_code != 200:
        raise _refusal_of_status(response)
    body = read_json(response)
    if errors := body.get("errors"):
        raise _refusal_of_errors(response, body, errors)
    data = body.get("data")
    if not _is_object(data):
        raise PlatformProtocolError(NAME, "it answered without data")
    return data


def read_json(response: httpx2.Response) -> Mapping[str, Any]:
    """This will give the JSON object of an answer. Raises PlatformProtocolError where it is something else."""
    try:
        body = json.loads(_without_token(response))
    except (ValueError, RecursionError) as wrong:
        _log_refusal(response, ["not JSON"])
        raise PlatformProtocolError(NAME, "it did not answer with JSON") from wrong
    if not _is_object(body):
        raise PlatformProtocolError(NAME, "it did not answer with a JSON object")
    return body


def _without_token(response: httpx2.Response) -> bytes:
    """The answer as it came, except that the token it was asked with is not in it: its messages are logged."""
    token = response.request.headers.get(TOKEN_HEADER, "").encode()
    return response.content.replace(token, b"********") if len(token) >= _SHORTEST_TOKEN else response.content


def retry_after_s(response: httpx2.Response) -> float | None:
    """The seconds of `Retry-After`, which Shopify sends as a decimal number, up to ten minutes; None without any."""
    try:
        wait_s = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(wait_s, 0.0), LONGEST_WAIT_S) if math.isfinite(wait_s) else None


def _refusal_of_status(response: httpx2.Response) -> PlatformError:
    status = response.status_code
    _log_refusal(response, [])
    wait_s = retry_after_s(response)
    if status >= 500:
        return PlatformUnavailable(NAME, "it failed", retry_after_s=wait_s)
    error, detail = _BY_STATUS.get(status, (PlatformProtocolError, "it answered an unexpected HTTP status"))
    if error is PlatformThrottled and wait_s is None:
        wait_s = DEFAULT_WAIT_S
    return error(NAME, detail, retry_after_s=wait_s)


def _refusal_of_errors(response: httpx2.Response, body: Mapping[str, Any], errors: object) -> PlatformError:
    listed = [each for each in errors if _is_object(each)] if isinstance(errors, list) else []
    _log_refusal(response, [str(each.get("message"))[:_LOGGED_CHARACTERS] for each in listed[:5]])
    codes = {_extensions(each).get("code") for each in listed}
    for code, (error, detail) in _BY_CODE.items():
        if code in codes:
            wait_s = _restored_after_s(body) if error is PlatformThrottled else None
            return error(NAME, detail, retry_after_s=wait_s)
    return PlatformProtocolError(NAME, "it does not understand the request")


def _restored_after_s(body: Mapping[str, Any]) -> float:
    """How long until the bucket holds what the query costs, from the `cost` extension of a throttled answer."""
    cost = _extensions(body).get("cost")
    status = cost.get("throttleStatus") if _is_object(cost) else None
    if not _is_object(cost) or not _is_object(status):
        return DEFAULT_WAIT_S
    asked, left, rate = cost.get("requestedQueryCost"), status.get("currentlyAvailable"), status.get("restoreRate")
    if not (_is_figure(asked) and _is_figure(left) and _is_figure(rate)) or rate <= 0:
        return DEFAULT_WAIT_S
    return min(max((asked - left) / rate, 0.0), LONGEST_WAIT_S)


def _extensions(part: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = part.get("extensions")
    return extensions if _is_object(extensions) else {}


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _is_figure(value: object) -> TypeGuard[float]:
    """Whether it is a number to reckon with: JSON has larger ones than a float takes, and Python's has NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_FIGURE


def _log_refusal(response: httpx2.Response, messages: list[str]) -> None:
    get_logger(NAME).warning(
        "shopify.refused",
        status=response.status_code,
        messages=messages,
        request_id=response.headers.get("X-Request-Id", "")[:_LOGGED_CHARACTERS],
    )
