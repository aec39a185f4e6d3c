"""The floor of registering: announced merchants from NATS, one statement a batch."""

import asyncio
import json
import os
from typing import Any

import asyncpg
import nats
import uvloop

from benchmarks.floors.pulling import Pulling

BATCH = 256
LANES = 2

REGISTER = """
with told as (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    as given (message_id, merchant_id, platform, platform_account_id, platform_domain, currency)
), seen as (
  insert into inbox (source, message_id, received_at)
  select distinct 'billing-merchant-created', message_id, now() from told order by message_id
  on conflict do nothing
)
insert into merchants (merchant_id, platform, platform_account_id, platform_domain, currency, registered_at)
select distinct on (merchant_id) merchant_id, platform, platform_account_id, platform_domain, currency, now()
from told order by merchant_id
on conflict (merchant_id) do update
set platform_domain = coalesce(excluded.platform_domain, merchants.platform_domain),
    currency = coalesce(excluded.currency, merchants.currency)
where merchants.platform = excluded.platform and merchants.platform_account_id = excluded.platform_account_id
"""


async def run(database_url: str, nats_url: str) -> None:
    """This will register until it is cancelled."""
    client = await nats.connect(nats_url)
    async with asyncpg.create_pool(database_url, min_size=LANES, max_size=LANES) as pool, asyncio.TaskGroup() as tasks:
        for _ in range(LANES):
            pulling = await Pulling.begin(client, stream="MERCHANT", consumer="billing-merchant-created")
            tasks.create_task(_register_for_ever(pool, pulling))


async def _register_for_ever(pool: Any, pulling: Pulling) -> None:
    while True:
        messages = await pulling.batch(BATCH)
        read = [_read(message.data) for message in messages]
        await pool.execute(REGISTER, *map(list, zip(*read, strict=True)))
        for message in messages:
            await message.ack()


def _read(body: bytes) -> tuple[str | None, ...]:
    event = json.loads(body)
    data = event["data"]
    names = ("merchant_id", "platform", "platform_account_id", "platform_domain", "currency")
    return (event["id"], *(data.get(name) for name in names))


if __name__ == "__main__":
    uvloop.run(run(os.environ["BILLING_DATABASE_URL"], os.environ["BILLING_NATS_URL"]))
