"""What was asked about people's data, and what was redacted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLE = "privacy_records"
_CHECKS = {
    "what_length": "char_length(what) between 1 and 64",
    "platform_length": "char_length(platform) between 1 and 64",
    "account_tells_nothing": "account ~ '^redacted:[0-9a-f]{64}$'",
    "merchant_id_length": "char_length(merchant_id) between 1 and 128",
    "actor_length": "char_length(actor) between 1 and 255",
    "reason_length": "char_length(reason) between 0 and 1000",
    "key_id_length": "char_length(key_id) between 1 and 64",
}


def upgrade() -> None:
    """This will add the table, and touch no other one."""
    op.create_table(
        _TABLE,
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("merchant_id", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        *(sa.CheckConstraint(condition, name=op.f(f"{_TABLE}_{name}")) for name, condition in _CHECKS.items()),
        sa.PrimaryKeyConstraint("record_id", name=op.f(f"{_TABLE}_pk")),
    )
    op.create_index("privacy_records_of_merchant", _TABLE, ["merchant_id", "at"])
    op.create_index("privacy_records_key", _TABLE, ["key_id"], postgresql_where=sa.text("key_id IS NOT NULL"))


def downgrade() -> None:
    """This will take it away, with what was recorded. What was redacted stays redacted, and is known again no more."""
    op.drop_table(_TABLE)
