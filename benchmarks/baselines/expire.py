"""`python -m benchmarks.baselines.expire`: trials whose end has come, one after the other."""

import time
from datetime import UTC, datetime

import uvloop
from sqlalchemy import select

from benchmarks.baselines.database import sessions
from benchmarks.baselines.events import announce, entry
from benchmarks.baselines.models import Trial

EXPIRED = "evt.billing.trial.expired"
ACTOR = "job:expire-trials"


async def expire() -> int:
    """This will expire what is due, and say how many trials that were."""
    now = datetime.now(UTC)
    due = select(Trial.merchant_id, Trial.trial_id).where(Trial.status == "active", Trial.ends_at <= now)
    async with sessions() as session:
        keys = (await session.execute(due.order_by(Trial.ends_at))).all()
    for key in keys:
        async with sessions() as session:
            trial = await session.get_one(Trial, tuple(key), with_for_update=True)
            if trial.status != "active" or trial.ends_at > now:
                continue
            trial.status, trial.ended_at, trial.version = "expired", now, trial.version + 1
            correlation_id = f"expire-trials:{now:%Y%m%dT%H%M%SZ}"
            session.add(
                entry(trial, "expired", "active", actor=ACTOR, reason=None, correlation_id=correlation_id, now=now)
            )
            data = {
                "merchant_id": trial.merchant_id,
                "platform": trial.platform,
                "trial_id": trial.trial_id,
                "credits": trial.credits,
                "expired_at": now,
            }
            await announce(session, trial, EXPIRED, data, correlation_id, now)
            await session.commit()
    return len(keys)


async def run() -> None:
    """This will tell how long it took, in seconds."""
    async with sessions() as session:
        await session.execute(select(1))
    began = time.perf_counter()
    await expire()
    print(time.perf_counter() - began)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    uvloop.run(run())
