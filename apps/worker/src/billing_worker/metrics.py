"""What the worker counts. Labels come from closed sets only: consumers, outcomes, jobs."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from billing_adapters.nats.denials import Denial


class WorkerMetrics:
    """The worker's figures in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self.jobs = Counter("billing_job_runs_total", "Job runs.", ["job", "result"], registry=self.registry)
        self.outbox_unpublished = Gauge(
            "billing_outbox_unpublished", "Events that wait to be published.", registry=self.registry
        )
        self.outbox_oldest_seconds = Gauge(
            "billing_outbox_oldest_seconds", "Age of the oldest event that waits.", registry=self.registry
        )
        self.parked_waiting = Gauge(
            "billing_parked_waiting", "Messages that wait for a person.", registry=self.registry
        )
        self.clock_ahead_seconds = Gauge(
            "billing_clock_ahead_seconds",
            "How far the clock is ahead of the database's; negative where it is behind.",
            registry=self.registry,
        )
        self.given_up = Gauge(
            "billing_messages_given_up", "Messages NATS stopped delivering to us.", registry=self.registry
        )
        self.nats_denied = Counter(
            "billing_nats_denied_total",
            "What NATS did not permit, by the permission that is missing.",
            ["operation", "permission"],
            registry=self.registry,
        )

    def count_denial(self, denial: Denial) -> None:
        """This will count something NATS did not permit."""
        self.nats_denied.labels(denial.operation, denial.permission).inc()

    def serve(self, port: int, host: str) -> None:
        """This will answer Prometheus on a port of its own; 0 is off."""
        if port:
            start_http_server(port, addr=host, registry=self.registry)
