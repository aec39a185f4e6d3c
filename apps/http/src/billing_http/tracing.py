"""A span for each request (semantic conventions for HTTP servers). Imported only where traces are exported."""

from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.types import Scope

from billing_adapters.opentelemetry.tracing import Tracing, is_sampled, traceparent_of
from billing_http.problems import PROBLEM_CODE

# What asks whether we are there is nobody's trace.
_QUIET: Final = ("/health", "/metrics")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestSpans:
    """Begins the spans of requests."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def begin(self, scope: Scope, correlation_id: str, traceparent: str | None) -> "RequestSpan | None":
        """The span of the request, current from now on: in the caller's trace, or where the caller has none in one that
        begins here. None for what is not traced."""
        if scope["path"].startswith(_QUIET):
            return None
        method = _method(scope)
        attributes: dict[str, Any] = {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
            "network.protocol.version": scope["http_version"],
            "billing.correlation_id": correlation_id,
        }
        host, port = scope.get("server") or (None, None)
        if host is not None:
            attributes["server.address"] = host
        if port is not None:
            attributes["server.port"] = port
        span = self._tracing.enter(
            method, traceparent=traceparent, correlation_id=correlation_id, kind=SpanKind.SERVER, attributes=attributes
        )
        return RequestSpan(span, traceparent)


class RequestSpan:
    """The span of one request. `traceparent` is what the request is answered under: the span, or what the caller sent
    where it is not sampled; `response` is what the caller is told."""

    __slots__ = ("_span", "_token", "response", "traceparent")

    def __init__(self, span: Span, traceparent: str | None) -> None:
        self._span = span
        self.response = traceparent_of(span)
        self.traceparent = self.response if is_sampled(span) else traceparent
        self._token = context.attach(trace.set_span_in_context(span))

    def end(self, scope: Scope, status: int) -> None:
        """This will end it with the answer that was given: a fault of the caller is none of the service."""
        route = getattr(scope.get("route"), "path", None)
        span = self._span
        if span.is_recording():
            span.set_attribute("http.response.status_code", status)
            if route is not None:
                span.update_name(f"{_method(scope)} {route}")
                span.set_attribute("http.route", route)
            if (problem := scope.get(PROBLEM_CODE)) is not None:
                span.set_attribute("billing.problem.code", problem)
            if (merchant_id := scope.get("billing.merchant_id")) is not None:
                span.set_attribute("billing.merchant_id", merchant_id)
            if status >= 500 or status == 0:
                span.set_attribute("error.type", problem or str(status))
                span.set_status(StatusCode.ERROR)
        span.end()
        context.detach(self._token)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"
