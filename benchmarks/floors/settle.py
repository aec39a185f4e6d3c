"""The floor of settling: webhooks from NATS to published events, by hand: asyncpg, nats-py and one statement a batch.

What a notice is about is looked up, the sandbox's books are asked, and inbox, purchase, history, merchant's sequence
and outbox are written by one statement; the relay beside it sends atomic batches. Nothing is checked that the rows
themselves do not check. One thing is cheaper than in Billing: PostgreSQL has no SHA-1 without an extension, so event
ids are an MD5 of the same text.
"""

import asyncio
import json
import os

import asyncpg
import nats
import uvloop
from nats.aio.msg import Msg

from benchmarks.floors.pulling import Pulling
from benchmarks.floors.relay import relay_for_ever

BATCH = 256
LANES = 2

SETTLE = """
with told as (
  select distinct on (message_id) message_id, reference, correlation
  from unnest($1::text[], $2::text[], $3::text[]) as given (message_id, reference, correlation)
  order by message_id
), fresh as (
  insert into inbox (source, message_id, received_at)
  select 'billing-purchase-updated', message_id, now() from told
  on conflict do nothing returning message_id
), paid as (
  select p.merchant_id, p.purchase_id, p.platform, p.status, p.version, p.pack, p.credits, p.bonus_credits,
         p.amount_minor, p.currency, told.message_id, told.correlation, now() as at
  from told
  join fresh using (message_id)
  join payment_claims c on c.platform = 'sandbox' and c.platform_reference = told.reference
  join sandbox_payments s on s.reference = told.reference and s.status = 'paid'
  join purchases p on p.merchant_id = c.merchant_id and p.purchase_id = c.purchase_id
  where p.status in ('created', 'pending') and s.amount_minor = p.amount_minor and s.currency = p.currency
    and s.platform_account_id = p.platform_account_id
  order by p.merchant_id, p.purchase_id
  for update of p
), completed as (
  update purchases p
  set status = 'completed', test = true, late = false, completed_at = paid.at, ended_at = paid.at,
      observed_at = paid.at, check_at = null, version = p.version + 1
  from paid where p.merchant_id = paid.merchant_id and p.purchase_id = paid.purchase_id
), noted as (
  insert into history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, reason,
                       correlation_id)
  select merchant_id, purchase_id, version + 1, 'purchase', 'completed', status, 'completed', at,
         'billing-purchase-updated', 'notice ' || message_id, correlation
  from paid
), counted as (
  select merchant_id, count(*) as many from paid group by merchant_id order by merchant_id
), held as (
  select m.merchant_id, m.event_sequence, counted.many
  from merchants m join counted using (merchant_id) order by m.merchant_id for no key update of m
), advanced as (
  update merchants m set event_sequence = held.event_sequence + held.many
  from held where m.merchant_id = held.merchant_id
), announced as (
  insert into outbox (merchant_id, sequence, event_id, type, body)
  select merchant_id, sequence, event_id, 'evt.billing.credits.purchased', convert_to(json_build_object(
    'specversion', '1.0', 'id', event_id, 'source', 'billing-service', 'type', 'evt.billing.credits.purchased',
    'subject', merchant_id, 'time', told_at, 'datacontenttype', 'application/json', 'correlationid', correlation,
    'traceparent', '00-' || left(trace, 32) || '-' || substr(trace, 33, 16) || '-00', 'sequence', sequence,
    'data', json_build_object(
      'merchant_id', merchant_id, 'platform', platform, 'purchase_id', purchase_id, 'pack', pack, 'credits', credits,
      'bonus_credits', bonus_credits, 'price', json_build_object('amount_minor', amount_minor, 'currency', currency,
      'amount', (amount_minor / 100.0)::numeric(14, 2)::text), 'test', true, 'late', false, 'completed_at', told_at
    ))::text, 'UTF8')
  from (
    select paid.*, held.event_sequence + row_number() over (partition by paid.merchant_id order by purchase_id)
             as sequence,
           md5('evt.billing.credits.purchased|' || purchase_id)::uuid as event_id,
           encode(sha256(convert_to(correlation, 'UTF8')), 'hex') as trace,
           to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as told_at
    from paid join held using (merchant_id)
  ) as numbered
)
select pg_notify('billing_outbox', '')
"""


async def run(database_url: str, nats_url: str) -> None:
    """This will settle and relay until it is cancelled."""
    client = await nats.connect(nats_url)
    async with asyncpg.create_pool(database_url, min_size=LANES, max_size=LANES) as pool, asyncio.TaskGroup() as tasks:
        tasks.create_task(relay_for_ever(database_url, client))
        for _ in range(LANES):
            pulling = await Pulling.begin(client, stream="WEBHOOK", consumer="billing-purchase-updated")
            tasks.create_task(_settle_for_ever(pool, pulling))


async def _settle_for_ever(pool: asyncpg.Pool, pulling: Pulling) -> None:
    while True:
        messages = await pulling.batch(BATCH)
        read = [_read(message) for message in messages]
        await pool.execute(SETTLE, *map(list, zip(*read, strict=True)))
        for message in messages:
            await message.ack()


def _read(message: Msg) -> tuple[str, str, str]:
    event = json.loads(message.data)
    return event["id"], event["data"]["payload"]["checkout"]["reference"], event["correlationid"]


if __name__ == "__main__":
    uvloop.run(run(os.environ["BILLING_DATABASE_URL"], os.environ["BILLING_NATS_URL"]))
