"""The real process: told to stop with its hands full, it finishes what it holds and leaves the rest to the next."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from nats.js.api import ConsumerInfo
from tests.apps.worker.running import DEADLINE_S, running, until

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import MERCHANT_CREATED
from billing_worker.consuming import BATCH

MESSAGES = 2 * BATCH + 100


@pytest.fixture
def worker(
    tmp_path: Path, broker: NatsConnection, database_url: str, redis_url: str, nats_url: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A running worker, gone at the end."""
    urls = {"BILLING_DATABASE_URL": database_url, "BILLING_REDIS_URL": redis_url, "BILLING_NATS_URL": nats_url}
    with running(tmp_path, **urls) as process:
        yield process


async def announce(connection: NatsConnection, number: int) -> None:
    """This will announce the merchant of that number."""
    data = {"merchant_id": f"m-{number}", "platform": "sandbox"}
    headers = {"Nats-Msg-Id": f"announcement-{number}"}
    await connection.jetstream.publish(MERCHANT_CREATED.subject, json.dumps(data).encode(), headers=headers)


async def consumer(connection: NatsConnection) -> ConsumerInfo:
    """What the consumer has delivered, and what waits."""
    info: ConsumerInfo = await connection.jetstream.consumer_info(MERCHANT_CREATED.stream, MERCHANT_CREATED.durable)
    return info


async def test_the_batch_in_hand_is_finished_and_acknowledged(
    worker: "subprocess.Popen[bytes]",
    broker: NatsConnection,
    watcher: "asyncpg.Connection[Any]",
    tmp_path: Path,
) -> None:
    """Exactly what it had fetched is stored and acknowledged, nothing more is fetched, nothing hangs in between, and
    no session stays behind."""

    async def fetched() -> bool:
        return bool((await consumer(broker)).num_ack_pending)

    async def blocked() -> bool:
        return bool(await watcher.fetchval("select count(*) from pg_locks where not granted"))

    async with watcher.transaction():
        await watcher.execute("lock table merchants in share row exclusive mode")  # so that the batch must wait
        for number in range(MESSAGES):
            await announce(broker, number)
        await until(fetched, "the worker fetches")
        await until(blocked, "the batch waits for the table")
        held = await consumer(broker)
        worker.send_signal(signal.SIGTERM)
        ended_early = await _ends(worker, within_s=0.5)
    code = await asyncio.to_thread(worker.wait, DEADLINE_S)

    after = await consumer(broker)
    stored = await watcher.fetchval("select count(*) from merchants")
    left = await watcher.fetchval("select count(*) from pg_stat_activity where application_name like 'billing-%'")
    assert (ended_early, code) == (False, 0), (tmp_path / "log").read_text()
    assert stored == held.num_ack_pending
    assert (after.num_ack_pending, after.num_pending) == (0, MESSAGES - stored)
    assert left == 0


async def _ends(worker: "subprocess.Popen[bytes]", *, within_s: float) -> bool:
    try:
        await asyncio.to_thread(worker.wait, within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
