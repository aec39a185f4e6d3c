"""What every process of ours tells: how late its loop is, its pool, its servers, its clock, its calls to platforms."""

import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from billing_adapters.nats.denials import Denial
from billing_adapters.postgres.revisions import newest_revision
from billing_core.errors import PlatformError

_LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_CALL_BUCKETS_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


class ProcessMetrics:
    """Metrics of the process and of what it leans on. Labels are from closed sets: servers, configured platforms, the
    kinds of `PlatformError`."""

    def __init__(self, registry: CollectorRegistry, *, app: str) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.registry = registry
        self.loop_lag = Histogram(
            "billing_event_loop_lag_seconds",
            "How late the event loop woke whoever asked to be woken.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        self._servers: dict[str, bool] = {}
        self._server_up = Gauge(
            "billing_server_up",
            "Whether the server answered when this process last asked (every 10 s).",
            ["server"],
            registry=registry,
        )
        self.clock_ahead_seconds = Gauge(
            "billing_clock_ahead_seconds",
            "How far the clock is ahead of the database's; negative where it is behind.",
            registry=registry,
        )
        self._nats_denied = Counter(
            "billing_nats_denied",
            "What NATS did not permit, by the permission that is missing.",
            ["operation", "permission"],
            registry=registry,
        )
        self._platform_seconds = Histogram(
            "billing_platform_call_seconds",
            "Time a call to a payment platform took.",
            ["platform"],
            buckets=_CALL_BUCKETS_S,
            registry=registry,
        )
        self._platform_errors = Counter(
            "billing_platform_errors", "Calls that failed, by kind.", ["platform", "error"], registry=registry
        )
        build = Gauge("billing_build_info", "The version that runs.", ["version", "app"], registry=registry)
        build.labels(version(f"billing-{app}"), app).set(1)
        schema = Gauge("billing_schema_program_revision", "The newest schema the program knows.", registry=registry)
        schema.set(newest_revision())
        # By which another thread can tell whether the loop still turns.
        self.beaten_at_s = time.monotonic()

    def note_servers(self, answered: Mapping[str, bool]) -> None:
        """This will note which servers answered."""
        self._servers = dict(answered)
        for server, up in answered.items():
            self._server_up.labels(server).set(up)

    def servers(self) -> Mapping[str, bool]:
        """Which servers answered when they were last asked; empty before the first time."""
        return self._servers

    def beat(self) -> None:
        """This will note that the event loop turns."""
        self.beaten_at_s = time.monotonic()

    def count_denial(self, denial: Denial) -> None:
        """This will count something NATS did not permit."""
        self._nats_denied.labels(denial.operation, denial.permission).inc()

    def expect_platform(self, platform: str) -> None:
        """This will tell every kind of failure of the platform from nought: of a series that begins with its first
        failure, Prometheus' increase() does not see that one."""
        for kind in _kinds(PlatformError):
            self._platform_errors.labels(platform, kind.__name__)

    def note_platform_call(self, platform: str, error: PlatformError | None, duration_s: float) -> None:
        """This will count one call to a payment platform; `error` is how it failed."""
        self._platform_seconds.labels(platform).observe(duration_s)
        if error is not None:
            self._platform_errors.labels(platform, type(error).__name__).inc()


def _kinds(kind: type[PlatformError]) -> Iterator[type[PlatformError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)
