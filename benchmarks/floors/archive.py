"""The floor of archiving and purging: a statement each."""

import asyncio
import os
import time

import asyncpg

STATEMENTS = (
    """
    with gone as (
      delete from purchases where ended_at < now() - interval '90 days' and review_reason is null returning *
    )
    insert into archived_purchases select * from gone
    """,
    "delete from idempotency_keys where created_at < now() - interval '24 hours'",
    "delete from outbox where published_at < now() - interval '14 days'",
    "delete from inbox where received_at < now() - interval '30 days'",
)


async def run(database_url: str) -> None:
    """This will tell how long it took, in seconds."""
    connection = await asyncpg.connect(database_url, command_timeout=600)
    began = time.perf_counter()
    for statement in STATEMENTS:
        await connection.execute(statement)
    print(time.perf_counter() - began)  # noqa: T201 - whoever started it reads this
    await connection.close()


if __name__ == "__main__":
    asyncio.run(run(os.environ["BILLING_DATABASE_URL"]))
