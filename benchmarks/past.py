"""A database with a past: so many purchases already there, and everything else in the proportions of a service in use.

Everything is written by the server itself, table by table, with the indexes and foreign keys taken off meanwhile: ten
thousand purchases in a second, five million in minutes. The checks stay on, so what is written is what Billing could
have written.

In proportion to N purchases of the last 90 days (what is kept hot): a merchant for every 50, each with its trial; one
purchase in 2,000 still open; the claims of every payment and short reference; three entries of history each; the
events of the last 14 days, published; the messages of the last 30; the keys of the last day. No job of the worker
finds anything to do on the same day.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

PURCHASES_PER_MERCHANT: Final = 50

# `$1`: how many rows. What depends on chance depends on the row's number instead, so that every run has the same rows.
_MERCHANTS: Final = """
insert into merchants (merchant_id, platform, platform_account_id, platform_domain, currency, registered_at)
select 'past-' || number, 'sandbox', 'past-' || number || '.example', 'past-' || number || '.example', 'USD',
       now() - interval '400 days'
from generate_series(1, $1::bigint) as number
"""
_TRIALS: Final = """
insert into trials (merchant_id, trial_id, platform, platform_account_id, status, credits, duration_days, started_at,
                    ends_at, converted_at, ended_at, reminded_at, version)
select merchant_id, uuidv7(-age), platform, platform_account_id,
       case when active then 'active' else 'expired' end, 500, 14, now() - age, now() - age + interval '14 days',
       null, case when not active then now() - age + interval '14 days' end, now() - age, 1
from merchants
cross join lateral (select interval '1 day' * (1 + abs(hashtext(merchant_id)) % 280) as age) as begun
cross join lateral (select age < interval '14 days' as active) as running
"""
_TRIAL_CLAIMS: Final = """
insert into trial_claims select platform, platform_account_id, merchant_id, trial_id from trials
"""
_GRANTS: Final = """
insert into credit_grants (merchant_id, grant_id, platform, credits, reason, actor, granted_at)
select 'past-' || 1 + number * 7919 % (select count(*) from merchants), uuidv7(-age), 'sandbox', 50, 'sorry',
       'operator:' || number % 20, now() - age
from generate_series(1, greatest(1000, $1::bigint / 1000)) as number
cross join lateral (select interval '90 days' * number / greatest(1000, $1 / 1000) as age) as old
"""
# The 7919th prime is nobody's divisor, so merchants take turns and are strewn over the whole time.
_PURCHASES: Final = """
insert into {table} (merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits,
                     bonus_credits, amount_minor, currency, return_url, status, created_at, expires_at, test,
                     platform_reference, checkout_url, late, review_reason, refunded_minor, dispute, credits_reversed,
                     completed_at, ended_at, observed_at, check_at, version)
select 'past-' || 1 + number * 7919 % greatest(1, $1::bigint / {per_merchant}), id, 'sandbox',
       'past-' || 1 + number * 7919 % greatest(1, $1::bigint / {per_merchant}) || '.example',
       'pack_2500', '2026-01', 2500, 0, 6999, 'USD', 'https://shop.example/billing/return?order=' || number,
       status, began, began + interval '1 day', true,
       'sbx_' || right(md5(id::text) || md5(number::text), 48),
       'https://billing.example/sandbox/checkout/sbx_' || md5(id::text) || '?offer=' || repeat(md5(number::text), 16),
       false, case when number % 2003 = 0 then 'paid another amount than was offered' end,
       case when status = 'refunded' then 6999 else 0 end, 'none', case when status = 'refunded' then 2500 else 0 end,
       case when paid then over end, case when not open then over end, case when not open then over end,
       case when open then now() + interval '2 hours' + interval '1 day' * (1 - part) end,
       case when open then 2 else 3 end
from generate_series(1, $1::bigint) as number
cross join lateral (select number::float8 / $1 as part) as place
cross join lateral (select now() - {oldest} + ({oldest} - {youngest}) * part as began,
                           {may_be_open} and number > $1 - greatest(5, $1 / 2000) as open) as age
cross join lateral (select uuidv7(began - now()) as id, least(now(), began + interval '7 minutes') as over,
                           case when open then 'pending' when number % 50 = 7 then 'refunded'
                                when number % 10 < 7 then 'completed' when number % 10 < 9 then 'expired'
                                when number % 20 = 9 then 'cancelled' else 'declined' end as status) as life
cross join lateral (select status in ('completed', 'refunded') as paid) as outcome
"""
_PAYMENT_CLAIMS: Final = """
insert into payment_claims
select platform, reference, merchant_id, purchase_id
from {table}
cross join lateral (values (platform_reference),
                           ('CP-' || upper(right(replace(purchase_id::text, '-', ''), 20)))) as claimed (reference)
"""
_HISTORY: Final = """
insert into history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, reason,
                     correlation_id)
select merchant_id, purchase_id, number, 'purchase', status_after, status_before, status_after, at, 'merchant', null,
       'req-' || purchase_id
from {table}
cross join lateral (values (1, null, 'created', created_at),
                           (2, 'created', 'pending', created_at + interval '1 second'),
                           (3, 'pending', status, ended_at)) as entry (number, status_before, status_after, at)
where at is not null
"""
_OUTBOX: Final = """
insert into outbox (merchant_id, sequence, event_id, type, body, recorded_at, published_at)
select merchant_id, row_number() over (partition by merchant_id order by at), gen_random_uuid(), type,
       convert_to(format('{{"specversion":"1.0","id":"%s","source":"billing-service","type":"%s","data":"%s"}}',
                         purchase_id, type, repeat(md5(purchase_id::text), 14)), 'UTF8'), at, at + interval '1 second'
