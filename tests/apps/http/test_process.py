"""The real process: it starts, says where, serves real servers, stops in order, and refuses what must not run."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from tests.apps.http.door import RETURN_URL, SECRET, signed, some_claims

from billing_adapters.clock import SystemClock
from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing import a_merchant
from billing_http.main import main

DEADLINE_S = 60.0
WAITING = "select count(*) from pg_locks where not granted"
NOWHERE = {
    "BILLING_DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none",
    "BILLING_REDIS_URL": "redis://127.0.0.1:1/0",
    "BILLING_NATS_URL": "nats://127.0.0.1:1",
}


class Process:
    """A running `python -m billing_http`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
        defaults = {"BILLING_JWT_SECRET": SECRET, "BILLING_PORT": "0", "BILLING_DOCS": "on"}
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "billing_http"],
                cwd=folder,
                env={**clean, **defaults, **environment},
                stdout=log,
                stderr=log,
            )

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, as far as it is JSON."""
        whole = [line for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [json.loads(line) for line in whole]

    def url(self) -> str:
        """Where it listens, once it does."""
        line = until(lambda: next((each for each in self.lines() if each["event"] == "listening"), None), self)
        return f"http://{line['host']}:{line['port']}"

    def exit_code(self) -> int:
        """How it ended, once it did."""
        return self.popen.wait(DEADLINE_S)


def until(fact: Callable[[], Any], process: Process) -> Any:
    """This will poll until the fact holds, and give it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := fact():
            return found
        if process.popen.poll() is not None:
            break
        time.sleep(0.02)
    pytest.fail(f"it never happened; the log says: {process.log.read_text('utf-8')}")


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Process]:
    """A process that is gone at the end."""
    process = Process(folder, environment)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.wait()


def token(**claims: Any) -> str:
    """A token for `merchant-1`, good now."""
    good = {"iss": "billing-development", "scope": "billing:read billing:write metrics:read"}
    return signed(some_claims(SystemClock(), "merchant-1", **(good | claims)))


def headers(key: str) -> dict[str, str]:
    """The headers of a good request."""
    return {"Authorization": f"Bearer {token()}", "X-Platform": "sandbox", "Idempotency-Key": key}


async def test_the_main_act_on_real_servers(
    tmp_path: Path, database: Database, database_url: str, redis_url: str, nats_url: str
) -> None:
    """A merchant starts the trial, buys and reads it all back through the real process and servers."""
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([a_merchant("merchant-1")])
        await uow.commit()
    urls = {"BILLING_DATABASE_URL": database_url, "BILLING_REDIS_URL": redis_url, "BILLING_NATS_URL": nats_url}
    with running(tmp_path, **urls) as process:
        async with httpx2.AsyncClient(base_url=await asyncio.to_thread(process.url), timeout=60) as client:
            health = await client.get("/health")
            trial = await client.post("/api/billing/trials", headers=headers("trial"), json={})
            wanted = {"pack": "large", "return_url": RETURN_URL}
            bought = await client.post("/api/billing/purchases", headers=headers("buy"), json=wanted)
            again = await client.post("/api/billing/purchases", headers=headers('"buy"'), json=wanted)
            large = await client.post("/api/billing/trials", headers=headers("large"), content=b" " * 70_000)
            overview = await client.get("/api/billing", headers=headers("none"))
            foreign = await client.get(f"{bought.headers['location']}", headers=headers("none"))
            metrics = await client.get("/metrics", headers=headers("none"))

    assert (health.status_code, health.json()["checks"]) == (200, {"postgres": "up", "redis": "up", "nats": "up"})
    assert (trial.status_code, bought.status_code, again.status_code, large.status_code) == (201, 201, 201, 415)
    assert bought.json()["checkout_url"].startswith(str(client.base_url))
    assert (again.content, again.headers["idempotency-replayed"]) == (bought.content, "true")
    assert overview.json()["trial"] == trial.json()
    assert foreign.json() == bought.json()
    assert 'route="/api/billing/purchases"' in metrics.text
    assert SECRET not in process.log.read_text("utf-8")
    assert token().rpartition(".")[2] not in process.log.read_text("utf-8")


