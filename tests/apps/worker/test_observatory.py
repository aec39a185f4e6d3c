"""The worker's port for those who watch it."""

import socket
from collections.abc import Iterator

import httpx2
import pytest

from billing_worker.metrics import WorkerMetrics
from billing_worker.observatory import STUCK_AFTER_S, Observatory


@pytest.fixture
def metrics() -> WorkerMetrics:
    """A worker that reaches every server."""
    metrics = WorkerMetrics()
    metrics.process.note_servers({"postgres": True, "redis": True, "nats": True})
    return metrics


@pytest.fixture
def client(metrics: WorkerMetrics) -> Iterator[httpx2.Client]:
    """Somebody who watches it."""
    port = free_port()
    with (
        Observatory(metrics, host="127.0.0.1", port=port),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield client
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/metrics")  # and it is gone with the block


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_metrics_are_what_is_counted(client: httpx2.Client, metrics: WorkerMetrics) -> None:
    """Of the work and of the process, in Prometheus' text."""
    metrics.published.inc(3)

    answer = client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "billing_events_published_total 3.0" in answer.text
    assert 'billing_server_up{server="nats"} 1.0' in answer.text
    assert "process_resident_memory_bytes" in answer.text


@pytest.mark.parametrize(
    ("away", "status", "code"),
    [([], "ok", 200), (["redis"], "degraded", 200), (["nats"], "degraded", 200), (["postgres"], "unavailable", 503)],
)
def test_ready_is_who_reaches_postgres(
    client: httpx2.Client, metrics: WorkerMetrics, away: list[str], status: str, code: int
) -> None:
    """As for the HTTP app; of what was measured last, so that asking costs no server anything."""
    metrics.process.note_servers({name: name not in away for name in ("postgres", "redis", "nats")})

    answer = client.get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert {name for name, told in answer.json()["checks"].items() if told == "down"} == set(away)


def test_before_anything_was_measured_nobody_is_ready(client: httpx2.Client, metrics: WorkerMetrics) -> None:
    """A worker that has just begun does not know yet."""
    metrics.process.note_servers({})

    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").json() == {"status": "ok"}


def test_a_loop_that_hangs_is_told(client: httpx2.Client, metrics: WorkerMetrics) -> None:
    """By a thread beside it: then an orchestrator starts the worker again."""
    metrics.process.beaten_at_s -= STUCK_AFTER_S

    live, ready = client.get("/health/live"), client.get("/health/ready")

    assert (live.status_code, live.json()) == (503, {"status": "stuck"})
    assert (ready.status_code, ready.json()["status"]) == (503, "stuck")


def test_nothing_else_is_here(client: httpx2.Client) -> None:
    """Neither at other paths, nor for who wants to change something."""
    assert client.get("/").status_code == 404
    assert client.post("/metrics").status_code == 405


def test_off_nothing_listens(metrics: WorkerMetrics) -> None:
    """Port 0 is off, as by default."""
    with Observatory(metrics, host="127.0.0.1", port=0) as nothing:
        assert nothing is None


def test_a_port_that_is_taken_is_told_at_once(metrics: WorkerMetrics) -> None:
    """Before anything is opened."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Observatory(metrics, host="127.0.0.1", port=int(taken.getsockname()[1]))
