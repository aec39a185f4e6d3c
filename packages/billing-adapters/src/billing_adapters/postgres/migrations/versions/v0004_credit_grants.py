"""Goodwill credits: what operators gave, and its history."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLE = "credit_grants"


def upgrade() -> None:
    """This will add the table, and let the history have grants (which reads the history once)."""
    op.create_table(
        _TABLE,
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(actor) between 1 and 255", name=op.f("credit_grants_actor_length")),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("credit_grants_merchant_id_length")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("credit_grants_platform_length")),
        sa.CheckConstraint("char_length(reason) between 1 and 1000", name=op.f("credit_grants_reason_length")),
        sa.CheckConstraint("credits between 1 and 1000000000", name=op.f("credit_grants_credits_bounded")),
        sa.PrimaryKeyConstraint("merchant_id", "grant_id", name=op.f("credit_grants_pk")),
        sa.UniqueConstraint("grant_id", name=op.f("credit_grants_grant_id_unique")),
    )
    op.create_index("credit_grants_by_actor", _TABLE, ["actor", "granted_at"])
    _let_history_have("'grant', 'purchase', 'trial'")


def downgrade() -> None:
    """This will take it away, with what was granted; the events that told of it stay."""
    op.execute("delete from history where subject = 'grant'")
    _let_history_have("'purchase', 'trial'")
    op.drop_table(_TABLE)


def _let_history_have(subjects: str) -> None:
    op.drop_constraint(op.f("history_subject_known"), "history", type_="check")
    op.create_check_constraint(op.f("history_subject_known"), "history", f"subject in ({subjects})")
