"""The floor's SQL, written by hand: one statement for each thing that is decided, not for each thing that is stored."""

# Held until the transaction ends, so that the next statement sees what the one before us committed.
HOLD_MERCHANT = """
select platform, platform_account_id, currency, event_sequence from merchants where merchant_id = $1
for no key update
"""

# Everything of a new purchase, unless the key is known, the same offer is open already, or too many are.
OPEN_PURCHASE = """
with key as (
    insert into idempotency_keys (merchant_id, route, key, fingerprint, created_at, purchase_id, locked_until)
    values ($1, $2, $3, $4, $5::timestamptz, $6::uuid, $5 + interval '20 seconds')
    on conflict do nothing
    returning 1
), open as (
    select pack, credits, bonus_credits, amount_minor, currency from purchases
    where merchant_id = $1 and status in ('created', 'pending') and expires_at > $5
), purchase as (
    insert into purchases (
        merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits, bonus_credits,
        amount_minor, currency, return_url, status, created_at, expires_at, test, late, refunded_minor, dispute,
        credits_reversed, check_at, version)
    select $1, $6, $7, $8, $9, $10, $11::bigint, 0, $12::bigint, $13, $14, 'created', $5, $15::timestamptz, true,
        false, 0, 'none', 0, $5 + interval '1 minute', 1
    from key
    where (select count(*) from open) < 5
    and not exists (
        select from open
        where (pack, credits, bonus_credits, amount_minor, currency) = ($9, $11, 0, $12, $13))
    returning 1
), claim as (
    insert into payment_claims (platform, platform_reference, merchant_id, purchase_id)
    select $7, $16, $1, $6 from purchase
), entry as (
    insert into history (
        merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, correlation_id)
    select $1, $6, 1, 'purchase', 'created', null, 'created', $5, $17, $18 from purchase
), numbered as (
    update merchants set event_sequence = $19::bigint from purchase where merchant_id = $1
), event as (
    insert into outbox (merchant_id, sequence, event_id, type, body)
    select $1, $19, $20::uuid, $21, $22::bytea from purchase
)
select pg_notify('billing_outbox', '') from purchase
"""

HAND_OUT = """
with purchase as (
    update purchases
    set status = 'pending', platform_reference = $3, checkout_url = $4, version = 2
    where merchant_id = $1 and purchase_id = $2 and status = 'created'
    returning platform
), claim as (
    insert into payment_claims (platform, platform_reference, merchant_id, purchase_id)
    select platform, $3, $1, $2 from purchase
), entry as (
    insert into history (
        merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, correlation_id)
    select $1, $2, 2, 'purchase', 'pending', 'created', 'pending', $5::timestamptz, $6, $7 from purchase
)
update idempotency_keys set locked_until = null, outcome = 'created', document = $8
from purchase
where merchant_id = $1 and route = $9 and key = $10 and idempotency_keys.purchase_id = $2 and document is null
"""

REMEMBERED = """
select fingerprint, outcome, document from idempotency_keys where merchant_id = $1 and route = $2 and key = $3
"""

_SHOWN = """
purchase_id, merchant_id, pack, credits, bonus_credits, amount_minor, currency, status, platform, platform_reference,
checkout_url, test, late, review_reason, credits_reversed, created_at, expires_at, completed_at
"""

PAGE = f"""
select merchants.platform as of_platform, page.*
from (values ($1)) as asked (id)
left join merchants on merchant_id = asked.id
left join lateral (
    select {_SHOWN} from purchases where purchases.merchant_id = asked.id order by purchase_id desc limit $2
) as page on true
order by page.purchase_id desc
"""  # noqa: S608 - columns, nothing that anybody sent

OVERVIEW = f"""
select
    merchants.platform as of_platform, merchants.platform_account_id, merchants.currency as home_currency,
    registered_at, trial.*, figures.*, last.*,
    exists (
        select from trial_claims
        where trial_claims.platform = merchants.platform
        and trial_claims.platform_account_id = merchants.platform_account_id
    ) as claimed
from merchants
left join lateral (
    select
        trial_id, trials.status as trial_status, trials.credits as trial_credits, duration_days, started_at, ends_at,
        converted_at
    from trials where trials.merchant_id = merchants.merchant_id order by started_at desc, trial_id desc limit 1
) as trial on true
left join lateral (
    select
        json_object_agg(status, many)::text as counts, sum(purchased)::bigint as all_purchased,
        sum(reversed)::bigint as all_reversed
    from (
        select status, count(*) as many,
            coalesce(sum(credits + bonus_credits) filter (where completed_at is not null), 0) as purchased,
            sum(credits_reversed) as reversed
        from (
            select status, credits, bonus_credits, completed_at, credits_reversed
            from purchases where purchases.merchant_id = merchants.merchant_id
            union all
            select status, credits, bonus_credits, completed_at, credits_reversed
            from archived_purchases where archived_purchases.merchant_id = merchants.merchant_id
        ) as every
        group by status
    ) as by_status
) as figures on true
left join lateral (
    (select {_SHOWN} from purchases where purchases.merchant_id = merchants.merchant_id
        order by purchase_id desc limit 1)
    union all
    (select {_SHOWN} from archived_purchases where archived_purchases.merchant_id = merchants.merchant_id
        order by purchase_id desc limit 1)
    order by purchase_id desc limit 1
) as last on true
where merchants.merchant_id = $1
"""  # noqa: S608 - columns, nothing that anybody sent
