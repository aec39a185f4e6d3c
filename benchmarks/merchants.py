"""Merchants who were there before the measurement, put into the database as time would have left them."""

from collections.abc import Sequence
from uuid import uuid4

import asyncpg

from benchmarks.stage import Stage

_MERCHANTS = """
insert into merchants (merchant_id, platform, platform_account_id, platform_domain, currency, registered_at)
select id, 'sandbox', 'account-of-' || id, null, 'USD', now() from unnest($1::text[]) as id
"""
# Each merchant's purchases as time made them: every fifth still pending, one in ten expired, the others completed.
_PURCHASES = """
insert into purchases (
    merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits, bonus_credits,
    amount_minor, currency, return_url, status, created_at, expires_at, test, platform_reference, checkout_url, late,
    refunded_minor, dispute, credits_reversed, completed_at, ended_at, observed_at, check_at, version)
select
    id, purchase_id, 'sandbox', 'account-of-' || id, 'large', 'default-1', 1000, 0, 6999, 'USD',
    'https://shop.example/billing', status, created_at, created_at + interval '24 hours', true,
    'sbx_' || replace(purchase_id::text, '-', ''),
    'https://billing.example/sandbox/checkout/' || purchase_id || '?offer=' || repeat('x', 500), false,
    0, 'none', 0, case when status = 'completed' then created_at + interval '1 minute' end,
    case when status <> 'pending' then created_at + interval '1 minute' end, null,
    case when status = 'pending' then created_at + interval '1 minute' end, 3
from (
    select
        id, uuidv7(made - now()) as purchase_id, made as created_at,
        case when number % 5 = 0 then 'pending' when number % 10 = 3 then 'expired' else 'completed' end as status
    from
        unnest($1::text[]) as id,
        generate_series(1, $2) as number,
        lateral (select now() - number * interval '7 minutes') as moment (made)
)
"""
_TRIALS = """
insert into trials (
    merchant_id, trial_id, platform, platform_account_id, status, credits, duration_days, started_at, ends_at, version)
select id, uuidv7(), 'sandbox', 'account-of-' || id, 'active', 500, 14, now(), now() + interval '14 days', 1
from unnest($1::text[]) as id
"""


async def add_merchants(stage: Stage, many: int, *, purchases: int = 0, trials: bool = False) -> Sequence[str]:
    """This will store new merchants, each with that many purchases, and return their ids."""
    name = uuid4().hex[:12]
    merchants = [f"merchant-{name}-{number}" for number in range(many)]
    connection = await asyncpg.connect(stage.urls.postgres)
    try:
        await connection.execute(_MERCHANTS, merchants)
        if purchases:
            await connection.execute(_PURCHASES, merchants, purchases)
        if trials:
            await connection.execute(_TRIALS, merchants)
        await connection.execute("analyze")
    finally:
        await connection.close()
    return merchants
