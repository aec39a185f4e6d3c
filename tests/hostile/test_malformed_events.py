"""Messages nobody can understand, through the real worker: every one is kept aside, and none is in the way."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.apps.worker.test_process import until
from tests.hostile.malformed_events import RULES, Sent

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import MERCHANT_CREATED, PURCHASE_UPDATED, ensure_consumers, ensure_streams

AT_LEAST = 300
CONSUMERS = (MERCHANT_CREATED, PURCHASE_UPDATED)


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    """NATS with every stream and consumer."""
    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, manage_all=True)
        await ensure_consumers(connection)
        yield connection


@pytest.fixture
async def watcher(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session beside the worker's."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def worker(
    tmp_path: Path, connection: NatsConnection, database_url: str, redis_url: str, nats_url: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A running `python -m billing_worker` that knows every platform, gone at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    settings = {
        "BILLING_DATABASE_URL": database_url,
        "BILLING_REDIS_URL": redis_url,
        "BILLING_NATS_URL": nats_url,
        "BILLING_PLATFORMS": "sandbox,shopify,stripe",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker"], cwd=tmp_path, env={**clean, **settings}, stdout=log, stderr=log
        )
    yield process
    process.kill()
    process.wait()


async def test_every_malformed_event_is_parked(
    worker: "subprocess.Popen[bytes]",
    connection: NatsConnection,
    watcher: "asyncpg.Connection[Any]",
    tmp_path: Path,
) -> None:
    """At least three hundred on both subjects: each is parked as it came and on its first delivery, good ones between
    and after them are handled, and the worker lives."""
    bad = {each for rule in RULES.values() for each in rule()}
    assert len(bad) >= AT_LEAST

    await _announce(connection, "first")
    await asyncio.gather(*(connection.jetstream.publish(subject, body) for subject, body in bad))
    await _announce(connection, "last")

    async def all_are_acknowledged() -> bool:
        infos = [await connection.jetstream.consumer_info(each.stream, each.durable) for each in CONSUMERS]
        return not any(each.num_pending or each.num_ack_pending for each in infos)

    await until(all_are_acknowledged, "every message is acknowledged")
    rows = await watcher.fetch("select subject, body, reason from parked_messages")
    registered = await watcher.fetch("select merchant_id from merchants")

    parked: set[Sent] = {(row["subject"], row["body"]) for row in rows}
    assert bad - parked == set()
    assert parked - bad == set()
    assert {row["merchant_id"] for row in registered} == {"first", "last"}
    assert not [row["reason"] for row in rows if "while handling it" in row["reason"]]
    log = (tmp_path / "log").read_text("utf-8")
    assert worker.poll() is None, log
    assert "Traceback" not in log


async def _announce(connection: NatsConnection, merchant_id: str) -> None:
    body = json.dumps({"merchant_id": merchant_id, "platform": "sandbox"}).encode()
    await connection.jetstream.publish(MERCHANT_CREATED.subject, body)
