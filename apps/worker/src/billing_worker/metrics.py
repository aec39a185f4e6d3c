"""What the worker counts. Labels come from closed sets only: consumers, outcomes, jobs."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from billing_adapters.nats.streams import CONSUMERS
from billing_adapters.postgres.figures import Figures
from billing_adapters.prometheus.process import ProcessMetrics
from billing_core.use_cases.jobs import ScheduledJob

# How long what the one that measures told is still told: after that, silence says that nobody measures.
TOLD_FOR_S: Final = 60.0


class WorkerMetrics:
    """The worker's figures in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.process = ProcessMetrics(self.registry, app="worker")
        self.standing = StandingMetrics()
        self.registry.register(self.standing)
        self.messages = Counter(
            "billing_messages_total",
            "Messages by what became of them.",
            ["consumer", "outcome"],
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "billing_batch_handle_seconds", "Time to handle one batch.", ["consumer"], registry=self.registry
        )
        self.redelivered = Counter(
            "billing_messages_redelivered_total", "Messages delivered before.", ["consumer"], registry=self.registry
        )
        self.published = Counter("billing_events_published_total", "Events relayed.", registry=self.registry)
        self.relay_failures = Counter(
            "billing_relay_failures_total", "Relay rounds that ended in an outage.", ["code"], registry=self.registry
        )
        self.jobs = Counter("billing_job_runs_total", "Job runs.", ["name", "result"], registry=self.registry)


class StandingMetrics(Collector):
    """How things stand for all processes together. Told by the one worker that measures, while it does; the others
    tell nothing of it rather than what was so when they last looked."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is the clock by which what was told gets old."""
        self._now_s, self._told_until_s = now_s, -math.inf
        self._registry = CollectorRegistry()
        self._unpublished = self._gauge("billing_outbox_unpublished", "Events that wait to be published.")
        self._oldest = self._gauge("billing_outbox_oldest_seconds", "Age of the oldest event that waits.")
        self._parked = self._gauge("billing_parked_waiting", "Messages that wait for a person.", "consumer")
        self._review = self._gauge("billing_purchases_needing_review", "Payments that wait for a person's decision.")
        self._pending = self._gauge("billing_messages_pending", "Messages not handled yet.", "consumer")
        self._given_up = self._gauge("billing_messages_given_up", "Messages NATS stopped delivering to us.")
        self._job_lag = self._gauge("billing_job_lag_seconds", "Time since a job's last finished run.", "name")
        self._job_every = self._gauge("billing_job_interval_seconds", "How often a job is to run.", "name")
        self._revision = self._gauge("billing_schema_database_revision", "The schema the database has.")

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return self._registry.collect() if self._now_s() < self._told_until_s else ()

    def tell(self, figures: Figures, jobs: Sequence[ScheduledJob], *, running_for_s: float) -> None:
        """This will tell what was measured, for `TOLD_FOR_S` seconds. A job that never finished is as late as this
        worker is old."""
        self._unpublished.set(figures.unpublished)
        self._oldest.set(figures.oldest_unpublished_s)
        self._review.set(figures.needs_review)
        self._revision.set(figures.revision)
        for plan in CONSUMERS:
            self._parked.labels(plan.durable).set(figures.parked.get(plan.durable, 0))
        for job in jobs:
            self._job_lag.labels(job.name).set(figures.jobs.get(job.name, running_for_s))
            self._job_every.labels(job.name).set(job.every.total_seconds())
        self._told_until_s = self._now_s() + TOLD_FOR_S

    def tell_of_nats(self, pending: dict[str, int], given_up: int) -> None:
        """This will tell what NATS says; while it is away what it said last stands."""
        for consumer, messages in pending.items():
            self._pending.labels(consumer).set(messages)
        self._given_up.set(given_up)

    def fall_silent(self) -> None:
        """This will tell nothing from now on: another one measures."""
        self._told_until_s = -math.inf

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry)
