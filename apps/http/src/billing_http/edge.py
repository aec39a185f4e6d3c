"""The edge: what surrounds every request, as one plain ASGI layer.

It reads the head, gives the request its ids, bounds what comes in, tells refusals as problems, sets the safety
headers, and logs and counts every answer. One layer and not one for each, Starlette's own two for errors included:
every layer is a frame and a closure for each message of each request.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing_adapters.logs import get_logger
from billing_adapters.tracing import trace_id_of
from billing_core.errors import BillingError, PlatformError, StorageUnavailable
from billing_http.head import HEAD, Head
from billing_http.metrics import HttpMetrics
from billing_http.problems import CORRELATION_ID, PROBLEM_CODE, problem_response, status_of
from billing_http.rate_limits import RATE_LIMIT
from billing_http.refusals import (
    HeadersTooLarge,
    HttpRefusal,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    ShuttingDown,
    UriTooLong,
)

if TYPE_CHECKING:
    from billing_http.tracing import RequestSpan

TRACEPARENT = "billing.traceparent"
MAX_BODY_BYTES = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024
BODY_TIMEOUT_S = 10.0

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
# Version ff and ids of zeros are not valid (W3C Trace Context §3.2.2).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
SAFETY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
)
_SAFETY_NAMES = frozenset(name for name, _ in SAFETY_HEADERS)


class Edge:
    """Surrounds the routes. `body_bytes` has the paths whose bodies have another limit than `MAX_BODY_BYTES`."""

    def __init__(
        self, app: ASGIApp, *, new_id: Callable[[], str], metrics: HttpMetrics, body_bytes: Mapping[str, int]
    ) -> None:
        self._app, self._new_id, self._metrics, self._body_bytes = app, new_id, metrics, body_bytes
        self._log = get_logger("http").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the module."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        head = scope[HEAD] = Head(scope["headers"])
        correlation_id = head.one_like(b"x-correlation-id", _CORRELATION_ID) or self._new_id()
        scope[CORRELATION_ID] = correlation_id
        traceparent = scope[TRACEPARENT] = head.one_like(b"traceparent", _TRACEPARENT)
        # Servers give every request a context of its own, which ends with it.
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)
        answer = _Answer(scope, send, correlation_id)
        spans = scope["state"].get("spans")
        span = None if spans is None else spans.begin(scope, correlation_id, traceparent)
        if span is not None:
            _follow(span, scope, answer)
        elif traceparent is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace_id_of(traceparent))
        self._metrics.in_flight += 1
        try:
            await self._answer(scope, head, receive, answer)
        finally:
            self._metrics.in_flight -= 1
            self._note(scope, answer.status, time.perf_counter() - started_s)
            if span is not None:
                span.end(scope, answer.status)

    async def _answer(self, scope: Scope, head: Head, receive: Receive, answer: "_Answer") -> None:
        try:
            if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
                raise UriTooLong
            if head.size_bytes > MAX_HEADER_BYTES:
                raise HeadersTooLarge
            limit_bytes = self._body_bytes.get(scope["path"], MAX_BODY_BYTES)
            await self._app(scope, _BoundedBody(head, receive, limit_bytes), answer.send)
        except ClientDisconnect:
            answer.status = 499  # nobody is there to be answered; the number is what proxies log for it
        except asyncio.CancelledError:
            if answer.status == 0:  # the grace period of a stopping process is over
                await problem_response(scope, ShuttingDown())(scope, receive, answer.send)
            raise
        except Exception as refusal:
            if answer.status != 0:
                self._log.exception("request_failed")
                raise  # half an answer is out: only the server can end it
            await problem_response(scope, self._known(refusal))(scope, receive, answer.send)

    def _known(self, refusal: Exception) -> BillingError:
        """What to tell of it; what is not foreseen, or is a server's trouble, is logged."""
        if isinstance(refusal, HTTPException):
            return _refused_route(refusal)
        if not isinstance(refusal, BillingError):
            self._log.exception("request_failed")
            return InternalError()
        if isinstance(refusal, (PlatformError, StorageUnavailable)):
            self._log.warning("not_available", error=type(refusal).__name__, reason=str(refusal))
        elif status_of(type(refusal)) == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log.error("unexpected_refusal", exc_info=refusal)
        return refusal

    def _note(self, scope: Scope, status: int, duration_s: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        problem = scope.get(PROBLEM_CODE)
        self._metrics.observe(
            method=scope["method"], route=route, status=status, problem=problem, duration_s=duration_s
        )
        quiet = route is not None and route.startswith(("/health", "/metrics"))
        (self._log.debug if quiet else self._log.info)(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            problem=problem,
            duration_ms=round(duration_s * 1000, 2),
            merchant_id=scope.get("billing.merchant_id"),
        )


def _follow(span: "RequestSpan", scope: Scope, answer: "_Answer") -> None:
    """What comes of the request is in the span's trace, what is logged names it, and so does the answer."""
    scope[TRACEPARENT] = span.traceparent
    structlog.contextvars.bind_contextvars(trace_id=trace_id_of(span.response))
    answer.always.append((b"traceresponse", span.response.encode()))


class _Answer:
    """What goes back: notes the status, and adds the headers every answer has. A page's own policy stands."""

    __slots__ = ("_scope", "_send", "always", "status")

    def __init__(self, scope: Scope, send: Send, correlation_id: str) -> None:
        self._scope, self._send, self.status = scope, send, 0
        self.always = [(b"x-correlation-id", correlation_id.encode())]

    async def send(self, message: Message) -> None:
        """See `Send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self.always, *self._scope.get(RATE_LIMIT, ())]
            if _SAFETY_NAMES.isdisjoint([name for name, _ in headers]):
                message["headers"] = [*headers, *SAFETY_HEADERS]
            else:
                present = {name for name, _ in headers}
                missing = (each for each in SAFETY_HEADERS if each[0] not in present)
                message["headers"] = [*headers, *missing]
        await self._send(message)


class _BoundedBody:
    """A request's `receive`: raises PayloadTooLarge and RequestTimeout to whoever reads the body."""

    __slots__ = ("_complete", "_deadline_s", "_head", "_left", "_limit_bytes", "_receive", "_too_large")

    def __init__(self, head: Head, receive: Receive, limit_bytes: int) -> None:
        self._head, self._receive, self._limit_bytes, self._left = head, receive, limit_bytes, limit_bytes
        self._deadline_s: float | None = None
        self._too_large = self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        if self._deadline_s is None:
            self._deadline_s = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
            declared = next(iter(self._head.every(b"content-length")), "0")
            self._too_large = not declared.isdigit() or len(declared) > 10 or int(declared) > self._limit_bytes
        if self._too_large:
            raise PayloadTooLarge(self._limit_bytes)
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError as late:
            raise RequestTimeout from late
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._too_large = True
            raise PayloadTooLarge(self._limit_bytes)
        self._complete = not message.get("more_body", False)
        return message


def _refused_route(refusal: HTTPException) -> HttpRefusal:
    """Starlette's own refusals: no route, or not this method."""
    if refusal.status_code == HTTPStatus.NOT_FOUND:
        return NotFound()
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed(str((refusal.headers or {}).get("Allow", "")).split(", "))
    return InternalError()
