"""For each alert: when it fires, and when it must not. Series are as promtool writes them, a value a minute."""

from dataclasses import dataclass, field
from typing import Final

WEBHOOKS: Final = "billing-purchase-updated"
PROCESS: Final = {"job": "billing-http", "instance": "a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`fires` are series under which the alert fires at `at`, with `labels` beside its severity, as it does under those
    of `fires_too`, where there are any; under those of `quiet` it does not."""

    fires: dict[str, str]
    quiet: dict[str, str]
    at: str
    fires_too: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def _count(name: str, per_minute: int, /, **labels: str) -> dict[str, str]:
    """A counter that grows by so many each minute."""
    written = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {f"{name}{{{written}}}": f"0+{per_minute}x60"}


def _steady(name: str, value: float, /, **labels: str) -> dict[str, str]:
    """A gauge that stays."""
    written = ",".join(f'{key}="{each}"' for key, each in labels.items())
    return {f"{name}{{{written}}}": f"{value}x60"}


def _late(name: str, value: int, /, **labels: str) -> dict[str, str]:
    """A counter that is told for the first time after ten minutes, of what had happened by then, and grows no more."""
    written = ",".join(f'{key}="{each}"' for key, each in labels.items())
    return {f"{name}{{{written}}}": f"_x9 {value}x60"}


def _histogram(name: str, *, slow: bool, **labels: str) -> dict[str, str]:
    """A histogram of which all are slow, or all quick."""
    quick = 0 if slow else 60
    return {
        **_count(f"{name}_bucket", quick, le="0.1", **labels),
        **_count(f"{name}_bucket", 60, le="2.5", **labels),
        **_count(f"{name}_bucket", 60, le="+Inf", **labels),
    }


def _requests(ours: int, theirs: int, **more: str) -> dict[str, str]:
    route = {"method": "POST", "route": "/api/billing/purchases", **more}
    return {
        **_count("billing_http_requests_total", ours, status="5xx", **route),
        **_count("billing_http_requests_total", theirs, status="2xx", **route),
    }


CASES: Final[dict[str, Case]] = {
    "BillingProcessDown": Case(
        fires=_steady("up", 0, **PROCESS), quiet=_steady("up", 1, **PROCESS), at="5m", labels=PROCESS
    ),
    "BillingHttpMissing": Case(
        fires=_steady("up", 1, job="billing-worker", instance="a"),
        # One that does not answer is BillingProcessDown's.
        quiet=_steady("up", 0, **PROCESS),
        at="10m",
        labels={"job": "billing-http"},
    ),
    "BillingRequestsFail": Case(
        fires=_requests(10, 90),
        # Probes of a process that is draining are 503 and no trouble.
        quiet={**_requests(1, 99), **_count("billing_http_requests_total", 900, status="5xx", route="/health/ready")},
        at="15m",
    ),
    "BillingRequestsSlow": Case(
        fires=_histogram("billing_http_request_seconds", slow=True, method="GET", route="/api/billing"),
        # A purchase takes as long as its platform.
        quiet={
            **_histogram("billing_http_request_seconds", slow=False, method="GET", route="/api/billing"),
            **_histogram("billing_http_request_seconds", slow=True, method="POST", route="/api/billing/purchases"),
        },
        at="20m",
    ),
    "BillingTokensRefused": Case(
        fires={**_requests(0, 100), **_count("billing_http_problems_total", 80, code="UNAUTHENTICATED")},
        quiet={**_requests(0, 100), **_count("billing_http_problems_total", 30, code="UNAUTHENTICATED")},
        at="30m",
    ),
    "BillingNotMeasured": Case(
        fires=_steady("up", 1, **PROCESS), quiet=_steady("billing_outbox_oldest_seconds", 0), at="10m"
    ),
    "BillingEventsWait": Case(
        fires=_steady("billing_outbox_oldest_seconds", 61),
        quiet=_steady("billing_outbox_oldest_seconds", 59),
        at="5m",
    ),
    "BillingMessagesNotHandled": Case(
        fires=_steady("billing_messages_pending", 1, consumer=WEBHOOKS),
        quiet={
            **_steady("billing_messages_pending", 1, consumer=WEBHOOKS),
            **_count("billing_messages_total", 1, consumer=WEBHOOKS, outcome="retry"),
        },
        at="30m",
        labels={"consumer": WEBHOOKS},
    ),
    "BillingMessagesLate": Case(
        fires=_steady("billing_messages_pending", 1001, consumer=WEBHOOKS),
        quiet=_steady("billing_messages_pending", 1000, consumer=WEBHOOKS),
        at="20m",
        labels={"consumer": WEBHOOKS},
    ),
    "BillingMessagesParked": Case(
        fires=_steady("billing_parked_waiting", 1, consumer=WEBHOOKS),
        quiet=_steady("billing_parked_waiting", 0, consumer=WEBHOOKS),
        at="5m",
        labels={"consumer": WEBHOOKS},
    ),
    "BillingManyMessagesParked": Case(
        fires=_count("billing_messages_total", 3, consumer=WEBHOOKS, outcome="parked"),
        quiet={
            **_count("billing_messages_total", 1, consumer=WEBHOOKS, outcome="parked"),
            **_count("billing_messages_total", 90, consumer=WEBHOOKS, outcome="done"),
        },
        at="20m",
        labels={"consumer": WEBHOOKS},
    ),
    "BillingMessagesRedelivered": Case(
        fires={
            **_count("billing_messages_redelivered_total", 30, consumer=WEBHOOKS),
            **_count("billing_messages_total", 100, consumer=WEBHOOKS, outcome="done"),
        },
        # One message that waits for its purchase is no flood.
        quiet={
            **_count("billing_messages_redelivered_total", 1, consumer=WEBHOOKS),
            **_count("billing_messages_total", 1, consumer=WEBHOOKS, outcome="retry"),
        },
        at="45m",
        labels={"consumer": WEBHOOKS},
    ),
    "BillingMessagesGivenUp": Case(
        fires=_steady("billing_messages_given_up", 1), quiet=_steady("billing_messages_given_up", 0), at="5m"
    ),
    "BillingPaymentsNeedReview": Case(
        fires=_steady("billing_purchases_needing_review", 1),
        quiet=_steady("billing_purchases_needing_review", 0),
        at="20m",
    ),
    "BillingJobLate": Case(
        fires={
            **_steady("billing_job_lag_seconds", 721, name="reconcile-purchases"),
            **_steady("billing_job_interval_seconds", 60, name="reconcile-purchases"),
        },
        quiet={
            **_steady("billing_job_lag_seconds", 719, name="reconcile-purchases"),
            **_steady("billing_job_interval_seconds", 60, name="reconcile-purchases"),
            **_steady("billing_job_lag_seconds", 86000, name="expire-trials"),
            **_steady("billing_job_interval_seconds", 86400, name="expire-trials"),
        },
        at="10m",
        labels={"name": "reconcile-purchases"},
    ),
    "BillingJobFails": Case(
        fires=_count("billing_job_runs_total", 1, name="expire-trials", result="failed"),
        quiet=_count("billing_job_runs_total", 1, name="expire-trials", result="done"),
        at="40m",
        labels={"name": "expire-trials"},
    ),
    "BillingPlatformFails": Case(
        fires={
            **_count("billing_platform_errors_total", 30, platform="stripe", error="PlatformUnavailable"),
            **_count("billing_platform_call_seconds_count", 100, platform="stripe"),
        },
        # A card that is refused is no failure of the platform.
        quiet={
            **_count("billing_platform_errors_total", 90, platform="stripe", error="PlatformRejected"),
            **_count("billing_platform_errors_total", 5, platform="stripe", error="PlatformUnavailable"),
            **_count("billing_platform_call_seconds_count", 100, platform="stripe"),
        },
        at="30m",
        labels={"platform": "stripe"},
    ),
    "BillingPlatformRefusesUs": Case(
        fires=_count("billing_platform_errors_total", 1, platform="shopify", error="PlatformAuthError"),
        quiet=_count("billing_platform_errors_total", 9, platform="shopify", error="PlatformThrottled"),
        at="20m",
        labels={"platform": "shopify"},
    ),
    "BillingPostgresAway": Case(
        fires=_steady("billing_server_up", 0, server="postgres", **PROCESS),
        quiet=_steady("billing_server_up", 1, server="postgres", **PROCESS),
        at="5m",
        labels={"server": "postgres", **PROCESS},
    ),
    "BillingNatsAway": Case(
        fires=_steady("billing_server_up", 0, server="nats", **PROCESS),
        quiet=_steady("billing_server_up", 1, server="nats", **PROCESS),
        at="10m",
        labels={"server": "nats", **PROCESS},
    ),
    "BillingNatsDenies": Case(
        fires=_count("billing_nats_denied_total", 1, operation="publish", permission="evt.billing.>", **PROCESS),
        # The series is there from the first denial on, which may stay the only one.
        fires_too=_late("billing_nats_denied_total", 1, operation="publish", permission="evt.billing.>", **PROCESS),
        # What was denied long ago is over.
        quiet=_steady("billing_nats_denied_total", 3, operation="publish", permission="evt.billing.>", **PROCESS),
        at="15m",
        labels={"operation": "publish", "permission": "evt.billing.>"},
    ),
    "BillingRedisAway": Case(
        fires=_steady("billing_server_up", 0, server="redis", **PROCESS),
        quiet=_steady("billing_server_up", 1, server="redis", **PROCESS),
        at="20m",
        labels={"server": "redis", **PROCESS},
    ),
    "BillingPoolCrowded": Case(
        fires=_count("billing_pool_wait_seconds_total", 180, **PROCESS),
        quiet={
            **_count("billing_pool_wait_seconds_total", 60, **PROCESS),
            **_count("billing_pool_timeouts_total", 0, **PROCESS),
        },
        at="15m",
        labels=PROCESS,
    ),
    "BillingLoopLate": Case(
        fires=_histogram("billing_event_loop_lag_seconds", slow=True, **PROCESS),
        quiet=_histogram("billing_event_loop_lag_seconds", slow=False, **PROCESS),
        at="20m",
        labels=PROCESS,
    ),
    "BillingSchemaBehind": Case(
        fires={
            **_steady("billing_schema_program_revision", 4, instance="old"),
            **_steady("billing_schema_program_revision", 5, instance="new"),
            **_steady("billing_schema_database_revision", 4),
        },
        quiet={
            **_steady("billing_schema_program_revision", 4),
            **_steady("billing_schema_database_revision", 5),
        },
        at="5m",
    ),
    "BillingSchemaAhead": Case(
        fires={
            **_steady("billing_schema_program_revision", 4, instance="old"),
            **_steady("billing_schema_program_revision", 5, instance="new"),
            **_steady("billing_schema_database_revision", 5),
        },
        quiet={
            **_steady("billing_schema_program_revision", 5),
            **_steady("billing_schema_database_revision", 5),
        },
        at="61m",
    ),
    "BillingClockApart": Case(
        fires=_steady("billing_clock_ahead_seconds", -1.5, **PROCESS),
        quiet=_steady("billing_clock_ahead_seconds", 0.9, **PROCESS),
        at="10m",
        labels=PROCESS,
    ),
}
