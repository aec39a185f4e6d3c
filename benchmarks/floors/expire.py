"""The floor of expiring trials: one statement. Event ids are an MD5, as in `floors/settle.py`."""

import asyncio
import os
import time

import asyncpg

EXPIRE = """
with due as (
  select merchant_id, trial_id, platform, credits, version, now() as at,
         'expire-trials:' || to_char(now() at time zone 'utc', 'YYYYMMDD"T"HH24MISS"Z"') as correlation
  from trials where status = 'active' and ends_at <= now()
  order by ends_at, trial_id for update
), expired as (
  update trials t set status = 'expired', ended_at = due.at, version = t.version + 1
  from due where t.merchant_id = due.merchant_id and t.trial_id = due.trial_id
), noted as (
  insert into history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor,
                       correlation_id)
  select merchant_id, trial_id, version + 1, 'trial', 'expired', 'active', 'expired', at, 'job:expire-trials',
         correlation
  from due
), advanced as (
  update merchants m set event_sequence = m.event_sequence + 1
  from due where m.merchant_id = due.merchant_id
  returning m.merchant_id, m.event_sequence
), announced as (
  insert into outbox (merchant_id, sequence, event_id, type, body)
  select merchant_id, sequence, event_id, 'evt.billing.trial.expired', convert_to(json_build_object(
    'specversion', '1.0', 'id', event_id, 'source', 'billing-service', 'type', 'evt.billing.trial.expired',
    'subject', merchant_id, 'time', told_at, 'datacontenttype', 'application/json', 'correlationid', correlation,
    'traceparent', '00-' || left(trace, 32) || '-' || substr(trace, 33, 16) || '-00', 'sequence', sequence,
    'data', json_build_object('merchant_id', merchant_id, 'platform', platform, 'trial_id', trial_id,
      'credits', credits, 'expired_at', told_at)
    )::text, 'UTF8')
  from (
    select due.*, advanced.event_sequence as sequence,
           md5('evt.billing.trial.expired|' || trial_id)::uuid as event_id,
           encode(sha256(convert_to(correlation, 'UTF8')), 'hex') as trace,
           to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as told_at
    from due join advanced using (merchant_id)
  ) as numbered
)
select pg_notify('billing_outbox', '')
"""


async def run(database_url: str) -> None:
    """This will tell how long it took, in seconds."""
    connection = await asyncpg.connect(database_url, command_timeout=600)
    began = time.perf_counter()
    await connection.execute(EXPIRE)
    print(time.perf_counter() - began)  # noqa: T201 - whoever started it reads this
    await connection.close()


if __name__ == "__main__":
    asyncio.run(run(os.environ["BILLING_DATABASE_URL"]))
