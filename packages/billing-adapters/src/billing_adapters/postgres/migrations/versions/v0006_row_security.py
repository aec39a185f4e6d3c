"""Row-level security: the second wall between merchants.

A process of the version before sees nothing behind it unless its role says otherwise: see "Upgrading to row-level
security" in docs/operations.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OF_MERCHANTS = (
    "merchants", "trials", "purchases", "archived_purchases", "payment_claims", "credit_grants", "history", "outbox",
    "idempotency_keys", "privacy_records",
)  # fmt: skip
_FUNCTIONS = (
    "billing_purge_events", "billing_redact_history", "billing_redact_events", "billing_trial_is_claimed",
)  # fmt: skip
_SEEN = "current_setting('billing.merchant_id', true)"
_MINE = f"merchant_id = {_SEEN}"
# `coalesce` for the planner, which takes a comparison it knows nothing of for true of one row in 200, and would choose
# plans for so few.
_EVERYBODY = f"coalesce({_SEEN} = '*', false)"
# The claim of a trial is the platform account's: each of its merchants may know of it.
_MY_ACCOUNTS = f"""
    exists (
        select from merchants mine
        where mine.{_MINE}
        and mine.platform = trial_claims.platform
        and mine.platform_account_id = trial_claims.platform_account_id
    )
"""


def upgrade() -> None:
    """This will wall the tables in. Each takes a moment's exclusive lock; no row is read."""
    # Whoever runs a statement with an argument of this type sees the rows of that merchant, until the transaction ends.
    op.execute(
        "create domain billing_caller as text check (set_config('billing.merchant_id', value, true) is not null)"
    )
    for table in _OF_MERCHANTS:
        op.execute(f"create policy of_one_merchant on {table} using ({_MINE})")
    op.execute(f"create policy of_one_merchant on trial_claims using ({_MINE} or {_MY_ACCOUNTS}) with check ({_MINE})")
    for table in (*_OF_MERCHANTS, "trial_claims"):
        # To the owner alone: other roles see everybody by a policy of their own, or not at all.
        op.execute(f"create policy of_every_merchant on {table} to current_user using ({_EVERYBODY})")
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
    for written in _functions(op.get_bind().execute(sa.text("select quote_ident(current_schema())")).scalar_one()):
        op.execute(written)
    for function in _FUNCTIONS:
        op.execute(f"revoke execute on function {function} from public")


def downgrade() -> None:
    """This will take the wall away; the tables are as they were."""
    for function in _FUNCTIONS:
        op.execute(f"drop function {function}")
    for table in (*_OF_MERCHANTS, "trial_claims"):
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
        op.execute(f"drop policy of_every_merchant on {table}")
        op.execute(f"drop policy of_one_merchant on {table}")
    op.execute("drop domain billing_caller")


def _functions(schema: str) -> tuple[str, ...]:
    """What is done as the owner, because nobody else may do it in any other way. Workers, who call all but the last,
    see every merchant."""
    run_as_owner = f"security definer set search_path = {schema}, pg_temp"
    return (
        # Nobody else may delete an event: only old ones that were published go.
        f"""
        create function billing_purge_events(published_before timestamptz, most bigint) returns bigint
        language sql {run_as_owner} as $$
            with gone as (
                delete from outbox where ctid = any (array(
                    select ctid from outbox where published_at < published_before
                    order by published_at limit most for update skip locked
                ))
                returning 1
            )
            select count(*) from gone
        $$
        """,  # noqa: S608 - the schema's own quoted name is all that is put in
        # Nor may anybody else change what has happened: only words go, when a shop is redacted.
        f"""
        create function billing_redact_history(
            merchants text[], subjects uuid[], numbers bigint[], actors text[], reasons text[], correlations text[]
        ) returns void language sql {run_as_owner} as $$
            update history set actor = given.actor, reason = given.reason, correlation_id = given.correlation_id
            from unnest(merchants, subjects, numbers, actors, reasons, correlations)
                as given (merchant_id, subject_id, number, actor, reason, correlation_id)
            where history.merchant_id = given.merchant_id and history.subject_id = given.subject_id
            and history.number = given.number
        $$
        """,  # noqa: S608 - as above
        f"""
        create function billing_redact_events(merchants text[], sequences bigint[], bodies bytea[]) returns void
        language sql {run_as_owner} as $$
            update outbox set body = given.body
            from unnest(merchants, sequences, bodies) as given (merchant_id, sequence, body)
            where outbox.merchant_id = given.merchant_id and outbox.sequence = given.sequence
        $$
        """,  # noqa: S608 - as above
        # Whether an account has had its trial, whoever sees the claim: a merchant who comes back under another name
        # must not be given a second one.
        f"""
        create function billing_trial_is_claimed(asked_platform text, asked_account text) returns boolean
        language plpgsql {run_as_owner} as $$
            declare
                seen text := current_setting('billing.merchant_id', true);
                claimed boolean;
            begin
                perform set_config('billing.merchant_id', '*', true);
                claimed := exists (
                    select from trial_claims where platform = asked_platform and platform_account_id = asked_account
                );
                perform set_config('billing.merchant_id', coalesce(seen, ''), true);
                return claimed;
            end
        $$
        """,
    )
