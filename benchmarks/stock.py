"""What stands in the database before a round begins, made by the server itself: a million rows in seconds.

Everything is numbered from `first` on, so that one round's rows are not another's.
"""

from datetime import timedelta
from typing import Any, Final

# Half a dozen purchases each, so that batches meet a merchant more than once, as they do in life.
PURCHASES_A_MERCHANT: Final = 6

_MERCHANTS: Final = """
insert into merchants (merchant_id, platform, platform_account_id, platform_domain, currency, registered_at,
                       event_sequence)
select 'm-' || n, 'sandbox', 'm-' || n, null, 'USD', now() - interval '40 days', 0
from generate_series($1::bigint, $2::bigint) as n
on conflict do nothing
"""
_PURCHASES: Final = """
with numbered as (
  select n, 'm-' || (n / $3::bigint) as merchant_id, uuidv7() as purchase_id
  from generate_series($1::bigint, $2::bigint) as n
), referenced as (
  select *, replace(purchase_id::text, '-', '') as key from numbered
), made as (
  insert into purchases (merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits,
    bonus_credits, amount_minor, currency, return_url, status, created_at, expires_at, test, platform_reference,
    checkout_url, late, refunded_minor, dispute, credits_reversed, check_at, version)
  select merchant_id, purchase_id, 'sandbox', merchant_id, 'starter', '2026-01', 1000, 50, 4999, 'USD',
    'https://shop.example/billing', 'pending', now(), now() + interval '24 hours', true,
    'sbx_' || key || left(encode(sha256(convert_to(key || '|' || merchant_id, 'UTF8')), 'hex'), 16),
    'http://127.0.0.1:8016/sandbox/checkout/' || key, false, 0, 'none', 0, now() + interval '6 hours', 2
  from referenced
  returning merchant_id, purchase_id, platform_reference, platform_account_id, amount_minor, currency
), noted as (
  insert into history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor,
                       correlation_id)
  select merchant_id, purchase_id, number, 'purchase', what, before, what, now(), 'caller', 'c-' || purchase_id
  from made, (values (1, null, 'created'), (2, 'created', 'pending')) as step (number, before, what)
), claimed as (
  insert into payment_claims (platform, platform_reference, merchant_id, purchase_id)
  select 'sandbox', reference, merchant_id, purchase_id
  from made, lateral (values (platform_reference),
    ('CP-' || upper(substr(replace(purchase_id::text, '-', ''), 13)))) as claim (reference)
), paid as (
  insert into sandbox_payments (reference, status, amount_minor, currency, platform_account_id, title, occurred_at)
  select platform_reference, 'paid', amount_minor, currency, platform_account_id, '', now() from made
)
select merchant_id, platform_reference from made
"""


