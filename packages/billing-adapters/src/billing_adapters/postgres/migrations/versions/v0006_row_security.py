"""Row-level security: the second wall between merchants.

A process of the version before sees nothing behind it unless its role says otherwise: see "Upgrading to row-level
security" in docs/operations.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_OF_MERCHANTS = (
    "merchants", "trials", "purchases", "archived_purchases", "payment_claims", "credit_grants", "history", "outbox",
    "idempotency_keys",
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
    _allow_purging()


def downgrade() -> None:
    """This will take the wall away; the tables are as they were."""
    op.execute("drop function billing_purge_events")
    for table in (*_OF_MERCHANTS, "trial_claims"):
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
        op.execute(f"drop policy of_every_merchant on {table}")
        op.execute(f"drop policy of_one_merchant on {table}")
    op.execute("drop domain billing_caller")


def _allow_purging() -> None:
    """Nobody but the owner may delete an event; a worker, who sees every merchant, may have old ones deleted that were
    published."""
    schema = op.get_bind().execute(sa.text("select quote_ident(current_schema())")).scalar_one()
    op.execute(f"""
        create function billing_purge_events(published_before timestamptz, most bigint) returns bigint
        language sql security definer set search_path = {schema}, pg_temp
        as $$
            with gone as (
                delete from outbox where ctid = any (array(
                    select ctid from outbox where published_at < published_before
                    order by published_at limit most for update skip locked
                ))
                returning 1
            )
            select count(*) from gone
        $$
    """)  # noqa: S608 - the schema's own quoted name is all that is put in
    op.execute("revoke execute on function billing_purge_events from public")
