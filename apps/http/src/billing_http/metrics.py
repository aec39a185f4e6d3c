"""Metrics in Prometheus' text format. Every label comes from a closed set, so the number of series is bounded."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from billing_adapters.prometheus.process import ProcessMetrics
from billing_http.rate_limits import RateLimits

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMetrics:
    """What the HTTP app counts, in a registry of its own: two apps in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.process = ProcessMetrics(self.registry, app="http")
        self._requests = Counter(
            "billing_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "billing_http_request_seconds",
            "Time to answer",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._refused_connections = Counter(
            "billing_http_connections_refused",
            "Connections that brought no whole request and were told so",
            ["status"],
            registry=self.registry,
        )
        self._problems = Counter("billing_http_problems", "Refusals by code", ["code"], registry=self.registry)
        self.in_flight = 0  # a number, for a gauge locks it twice for each request
        in_flight = Gauge("billing_http_requests_in_flight", "Requests being answered", registry=self.registry)
        in_flight.set_function(lambda: self.in_flight)
        # Finding a series among the labels takes as long as counting in it.
        self._series = cache(self._find_series)

    def observe(self, *, method: str, route: str | None, status: int, problem: str | None, duration_s: float) -> None:
        """This will count one answered request. `route` is the template, None where the path is none of ours."""
        method = method if method in _METHODS else "OTHER"
        requests, seconds = self._series(method, route or UNMATCHED, f"{status // 100}xx")
        requests.inc()
        seconds.observe(duration_s)
        if problem is not None:
            self._problems.labels(problem).inc()

    def refuse_connection(self, *, status: int, problem: str) -> None:
        """This will count a refusal that a connection was told, as no request came of it."""
        self._refused_connections.labels(str(status)).inc()
        self._problems.labels(problem).inc()

    def follow(self, limits: RateLimits | None) -> None:
        """This will tell from now on whether the rate limits are shared, where there are any."""
        if limits is not None:
            shared = Gauge(
                "billing_http_rate_limits_shared",
                "Whether the processes share the rate limits (1), or each keeps to them alone (0)",
                registry=self.registry,
            )
            shared.set_function(lambda: limits.is_shared)

    def text(self) -> bytes:
        """Everything counted so far, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _find_series(self, method: str, route: str, status: str) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, status), self._seconds.labels(method, route)
