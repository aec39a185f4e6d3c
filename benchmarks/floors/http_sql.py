"""The floor's SQL, written by hand: one statement for each thing that is decided, not for each thing that is stored."""

# What a request for a purchase depends on, at one glance.
LOOK = """
select
    merchants.platform, platform_account_id, event_sequence, fingerprint, outcome, document,
    idempotency_keys.key is not null as key_is_known, many, same
from merchants
left join idempotency_keys
    on idempotency_keys.merchant_id = merchants.merchant_id and route = $2 and key = $3
left join lateral (
    select count(*) as many, bool_or((pack, credits, bonus_credits, amount_minor, currency) = ($4, $5::bigint, 0,
        $6::bigint, 'USD')) as same
    from purchases
    where purchases.merchant_id = merchants.merchant_id and status in ('created', 'pending') and expires_at > $7
) as open on true
where merchants.merchant_id = $1
"""

# Everything of a new purchase, in one transaction by itself; nothing where another one came between, for each takes
# the merchant's next number.
OPEN_PURCHASE = """
with numbered as (
    update merchants set event_sequence = $18::bigint where merchant_id = $1 and event_sequence = $18::bigint - 1
    returning merchant_id
), purchase as (
    insert into purchases (
        merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits, bonus_credits,
        amount_minor, currency, return_url, status, created_at, expires_at, test, late, refunded_minor, dispute,
        credits_reversed, check_at, version)
    select merchant_id, $6::uuid, $7, $8, $9, $10, $11::bigint, 0, $12::bigint, 'USD', $13, 'created',
        $5::timestamptz, $14::timestamptz, true, false, 0, 'none', 0, $5 + interval '1 minute', 1
    from numbered
), key as (
    insert into idempotency_keys (merchant_id, route, key, fingerprint, created_at, purchase_id, locked_until)
    select merchant_id, $2, $3, $4, $5, $6, $5 + interval '20 seconds' from numbered
), claim as (
    insert into payment_claims (platform, platform_reference, merchant_id, purchase_id)
    select $7, $15, merchant_id, $6 from numbered
), entry as (
    insert into history (
        merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, correlation_id)
    select merchant_id, $6, 1, 'purchase', 'created', null, 'created', $5, $16, $17 from numbered
), event as (
    insert into outbox (merchant_id, sequence, event_id, type, body)
    select merchant_id, $18, $19::uuid, $20, $21::bytea from numbered
)
select pg_notify('billing_outbox', '') from numbered
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
