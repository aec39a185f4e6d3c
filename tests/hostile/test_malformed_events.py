"""Messages nobody can understand, through the real worker: every one is kept aside, and none is in the way."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.apps.worker.running import running, until
from tests.hostile.malformed_events import RULES, Sent

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import MERCHANT_CREATED, PURCHASE_UPDATED

AT_LEAST = 300
CONSUMERS = (MERCHANT_CREATED, PURCHASE_UPDATED)


@pytest.fixture
def worker(
    tmp_path: Path, broker: NatsConnection, database_url: str, redis_url: str, nats_url: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A running worker that knows every platform, gone at the end."""
    settings = {
        "BILLING_DATABASE_URL": database_url,
        "BILLING_REDIS_URL": redis_url,
        "BILLING_NATS_URL": nats_url,
        "BILLING_PLATFORMS": "sandbox,shopify,stripe",
    }
    with running(tmp_path, **settings) as process:
        yield process


async def test_every_malformed_event_is_parked(
    worker: "subprocess.Popen[bytes]",
    broker: NatsConnection,
    watcher: "asyncpg.Connection[Any]",
    tmp_path: Path,
) -> None:
    """At least three hundred on both subjects: each is parked as it came and on its first delivery, good ones between
    and after them are handled, and the worker lives."""
    bad = {each for rule in RULES.values() for each in rule()}
    assert len(bad) >= AT_LEAST

    await _announce(broker, "first")
    await asyncio.gather(*(broker.jetstream.publish(subject, body) for subject, body in bad))
    await _announce(broker, "last")

    async def all_are_acknowledged() -> bool:
        infos = [await broker.jetstream.consumer_info(each.stream, each.durable) for each in CONSUMERS]
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


async def _announce(broker: NatsConnection, merchant_id: str) -> None:
    body = json.dumps({"merchant_id": merchant_id, "platform": "sandbox"}).encode()
    await broker.jetstream.publish(MERCHANT_CREATED.subject, body)
