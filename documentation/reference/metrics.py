"""The metrics, from the registries of the two processes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.figures import Figures
from billing_adapters.postgres.pool import PoolFigures
from billing_adapters.prometheus.pool import PoolMetrics
from billing_core.use_cases.jobs import JobReport, ScheduledJob
from billing_http.metrics import HttpMetrics
from billing_http.rate_limits import RateLimits
from billing_worker.metrics import WorkerMetrics
from documentation.writing import literal, page, table

_NOT_OURS = (ProcessCollector, PlatformCollector, GCCollector)
_POOL = PoolFigures(size=1, idle=1, lent=0, waiting=0, waits=0, waited_s=0.0, timeouts=0)

Row = tuple[str, str, str, str]

_ABOUT = """\
What Prometheus reads, generated from the registries of the two processes. A histogram is told as `…_bucket`, `…_sum`
and `…_count`. Labels come from closed sets. How they are scraped: [operations](../operations.md#alarms); what each
alert asks of you: [runbook](../runbook.md). Besides these, both tell what Prometheus' client for Python tells of a
process by itself (`process_…`, `python_…`).
"""


def metrics(root: Path) -> str:
    """This will write the page: what each process tells, by name, type, labels and meaning."""
    del root  # the metrics are code, not files
    http, worker = _told(_http()), _told(_worker())
    both = [row for row in http if row in worker]
    return page(
        "Metrics",
        _ABOUT,
        "## Both processes",
        _table(both),
        "## The HTTP app",
        _table(row for row in http if row not in both),
        "## The worker",
        "Figures of the database and of NATS are told by the one worker that measures.",
        _table(row for row in worker if row not in both),
    )


def _table(rows: Iterable[Row]) -> str:
    return table(("metric", "type", "labels", "meaning"), rows)


def _http() -> CollectorRegistry:
    told = HttpMetrics()
    told.follow(cast("RateLimits", SimpleNamespace(is_shared=True)))
    return _with_pool(told.registry)


def _worker() -> CollectorRegistry:
    """A worker that measures: the figures it tells then are there only once they were told."""
    told = WorkerMetrics()
    figures = Figures(unpublished=0, oldest_unpublished_s=0.0, parked={}, needs_review=0, jobs={}, revision=1)
    job = ScheduledJob(name="a-job", every=timedelta(minutes=1), run=_never, about="")
    told.standing.tell(figures, [job], running_for_s=0.0)
    told.standing.tell_of_nats({"a-consumer": 0}, given_up=0)
    return _with_pool(told.registry)


async def _never(now: datetime | None = None) -> JobReport:
    raise NotImplementedError(f"it stands in a list, and is not run ({now})")


def _with_pool(registry: CollectorRegistry) -> CollectorRegistry:
    registry.register(PoolMetrics(cast("Database", SimpleNamespace(pool_figures=lambda: _POOL))))
    return registry


def _told(registry: CollectorRegistry) -> Sequence[Row]:
    """Every metric of ours in the registry, by name."""
    rows = []
    for collector in list(registry._collector_to_names):  # noqa: SLF001 - a registry tells its collectors nowhere else
        if not isinstance(collector, _NOT_OURS):
            labels = getattr(collector, "_labelnames", None)
            rows += [_row(family, labels) for family in collector.collect()]
    return sorted(rows)


def _row(family: Metric, labels: Sequence[str] | None) -> Row:
    """`labels` where the metric knows them before it was ever counted; else those of what it tells."""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    known = _labels(family) if labels is None else labels
    return literal(name), family.type, ", ".join(map(literal, known)), family.documentation.rstrip(".") + "."


def _labels(family: Metric) -> Iterator[str]:
    yield from dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
