"""The floor of relaying: the outbox in order, as JetStream's atomic batches, by hand."""

import asyncio
import json
import os

import asyncpg
import nats
import uvloop
from nats.aio.client import Client

BATCH = 1000
IDLE_S = 0.005

READ = """
select event_id, type, body from outbox where published_at is null order by position limit $1
"""
MARK = "update outbox set published_at = now() where event_id = any($1::uuid[]) and published_at is null"


async def relay_for_ever(database_url: str, client: Client) -> None:
    """This will relay until it is cancelled."""
    connection = await asyncpg.connect(database_url)
    try:
        while True:
            if not await relay_once(connection, client):
                await asyncio.sleep(IDLE_S)
    finally:
        await connection.close()


async def relay_once(connection: asyncpg.Connection, client: Client) -> int:
    """This will publish what waits, at most one batch, mark it, and say how many events that were."""
    rows = await connection.fetch(READ, BATCH)
    if not rows:
        return 0
    await publish(client, rows)
    await connection.execute(MARK, [row["event_id"] for row in rows])
    return len(rows)


async def publish(client: Client, rows: list[asyncpg.Record]) -> None:
    """This will publish the rows as one atomic batch."""
    batch_id = os.urandom(16).hex()
    for number, row in enumerate(rows[:-1], start=1):
        await client.publish(row["type"], row["body"], headers=_headers(row, batch_id, number))
    last = _headers(rows[-1], batch_id, len(rows)) | {"Nats-Batch-Commit": "1"}
    reply = await client.request(rows[-1]["type"], rows[-1]["body"], headers=last, timeout=10)
    answer = json.loads(reply.data)
    if len(rows) > 1 and answer.get("count") != len(rows):
        raise RuntimeError(f"the batch was refused: {answer}")


def _headers(row: asyncpg.Record, batch_id: str, number: int) -> dict[str, str]:
    return {
        "Nats-Msg-Id": str(row["event_id"]),
        "Content-Type": "application/cloudevents+json",
        "Nats-Batch-Id": batch_id,
        "Nats-Batch-Sequence": str(number),
    }


async def run(database_url: str, nats_url: str) -> None:
    """This will relay until it is cancelled."""
    await relay_for_ever(database_url, await nats.connect(nats_url))


if __name__ == "__main__":
    uvloop.run(run(os.environ["BILLING_DATABASE_URL"], os.environ["BILLING_NATS_URL"]))
