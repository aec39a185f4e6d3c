"""Reviews that are answered, purchases looked after when called off, and claimed short references."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("archived_purchases", "purchases")
_CLAIM = ("platform", "platform_reference", "merchant_id", "purchase_id")
_OPEN = "status in ('created', 'pending')"
_PAID = "status in ('completed', 'disputed', 'partially_refunded', 'refunded')"


def upgrade() -> None:
    """This will add the columns, relax two checks, and claim the short references of what is there."""
    for name in _TABLES:
        op.add_column(name, sa.Column("review_reference", sa.Text(), nullable=True))
        for column in ("further_findings", "dismissed"):
            # The default stays: the release before goes on adding purchases, and knows nothing of the column.
            op.add_column(name, sa.Column(column, sa.Text(), nullable=False, server_default=""))
        op.add_column(name, sa.Column("paid_minor", sa.BigInteger(), nullable=True))
        _check(name, "review_reference_length", "char_length(review_reference) between 1 and 255")
        _check(name, "further_findings_length", "char_length(further_findings) between 0 and 10000")
        _check(name, "dismissed_length", "char_length(dismissed) between 0 and 10000")
        _check(name, "paid_minor_positive", "paid_minor >= 0")
        _uncheck(name, "refunded_minor_bounded")
        _check(name, "refunded_minor_bounded", "refunded_minor between 0 and coalesce(paid_minor, amount_minor)")
        _uncheck(name, "check_at_iff_open")
        payable = f"case when {_OPEN} then check_at is not null when {_PAID} then check_at is null else true end"
        _check(name, "check_at_while_payable", payable)
        op.execute(_claim_short_references(name))
    _look_after("check_at IS NOT NULL")


def downgrade() -> None:
    """This will take all of it away again."""
    _look_after("status IN ('created', 'pending')")
    op.execute("delete from payment_claims where platform_reference ~ '^CP-[0-9A-F]{20}$'")
    for name in _TABLES:
        _uncheck(name, "check_at_while_payable")
        purchases = sa.table(name, sa.column("check_at"), sa.column("status"))
        op.execute(purchases.update().where(sa.text(f"not ({_OPEN})")).values(check_at=None))
        _check(name, "check_at_iff_open", f"({_OPEN}) = (check_at is not null)")
        _uncheck(name, "refunded_minor_bounded")
        _check(name, "refunded_minor_bounded", "refunded_minor between 0 and amount_minor")
        checks = ("paid_minor_positive", "dismissed_length", "further_findings_length", "review_reference_length")
        for constraint in checks:
            _uncheck(name, constraint)
        for column in ("paid_minor", "dismissed", "further_findings", "review_reference"):
            op.drop_column(name, column)


def _check(name: str, constraint: str, condition: str) -> None:
    op.create_check_constraint(op.f(f"{name}_{constraint}"), name, condition)


def _uncheck(name: str, constraint: str) -> None:
    op.drop_constraint(op.f(f"{name}_{constraint}"), name, type_="check")


def _look_after(condition: str) -> None:
    op.drop_index("purchases_to_check", table_name="purchases")
    columns = ["check_at", "purchase_id"]
    op.create_index("purchases_to_check", "purchases", columns, postgresql_where=sa.text(condition))


def _claim_short_references(name: str) -> sa.Insert:
    """The short reference is `CP-` and the last 20 hexadecimal digits of the id (Purchase.short_reference)."""
    purchases = sa.table(name, sa.column("platform"), sa.column("merchant_id"), sa.column("purchase_id"))
    claims = sa.table("payment_claims", *[sa.column(each) for each in _CLAIM])
    digits = sa.func.right(sa.func.replace(sa.cast(purchases.c.purchase_id, sa.Text()), "-", ""), 20)
    short = sa.literal("CP-") + sa.func.upper(digits)
    return claims.insert().from_select(
        _CLAIM, sa.select(purchases.c.platform, short, purchases.c.merchant_id, purchases.c.purchase_id)
    )
