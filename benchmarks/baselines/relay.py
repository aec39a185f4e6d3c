"""`python -m benchmarks.baselines.relay`: the outbox, one event after the other."""

import asyncio
import os
from datetime import UTC, datetime

import nats
import uvloop
from nats.aio.client import Client
from sqlalchemy import select

from benchmarks.baselines.database import sessions
from benchmarks.baselines.models import OutboxEvent

BATCH = 100
IDLE_S = 0.1


async def relay_for_ever(client: Client) -> None:
    """This will publish what waits, until it is cancelled."""
    jetstream = client.jetstream()
    waiting = select(OutboxEvent).where(OutboxEvent.published_at.is_(None)).order_by(OutboxEvent.position).limit(BATCH)
    while True:
        async with sessions() as session:
            events = (await session.scalars(waiting)).all()
            for event in events:
                headers = {"Nats-Msg-Id": str(event.event_id), "Content-Type": "application/cloudevents+json"}
                await jetstream.publish(event.type, event.body, headers=headers)
                event.published_at = datetime.now(UTC)
                await session.commit()
        if not events:
            await asyncio.sleep(IDLE_S)


async def run() -> None:
    """This will relay until it is cancelled."""
    await relay_for_ever(await nats.connect(os.environ["BILLING_NATS_URL"]))


if __name__ == "__main__":
    uvloop.run(run())