async def paid_purchases(connection: Any, first: int, many: int) -> list[tuple[str, str]]:
    """This will make `many` pending purchases that are paid at the sandbox, and say whose each is and its reference."""
    last = first + many - 1
    await connection.execute(_MERCHANTS, first // PURCHASES_A_MERCHANT, last // PURCHASES_A_MERCHANT)
    return [tuple(row) for row in await connection.fetch(_PURCHASES, first, last, PURCHASES_A_MERCHANT)]


_BACKLOG: Final = """
with numbered as (
  select n, 'm-' || (n / $3::bigint) as merchant_id, gen_random_uuid() as event_id
  from generate_series($1::bigint, $2::bigint) as n
)
insert into outbox (merchant_id, sequence, event_id, type, body)
select merchant_id, $4 + row_number() over (partition by merchant_id order by n), event_id,
       'evt.billing.credits.purchased',
       convert_to(json_build_object(
         'specversion', '1.0', 'id', event_id, 'source', 'billing-service', 'type', 'evt.billing.credits.purchased',
         'subject', merchant_id, 'time', now(), 'datacontenttype', 'application/json', 'correlationid', event_id,
         'traceparent', '00-' || replace(event_id::text, '-', '') || '-0123456789abcdef-00', 'sequence', n,
         'data', json_build_object('merchant_id', merchant_id, 'platform', 'sandbox', 'purchase_id', event_id,
           'pack', 'starter', 'credits', 1000, 'bonus_credits', 50, 'price', json_build_object('amount_minor', 4999,
           'currency', 'USD', 'amount', '49.99'), 'test', true, 'late', false, 'completed_at', now()))::text, 'UTF8')
from numbered order by n
"""
_TRIALS: Final = """
insert into trials (merchant_id, trial_id, platform, platform_account_id, status, credits, duration_days, started_at,
                    ends_at, version)
select merchant_id, uuidv7(), platform, platform_account_id, 'active', 500, 14, now(), now() + interval '14 days', 1
from merchants
"""
_FORGET_EXPIRY: Final = (
    "delete from history where what = 'expired'",
    "truncate outbox",
    "update merchants set event_sequence = 0 where event_sequence > 0",
    """
    update trials set status = 'active', ended_at = null, ends_at = now() + interval '14 days', version = 1
    where status = 'expired'
    """,
)
# Those that are due lie apart, as time leaves them: every so-manieth in the order of a hash.
_DUE: Final = """
update trials set ends_at = now() - random() * interval '1 day', started_at = now() - interval '20 days'
where (merchant_id, trial_id) in (select merchant_id, trial_id from trials order by md5(merchant_id) limit $1)
"""
_ENDED: Final = """
insert into purchases (merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits,
  bonus_credits, amount_minor, currency, return_url, status, created_at, expires_at, test, platform_reference,
  checkout_url, late, refunded_minor, dispute, credits_reversed, completed_at, ended_at, observed_at, version)
select 'm-' || (n / $3::bigint), gen_random_uuid(), 'sandbox', 'm-' || (n / $3::bigint), 'starter', '2026-01', 1000,
  50, 4999, 'USD', 'https://shop.example/billing', 'completed', made, made + interval '24 hours', true,
  'sbx_' || n, 'http://127.0.0.1:8016/sandbox/checkout/' || n, false, 0, 'none', 0, made, made, made, 3
from generate_series($1::bigint, $2::bigint) as n,
  lateral (select now() - $4::interval - n % 1000 * interval '1 minute' as made) as moment
"""
_KEYS: Final = """
insert into idempotency_keys (merchant_id, route, key, fingerprint, created_at, outcome, document)
select 'm-' || n, 'POST /api/billing/purchases', 'key-' || n, md5(n::text), now() - $3::interval, 'created',
  convert_to(repeat('x', 600), 'UTF8')
from generate_series($1::bigint, $2::bigint) as n
"""
_INBOX: Final = """
insert into inbox (source, message_id, received_at)
select 'billing-purchase-updated', 'old-' || n, now() - $3::interval from generate_series($1::bigint, $2::bigint) as n
"""
_PUBLISHED: Final = "update outbox set published_at = now() - $1::interval where published_at is null"


async def backlog(connection: Any, first: int, many: int) -> None:
    """This will make so many events that wait to be published."""
    last = first + many - 1
    await connection.execute(_MERCHANTS, first // PURCHASES_A_MERCHANT, last // PURCHASES_A_MERCHANT)
    # A merchant whose events stand in two rounds goes on counting where no round has counted yet.
    await connection.execute(_BACKLOG, first, last, PURCHASES_A_MERCHANT, first)


async def running_trials(connection: Any, many: int) -> None:
    """This will make so many merchants, each on a trial that ends in two weeks."""
    await connection.execute(_MERCHANTS, 1, many)
    await connection.execute(_TRIALS)


async def due_trials(connection: Any, many: int) -> None:
    """This will have so many of the trials be due, and no others be over."""
    for statement in _FORGET_EXPIRY:
        await connection.execute(statement)
    await connection.execute(_DUE, many)


async def old_rows(connection: Any, first: int, many: int) -> None:
    """This will make so many purchases, keys, events and message ids that may be archived or forgotten, and as many
    that may not yet."""
    for start, days in ((first, 91), (first + many, 1)):
        age, last = timedelta(days=days), start + many - 1
        await connection.execute(_MERCHANTS, start // PURCHASES_A_MERCHANT, last // PURCHASES_A_MERCHANT)
        await connection.execute(_ENDED, start, last, PURCHASES_A_MERCHANT, age)
        await connection.execute(_INBOX, start, last, age)
        await connection.execute(_KEYS, start, last, age if days > 1 else timedelta())
        await connection.execute(_BACKLOG, start, last, PURCHASES_A_MERCHANT, start)
        await connection.execute(_PUBLISHED, age)
