"""`python -m benchmarks.baselines.archive`: old purchases moved, old keys, events and ids forgotten, row by row."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop
from sqlalchemy import Select, select

from benchmarks.baselines.database import sessions
from benchmarks.baselines.models import ArchivedPurchase, IdempotencyKey, InboxMessage, OutboxEvent, Purchase

BATCH = 100


async def archive(now: datetime) -> None:
    """This will move purchases that ended 90 days ago."""
    old = select(Purchase).where(Purchase.ended_at < now - timedelta(days=90), Purchase.review_reason.is_(None))
    while True:
        async with sessions() as session:
            purchases = (await session.scalars(old.order_by(Purchase.ended_at).limit(BATCH).with_for_update())).all()
            for purchase in purchases:
                values = {column.name: getattr(purchase, column.name) for column in Purchase.__table__.columns}
                session.add(ArchivedPurchase(**values))
                await session.delete(purchase)
            await session.commit()
        if len(purchases) < BATCH:
            return


async def purge(old: Select[Any]) -> None:
    """This will delete what the query finds."""
    while True:
        async with sessions() as session:
            rows = (await session.scalars(old.limit(BATCH))).all()
            for row in rows:
                await session.delete(row)
            await session.commit()
        if len(rows) < BATCH:
            return


async def run() -> None:
    """This will tell how long it took, in seconds."""
    async with sessions() as session:
        await session.execute(select(1))
    began, now = time.perf_counter(), datetime.now(UTC)
    await archive(now)
    await purge(select(IdempotencyKey).where(IdempotencyKey.created_at < now - timedelta(hours=24)))
    await purge(select(OutboxEvent).where(OutboxEvent.published_at < now - timedelta(days=14)))
    await purge(select(InboxMessage).where(InboxMessage.received_at < now - timedelta(days=30)))
    print(time.perf_counter() - began)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    uvloop.run(run())
