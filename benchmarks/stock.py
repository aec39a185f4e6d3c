"""What stands in the database before a round begins, made by the server itself: a million rows in seconds.

Everything is numbered from `first` on, so that one round's rows are not another's.
"""

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
