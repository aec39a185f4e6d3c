"""The pool's figures, read when they are asked for: they are numbers in memory."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from billing_adapters.postgres.database import Database


class PoolMetrics(Collector):
    """The connections to Postgres of one process, and who waits for one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        figures = self._database.pool_figures()
        connections = GaugeMetricFamily("billing_pool_connections", "Connections to Postgres.", labels=["state"])
        connections.add_metric(["idle"], figures.idle)
        connections.add_metric(["lent"], figures.lent)
        yield connections
        yield GaugeMetricFamily("billing_pool_size", "Connections there may be at most.", figures.size)
        yield GaugeMetricFamily("billing_pool_waiting", "Who waits for a connection now.", figures.waiting)
        yield CounterMetricFamily("billing_pool_waits", "How often a connection was not there at once.", figures.waits)
        yield CounterMetricFamily("billing_pool_wait_seconds", "Time spent waiting for connections.", figures.waited_s)
        yield CounterMetricFamily(
            "billing_pool_timeouts", "How often nobody had a connection in time.", figures.timeouts
        )