async def _slowly(started: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"{"
    started.set()
    await go_on.wait()
    yield b"}"


async def test_it_stops_in_order(tmp_path: Path) -> None:
    """Told to stop it becomes unready, answers the request it is reading, and ends with 0. Its servers being away
    hinders neither start nor stop, and is told within the time allowed."""
    started, go_on = asyncio.Event(), asyncio.Event()
    with running(tmp_path, **NOWHERE) as process:
        async with httpx2.AsyncClient(base_url=await asyncio.to_thread(process.url), timeout=60) as client:
            sent = {**headers("trial"), "Content-Type": "application/json"}
            request = client.post("/api/billing/trials", headers=sent, content=_slowly(started, go_on))
            under_way = asyncio.create_task(request)
            await started.wait()
            live = await client.get("/health/live")
            process.popen.send_signal(signal.SIGTERM)
            ready = await client.get("/health/ready")
            go_on.set()
            answered = await under_way
        code = await asyncio.to_thread(process.exit_code)

    assert live.status_code == 200
    assert ready.status_code == 503
    assert (answered.status_code, answered.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert code == 0
    assert [line["status"] for line in process.lines() if line["event"] == "request"] == [503]


async def test_requests_under_way_are_finished(
    tmp_path: Path, database: Database, database_url: str, redis_url: str
) -> None:
    """Told to stop while sixteen requests wait for the database, it answers every one as if nothing was, ends with 0
    and leaves no session behind."""
    watcher = await asyncpg.connect(database_url)
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([a_merchant("merchant-1")])
        await uow.commit()
    urls = {"BILLING_DATABASE_URL": database_url, "BILLING_REDIS_URL": redis_url, "BILLING_DATABASE_POOL_SIZE": "20"}
    with running(tmp_path, **NOWHERE | urls) as process:
        async with httpx2.AsyncClient(base_url=await asyncio.to_thread(process.url), timeout=60) as client:
            await client.get("/api/billing", headers=headers("none"))  # connections are made, the rest is quick
            async with watcher.transaction():
                await watcher.execute("select * from merchants for update")
                under_way = [asyncio.create_task(_trial(client, number)) for number in range(16)]
                while not await watcher.fetchval(WAITING):  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0)
                process.popen.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*under_way)
        code = await asyncio.to_thread(process.exit_code)
    left = await watcher.fetchval("select count(*) from pg_stat_activity where application_name = 'billing-http'")
    await watcher.close()

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 15]
    assert (code, left) == (0, 0)


async def _trial(client: httpx2.AsyncClient, number: int) -> httpx2.Response:
    return await client.post("/api/billing/trials", headers=headers(f"trial-{number}"), json={})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PORT", "many", "BILLING_PORT"),
        ("PLATFORMS", "paypal", "BILLING_PLATFORMS"),
        ("CATALOG", "/nowhere/catalog.toml", "BILLING_CATALOG"),
        ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----", "BILLING_JWT_PUBLIC_KEY"),
        ("JWT_JWKS_URL", "http://issuer.example", "BILLING_JWT_JWKS_URL"),
        ("ENV", "production", "sandbox"),
    ],
)
def test_a_wrong_configuration_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variable: str,
    value: str,
    told: str,
) -> None:
    """The process ends with 1 and names on stderr what to mend."""
    monkeypatch.chdir(tmp_path)  # no `.env` here
    for name in [name for name in os.environ if name.startswith("BILLING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(f"BILLING_{variable}", value)

    code = main()

    assert code == 1
    assert told in capsys.readouterr().err


def test_what_cannot_be_opened_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A URL that can never work ends the start with 1, without a traceback."""
    with running(tmp_path, **NOWHERE | {"BILLING_NATS_URL": "http://127.0.0.1"}) as process:
        code = process.exit_code()

    text = process.log.read_text("utf-8")
    assert code == 1, text
    assert "BILLING_NATS_URL" in text
    assert "Traceback" not in text


def test_a_superuser_is_refused_in_production(tmp_path: Path, servers: EmbeddedServers) -> None:
    """In production a Postgres role that may do anything ends the start with 1 and the remedy."""
    production = {
        "BILLING_ENV": "production",
        "BILLING_PLATFORMS": "shopify",
        "BILLING_SHOPIFY_ACCESS_TOKEN": "x",
        "BILLING_DATABASE_URL": servers.urls.postgres_admin or "",
    }
    with running(tmp_path, **{**NOWHERE, **production}) as process:
        code = process.exit_code()

    text = process.log.read_text("utf-8")
    assert code == 1, text
    assert "superuser" in text
    assert "NOSUPERUSER" in text
