"""The figures a merchant is shown lie in the key's index: adding them up reads no purchase.

They are scattered over the table as they were bought, a page each; in the index they lie side by side.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("purchases", "archived_purchases")
_FIGURES = ("status", "completed_at", "credits", "bonus_credits", "credits_reversed")


def upgrade() -> None:
    """This will make each key's index again with the figures, while others read and write, and put it in the other's
    place. Where it was interrupted, what it left is removed first."""
    _renew(f"include ({', '.join(_FIGURES)})")


def downgrade() -> None:
    """This will make them as they were."""
    _renew("")


def _renew(include: str) -> None:
    for table in _TABLES:
        with op.get_context().autocommit_block():  # an index is made beside the others' work in no transaction
            op.execute("set lock_timeout = '60s'")  # it waits for transactions to end, and nobody waits for it
            op.execute(f"drop index concurrently if exists {table}_pk_new")
            op.execute(
                f"create unique index concurrently {table}_pk_new on {table} (merchant_id, purchase_id) {include}"
            )
            op.execute("set lock_timeout = '2s'")
        op.execute(
            f"alter table {table} drop constraint {table}_pk, alter column merchant_id set not null,"
            f" alter column purchase_id set not null, add constraint {table}_pk primary key using index {table}_pk_new"
        )
