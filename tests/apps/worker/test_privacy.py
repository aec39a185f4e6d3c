"""The real process does what compliance webhooks ask, and does not start where it would know no shop again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.apps.worker.running import DEADLINE_S, until

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import MERCHANT_CREATED, PURCHASE_UPDATED, ensure_consumers, ensure_streams

KEY = "sample-redaction-key-of-these-tests"
GID, DOMAIN = "gid://shopify/Shop/954889", "janes-shop.myshopify.com"
Start = Callable[..., "subprocess.Popen[bytes]"]


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
def start(tmp_path: Path, database_url: str, redis_url: str, nats_url: str) -> Iterator[Start]:
    """Starts `python -m billing_worker` that sells through Shopify; all are gone at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    urls = {"BILLING_DATABASE_URL": database_url, "BILLING_REDIS_URL": redis_url, "BILLING_NATS_URL": nats_url}
    started: list[subprocess.Popen[bytes]] = []

    def begin(**environment: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "billing_worker"],
                cwd=tmp_path,
                env={**clean, **urls, "BILLING_PLATFORMS": "shopify", **environment},
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


async def publish(connection: NatsConnection, subject: str, message_id: str, data: dict[str, Any]) -> None:
    """This will have another service tell something."""
    headers = {"Nats-Msg-Id": message_id}
    await connection.jetstream.publish(subject, json.dumps(data).encode(), headers=headers)


async def announce(connection: NatsConnection, merchant_id: str) -> None:
    """This will announce the shop under a merchant id."""
    told = {"merchant_id": merchant_id, "platform": "shopify", "platform_account_id": GID, "platform_domain": DOMAIN}
    told["email"] = "jane@x.example"
    await publish(connection, MERCHANT_CREATED.subject, f"announcement-of-{merchant_id}", told)


async def test_a_shop_that_is_gone_is_redacted_and_known_again(
    start: Start, connection: NatsConnection, watcher: "asyncpg.Connection[Any]", tmp_path: Path
) -> None:
    """Under every id it had; its customers' requests are recorded; nothing is parked, and nobody is named anywhere."""
    start(BILLING_REDACTION_KEY=KEY)
    for each in ("m-1", "m-2"):
        await announce(connection, each)
    await until(lambda: watcher.fetchval("select count(*) = 2 from merchants"), "both are registered")
    domains = await watcher.fetchval("select count(*) from merchants where platform_domain = $1", DOMAIN)
    await watcher.execute(
        "insert into trial_claims values ('shopify', $1, 'm-1', '0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a')", GID
    )
    for topic in ("shop/redact", "customers/data_request"):
        payload = {"shop_id": 954889, "shop_domain": DOMAIN}
        told = {"platform": "shopify", "delivery_id": topic, "topic": topic, "payload": payload}
        await publish(connection, PURCHASE_UPDATED.subject, f"shopify:{topic}", told)

    await until(lambda: watcher.fetchval("select count(*) = 4 from privacy_records"), "all is done and recorded")
    gone = await watcher.fetchval("select count(*) from merchants where platform_account_id ~ '^redacted:'")
    await announce(connection, "m-3")
    await until(lambda: watcher.fetchval("select count(*) = 3 from merchants"), "it has come back")

    claims = [tuple(row) for row in await watcher.fetch("select platform_account_id, merchant_id from trial_claims")]
    records = {row["what"] for row in await watcher.fetch("select what from privacy_records")}
    assert (domains, gone, claims) == (2, 2, [(GID, "m-1")])
    assert records == {"redacted", "shop to be redacted", "customer data asked for"}
    assert await watcher.fetchval("select count(*) from parked_messages") == 0
    lines = (tmp_path / "log").read_text()
    assert "2 merchant(s) of the shop redacted" in lines
    assert "nothing held about customers" in lines
    assert [name for name in (GID, DOMAIN, "jane@") if name in lines] == []


async def test_it_does_not_start_with_another_key_than_before(
    start: Start, watcher: "asyncpg.Connection[Any]", tmp_path: Path
) -> None:
    """Nor with none: a shop that comes back would be given a second trial. It says which variable to mend."""
    await watcher.execute(
        "insert into privacy_records (record_id, at, what, platform, actor, reason, key_id)"
        " values ('0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a', now(), 'redacted', 'shopify', 'a', '', 'of-another-key')"
    )

    processes = [start(BILLING_REDACTION_KEY=KEY), start()]
    codes = [await asyncio.to_thread(each.wait, DEADLINE_S) for each in processes]

    assert codes == [1, 1]
    assert (tmp_path / "log").read_text().count("shops were redacted with another BILLING_REDACTION_KEY") == 2
