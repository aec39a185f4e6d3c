"""Health: what an orchestrator learns."""

import asyncio

import pytest
from tests.apps.http.door import Door, up

from billing_http.state import Probe


async def _refuses() -> None:
    raise ConnectionError("secret address")


async def _says_no() -> bool:
    return False


async def _hangs() -> None:
    await asyncio.Event().wait()


async def test_all_is_well(door: Door) -> None:
    """With every server there the answer is 200 and names them."""
    for path in ("/health", "/health/ready"):
        answer = await door.client.get(path)

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "version": "0.1.0",
            "checks": {"postgres": "up", "redis": "up", "nats": "up"},
        }


@pytest.mark.parametrize("probe", [_refuses, _says_no, _hangs])
@pytest.mark.parametrize(
    ("server", "status", "ready"),
    [("postgres", "unavailable", 503), ("redis", "degraded", 200), ("nats", "degraded", 200)],
)
async def test_a_server_is_away(door: Door, probe: Probe, server: str, status: str, ready: int) -> None:
    """Postgres is needed; without Redis or NATS the service is degraded and ready. A silent server is away."""
    door.probes[server] = probe

    answer = await door.client.get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (ready, status)
    assert answer.json()["checks"] == {"postgres": "up", "redis": "up", "nats": "up"} | {server: "down"}
    assert "secret" not in answer.text


async def test_a_draining_process_is_alive_but_not_ready(door: Door) -> None:
    """About to stop, it sends new requests elsewhere and still answers those that come."""
    door.drain.begin()

    ready, live, request = (
        await door.client.get("/health/ready"),
        await door.client.get("/health/live"),
        await door.get("/api/billing"),
    )

    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert (live.status_code, live.json()["status"]) == (200, "ok")
    assert request.status_code == 200


async def test_alive_asks_nobody(door: Door) -> None:
    """A server that is away must not have the process killed."""
    door.probes.update(postgres=_hangs, redis=_hangs, nats=_hangs)

    assert (await door.client.get("/health/live")).status_code == 200
    door.probes.update(postgres=up)