from purchases
cross join lateral (values ('evt.billing.purchase.created', created_at),
                           (case when completed_at is not null then 'evt.billing.credits.purchased'
                                 else 'evt.billing.purchase.' || status end, ended_at)) as event (type, at)
where at > now() - interval '13 days'
order by at
"""
_SEQUENCES: Final = """
update merchants set event_sequence = last
from (select merchant_id as announced, max(sequence) as last from outbox group by merchant_id) as events
where merchant_id = announced
"""
_INBOX: Final = """
insert into inbox (source, message_id, received_at)
select 'billing-purchase-updated', gen_random_uuid(), ended_at
from purchases where ended_at > now() - interval '29 days' order by ended_at
"""
_KEYS: Final = """
insert into idempotency_keys (merchant_id, route, key, fingerprint, created_at, purchase_id, outcome, document)
select merchant_id, 'POST /api/billing/purchases', gen_random_uuid(), md5(purchase_id::text) || md5(merchant_id),
       greatest(created_at, now() - interval '12 hours'), purchase_id, 'created',
       convert_to('{{"id":"' || repeat(md5(purchase_id::text), 25) || '"}}', 'UTF8')
from purchases where created_at > now() - greatest(interval '1 day', interval '89 days' * 1000 / $1::bigint)
"""
_SANDBOX: Final = """
insert into sandbox_payments (reference, status, amount_minor, currency, platform_account_id, title, occurred_at)
select platform_reference, 'paid', amount_minor, currency, platform_account_id, '2,500 credits', completed_at
from purchases where completed_at is not null
"""
_PARKED: Final = """
insert into parked_messages (parked_id, source, message_id, subject, body, headers, reason, parked_at, replayed_at)
select uuidv7(-age), 'billing-purchase-updated', 'past-' || number, 'evt.webhook.app.purchase_updated',
       '{{"data":{{}}}}', '{{}}', 'reference: not known', now() - age, case when number > 20 then now() end
from generate_series(1, greatest(1000, $1::bigint / 1000)) as number
cross join lateral (select interval '90 days' * number / greatest(1000, $1 / 1000) as age) as old
"""
_PRIVACY: Final = """
insert into privacy_records (record_id, at, what, platform, merchant_id, actor, reason)
select uuidv7(-age), now() - age, 'customer data asked for', 'sandbox', 'past-' || number, 'billing-purchase-updated',
       'nothing held about customers'
from generate_series(1, greatest(1000, $1::bigint / 1000)) as number
cross join lateral (select interval '90 days' * number / greatest(1000, $1 / 1000) as age) as old
"""
# Those that refer come last, for they need what they refer to.
_WHAT_IS_TAKEN_OFF: Final = """
select format('alter table %s drop constraint %I', conrelid::regclass, conname) as taking_off,
       format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
           as putting_on, contype = 'f' as refers
from pg_constraint where contype in ('p', 'u', 'f') and connamespace = 'public'::regnamespace
union all
select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid), false
from pg_index join pg_class on oid = indexrelid
where relnamespace = 'public'::regnamespace and not exists (select from pg_constraint where conindid = indexrelid)
order by refers
"""


def merchant_id(number: int) -> str:
    """The merchants are numbered from 1."""
    return f"past-{number}"


async def write_past(connection: Any, purchases: int, *, per_merchant: int = PURCHASES_PER_MERCHANT) -> None:
    """This will fill an empty database, over its owner's connection, as if it had seen so many purchases in 90 days,
    and a tenth of that before, archived by now. Statistics are fresh when it returns."""
    hot = {"table": "purchases", "oldest": "interval '89 days'", "youngest": "interval '0'", "may_be_open": "true"}
    old = {
        "table": "archived_purchases",
        "oldest": "interval '110 days'",
        "youngest": "interval '91 days'",
        "may_be_open": "false",
    }
    archived = purchases // 10
    async with _bare_tables(connection):
        await _write(connection, _MERCHANTS, purchases // per_merchant)
        for statement in (_TRIALS, _TRIAL_CLAIMS):
            await _write(connection, statement)
        for many, place in ((purchases, hot), (archived, old)):
            await _write(connection, _PURCHASES, many, per_merchant=per_merchant, **place)
            await _write(connection, _PAYMENT_CLAIMS, table=place["table"])
            await _write(connection, _HISTORY, table=place["table"])
        for statement in (_OUTBOX, _SEQUENCES, _INBOX, _SANDBOX):
            await _write(connection, statement)
        for statement in (_GRANTS, _KEYS, _PARKED, _PRIVACY):
            await _write(connection, statement, purchases)
    await connection.execute("vacuum (analyze)", timeout=None)


async def _write(connection: Any, statement: str, *arguments: int, **words: object) -> None:
    await connection.execute(statement.format(**words), *arguments, timeout=None)


@asynccontextmanager
async def _bare_tables(connection: Any) -> AsyncIterator[None]:
    """Without indexes and the constraints that need one. They are made anew at the end, which sorts once instead of
    searching for each row, and refuses the same rows."""
    taken_off = await connection.fetch(_WHAT_IS_TAKEN_OFF)
    for each in reversed(taken_off):
        await connection.execute(each["taking_off"])
    yield
    await connection.execute("set maintenance_work_mem = '512MB'")
    for each in taken_off:
        await connection.execute(each["putting_on"], timeout=None)
    await connection.execute("reset maintenance_work_mem")
