"""What surrounds every request, as plain ASGI: ids and headers, the log line and the metrics, limits on what comes in.

From the outside in: `Correlation`, `Observation`, `Limits`.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from uuid import UUID

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing_adapters.logs import get_logger
from billing_http.metrics import HttpMetrics
from billing_http.problems import CORRELATION_ID, PROBLEM_CODE, problem_response
from billing_http.refusals import (
    HeadersTooLarge,
    HttpRefusal,
    InternalError,
    PayloadTooLarge,
    RequestTimeout,
    ShuttingDown,
    UriTooLong,
)

TRACEPARENT = "billing.traceparent"
MAX_BODY_BYTES = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024
BODY_TIMEOUT_S = 10.0

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
# Version ff and ids of zeros are not valid (W3C Trace Context §3.2.2).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAFETY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class Correlation:
    """Gives every request its correlation id, continues a trace that came with it, and sets the safety headers."""

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], UUID]) -> None:
        self._app, self._new_id = app, new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = _one_header(scope, b"x-correlation-id", _CORRELATION_ID) or str(self._new_id())
        scope[CORRELATION_ID] = correlation_id
        scope[TRACEPARENT] = _one_header(scope, b"traceparent", _TRACEPARENT)
        always = ((b"x-correlation-id", correlation_id.encode()), *_SAFETY_HEADERS)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}  # a page's own policy stands
                message["headers"] = [*headers, *(each for each in always if each[0] not in present)]
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            await self._app(scope, receive, send_with_headers)


class Observation:
    """Logs and counts every request, and answers what nothing else answered."""

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics) -> None:
        self._app, self._metrics = app, metrics
        self._log = get_logger("http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started_s = 0, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, watch)
            except ClientDisconnect:
                status = 499  # nobody is there to be answered; the number is what proxies log for it
            except asyncio.CancelledError:
                if status == 0:  # the grace period of a stopping process is over
                    await problem_response(scope, ShuttingDown())(scope, receive, watch)
                raise
            except Exception:
                self._log.exception("request_failed")
                if status != 0:
                    raise  # half an answer is out: only the server can end it
                await problem_response(scope, InternalError())(scope, receive, watch)
            finally:
                self._note(scope, status, time.perf_counter() - started_s)

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


class Limits:
    """Bounds the size of a request's target, headers and body, and the time its body may take. `body_bytes` has the
    paths whose bodies have another limit than `MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp, *, body_bytes: Mapping[str, int]) -> None:
        self._app, self._body_bytes = app, body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal: HttpRefusal | None = None
        if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            refusal = UriTooLong()
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            refusal = HeadersTooLarge()
        if refusal is not None:
            await problem_response(scope, refusal)(scope, receive, send)
            return
        limit_bytes = self._body_bytes.get(scope["path"], MAX_BODY_BYTES)
        await self._app(scope, _BoundedBody(scope, receive, limit_bytes), send)


class _BoundedBody:
    """A request's `receive`: raises PayloadTooLarge and RequestTimeout to whoever reads the body."""

    def __init__(self, scope: Scope, receive: Receive, limit_bytes: int) -> None:
        self._receive, self._limit_bytes = receive, limit_bytes
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        self._left = limit_bytes
        self._too_large = not declared.isdigit() or len(declared) > 10 or int(declared) > limit_bytes
        self._deadline_s: float | None = None
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        if self._too_large:
            raise PayloadTooLarge(self._limit_bytes)
        if self._deadline_s is None:
            self._deadline_s = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
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


def _one_header(scope: Scope, name: bytes, pattern: re.Pattern[str]) -> str | None:
    values = [value for given, value in scope["headers"] if given == name]
    text = values[0].decode("latin-1") if len(values) == 1 else ""
    return text if pattern.fullmatch(text) else None
