"""Remember dismissed reviews, and claim the short reference of every purchase"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("archived_purchases", "purchases")
_CLAIM = ("platform", "platform_reference", "merchant_id", "purchase_id")


def upgrade() -> None:
    """This will add the column and the claims of the purchases that are there."""
    for name in _TABLES:
        op.add_column(name, sa.Column("review_dismissed", sa.Text(), nullable=True))
        op.create_check_constraint(
            op.f(f"{name}_review_dismissed_length"), name, "char_length(review_dismissed) between 1 and 2000"
        )
        op.execute(_claim_short_references(name))


def downgrade() -> None:
    """This will take both away again."""
    op.execute("delete from payment_claims where platform_reference ~ '^CP-[0-9A-F]{20}$'")
    for name in _TABLES:
        op.drop_constraint(op.f(f"{name}_review_dismissed_length"), name, type_="check")
        op.drop_column(name, "review_dismissed")


def _claim_short_references(name: str) -> sa.Insert:
    """The short reference is `CP-` and the last 20 hexadecimal digits of the id (Purchase.short_reference)."""
    purchases = sa.table(name, sa.column("platform"), sa.column("merchant_id"), sa.column("purchase_id"))
    claims = sa.table("payment_claims", *[sa.column(each) for each in _CLAIM])
    digits = sa.func.right(sa.func.replace(sa.cast(purchases.c.purchase_id, sa.Text()), "-", ""), 20)
    short = sa.literal("CP-") + sa.func.upper(digits)
    return claims.insert().from_select(
        _CLAIM, sa.select(purchases.c.platform, short, purchases.c.merchant_id, purchases.c.purchase_id)
    )
