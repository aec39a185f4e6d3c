"""Parked messages that were given up, with who did and why."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLE = "parked_messages"
_CHECKS = {
    "dropped_whole": "num_nulls(dropped_at, dropped_by, drop_reason) in (0, 3)",
    "dropped_waits_no_more": "dropped_at is null or replayed_at is not null",
    "dropped_by_length": "char_length(dropped_by) between 1 and 255",
    "drop_reason_length": "char_length(drop_reason) between 1 and 1000",
}


def upgrade() -> None:
    """This will add the columns. A dropped message has `replayed_at` too, so that the release before, which knows of
    no other way to wait no more, goes on parking and listing beside this one."""
    op.add_column(_TABLE, sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(_TABLE, sa.Column("dropped_by", sa.Text(), nullable=True))
    op.add_column(_TABLE, sa.Column("drop_reason", sa.Text(), nullable=True))
    for name, condition in _CHECKS.items():
        op.create_check_constraint(op.f(f"{_TABLE}_{name}"), _TABLE, condition)


def downgrade() -> None:
    """This will take them away; what was dropped then looks as if it had been sent again."""
    for name in reversed(_CHECKS):
        op.drop_constraint(op.f(f"{_TABLE}_{name}"), _TABLE, type_="check")
    for column in ("drop_reason", "dropped_by", "dropped_at"):
        op.drop_column(_TABLE, column)
