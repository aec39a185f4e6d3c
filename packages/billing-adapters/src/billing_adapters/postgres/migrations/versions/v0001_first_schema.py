"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand only: what N-1 of the program reads must still be there."""
    op.create_table(
        "history",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("status_before", sa.Text(), nullable=True),
        sa.Column("status_after", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.CheckConstraint("subject in ('purchase', 'trial')", name=op.f("history_subject_known")),
        sa.CheckConstraint("char_length(actor) between 1 and 255", name=op.f("history_actor_length")),
        sa.CheckConstraint("char_length(correlation_id) between 1 and 255", name=op.f("history_correlation_id_length")),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("history_merchant_id_length")),
        sa.CheckConstraint("char_length(reason) between 0 and 2000", name=op.f("history_reason_length")),
        sa.CheckConstraint("char_length(what) between 1 and 64", name=op.f("history_what_length")),
        sa.CheckConstraint("number >= 1", name=op.f("history_number_counts")),
        sa.PrimaryKeyConstraint("merchant_id", "subject_id", "number", name=op.f("history_pk")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(outcome is null) = (document is null)", name=op.f("idempotency_keys_answer_whole")),
        sa.CheckConstraint(
            "char_length(fingerprint) between 1 and 128", name=op.f("idempotency_keys_fingerprint_length")
        ),
        sa.CheckConstraint("char_length(key) between 1 and 255", name=op.f("idempotency_keys_key_length")),
        sa.CheckConstraint(
            "char_length(merchant_id) between 1 and 128", name=op.f("idempotency_keys_merchant_id_length")
        ),
        sa.CheckConstraint("char_length(route) between 1 and 128", name=op.f("idempotency_keys_route_length")),
        sa.PrimaryKeyConstraint("merchant_id", "route", "key", name=op.f("idempotency_keys_pk")),
    )
    op.create_index("idempotency_keys_created", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(message_id) between 1 and 255", name=op.f("inbox_message_id_length")),
        sa.CheckConstraint("char_length(source) between 1 and 64", name=op.f("inbox_source_length")),
        sa.PrimaryKeyConstraint("source", "message_id", name=op.f("inbox_pk")),
    )
    op.create_index("inbox_received", "inbox", ["received_at"], unique=False)
    op.create_table(
        "job_runs",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(job) between 1 and 64", name=op.f("job_runs_job_length")),
        sa.PrimaryKeyConstraint("job", name=op.f("job_runs_pk")),
    )
    op.create_table(
        "merchants",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("platform_domain", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("merchants_currency_iso")),
        sa.CheckConstraint("merchant_id ~ '^[A-Za-z0-9._:-]{1,128}$'", name=op.f("merchants_merchant_id_shape")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("merchants_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255", name=op.f("merchants_platform_account_id_length")
        ),
        sa.CheckConstraint(
            "char_length(platform_domain) between 1 and 253", name=op.f("merchants_platform_domain_length")
        ),
        sa.CheckConstraint("event_sequence >= 0", name=op.f("merchants_event_sequence_counts")),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("merchants_pk")),
    )
    op.create_table(
        "outbox",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("outbox_merchant_id_length")),
        sa.CheckConstraint("char_length(type) between 1 and 128", name=op.f("outbox_type_length")),
        sa.CheckConstraint("sequence >= 1", name=op.f("outbox_sequence_counts")),
        sa.PrimaryKeyConstraint("merchant_id", "sequence", name=op.f("outbox_pk")),
        sa.UniqueConstraint("event_id", name=op.f("outbox_event_id_unique")),
    )
    op.create_index(
        "outbox_published",
        "outbox",
        ["published_at"],
        unique=False,
        postgresql_where=sa.text("published_at IS NOT NULL"),
    )
    op.create_index(
        "outbox_unpublished", "outbox", ["position"], unique=False, postgresql_where=sa.text("published_at IS NULL")
    )
    op.create_table(
        "parked_messages",
        sa.Column("parked_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("parked_id", name=op.f("parked_messages_pk")),
    )
    op.create_index("parked_messages_newest", "parked_messages", ["parked_at", "parked_id"], unique=False)
    op.create_index(
        "parked_messages_waiting_once",
        "parked_messages",
        ["source", "message_id"],
        unique=True,
        postgresql_where=sa.text("replayed_at IS NULL"),
    )
    op.create_table(
        "payment_claims",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_reference", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "char_length(merchant_id) between 1 and 128", name=op.f("payment_claims_merchant_id_length")
        ),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("payment_claims_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_reference) between 1 and 255", name=op.f("payment_claims_platform_reference_length")
        ),
        sa.PrimaryKeyConstraint("platform", "platform_reference", name=op.f("payment_claims_pk")),
    )
    op.create_table(
        "sandbox_payments",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("sandbox_payments_currency_iso")),
        sa.CheckConstraint(
            "status in ('cancelled', 'declined', 'expired', 'paid')", name=op.f("sandbox_payments_status_known")
        ),
        sa.CheckConstraint(
            "amount_minor between 0 and 1000000000000", name=op.f("sandbox_payments_amount_minor_bounded")
        ),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255",
            name=op.f("sandbox_payments_platform_account_id_length"),
        ),
        sa.CheckConstraint("char_length(reference) between 1 and 255", name=op.f("sandbox_payments_reference_length")),
        sa.CheckConstraint("char_length(title) between 0 and 1000", name=op.f("sandbox_payments_title_length")),
        sa.CheckConstraint(
            "refunded_minor between 0 and amount_minor", name=op.f("sandbox_payments_refunded_minor_bounded")
        ),
        sa.PrimaryKeyConstraint("reference", name=op.f("sandbox_payments_pk")),
    )
    op.create_table(
        "trial_claims",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("trial_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("trial_claims_merchant_id_length")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("trial_claims_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255", name=op.f("trial_claims_platform_account_id_length")
        ),
        sa.PrimaryKeyConstraint("platform", "platform_account_id", name=op.f("trial_claims_pk")),
    )
    op.create_table(
        "archived_purchases",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("bonus_credits", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("platform_reference", sa.Text(), nullable=True),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("review_reason", sa.Text(), nullable=True),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("dispute", sa.Text(), nullable=False),
        sa.Column("credits_reversed", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(status in ('completed', 'disputed', 'partially_refunded', 'refunded')) = (completed_at is not null)",
            name=op.f("archived_purchases_completed_at_iff_paid"),
        ),
        sa.CheckConstraint(
            "(status in ('created', 'pending')) = (check_at is not null)",
            name=op.f("archived_purchases_check_at_iff_open"),
        ),
        sa.CheckConstraint(
            "(status in ('created', 'pending')) = (ended_at is null)", name=op.f("archived_purchases_ended_at_iff_over")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("archived_purchases_currency_iso")),
        sa.CheckConstraint("dispute in ('lost', 'none', 'open', 'won')", name=op.f("archived_purchases_dispute_known")),
        sa.CheckConstraint(
            "status <> 'pending' or checkout_url is not null",
            name=op.f("archived_purchases_pending_has_checkout"),
        ),
        sa.CheckConstraint(
            "status in ('cancelled', 'completed', 'created', 'declined', "
            "'disputed', 'expired', 'failed', 'partially_refunded', 'pending', 'refunded')",
            name=op.f("archived_purchases_status_known"),
        ),
        sa.CheckConstraint(
            "amount_minor between 0 and 1000000000000", name=op.f("archived_purchases_amount_minor_bounded")
        ),
        sa.CheckConstraint(
            "char_length(catalog_version) between 1 and 255", name=op.f("archived_purchases_catalog_version_length")
        ),
        sa.CheckConstraint(
            "char_length(checkout_url) between 1 and 8192", name=op.f("archived_purchases_checkout_url_length")
        ),
        sa.CheckConstraint(
            "char_length(merchant_id) between 1 and 128", name=op.f("archived_purchases_merchant_id_length")
        ),
        sa.CheckConstraint("char_length(pack) between 1 and 255", name=op.f("archived_purchases_pack_length")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("archived_purchases_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255",
            name=op.f("archived_purchases_platform_account_id_length"),
        ),
        sa.CheckConstraint(
            "char_length(platform_reference) between 1 and 255",
            name=op.f("archived_purchases_platform_reference_length"),
        ),
        sa.CheckConstraint(
            "char_length(return_url) between 0 and 2048", name=op.f("archived_purchases_return_url_length")
        ),
        sa.CheckConstraint(
            "char_length(review_reason) between 1 and 2000", name=op.f("archived_purchases_review_reason_length")
        ),
        sa.CheckConstraint("credits > 0 and bonus_credits >= 0", name=op.f("archived_purchases_credits_positive")),
        sa.CheckConstraint(
            "credits_reversed between 0 and credits + bonus_credits",
            name=op.f("archived_purchases_credits_reversed_bounded"),
        ),
        sa.CheckConstraint("not late or completed_at is not null", name=op.f("archived_purchases_late_only_paid")),
        sa.CheckConstraint(
            "refunded_minor between 0 and amount_minor", name=op.f("archived_purchases_refunded_minor_bounded")
        ),
        sa.CheckConstraint("version >= 0", name=op.f("archived_purchases_version_counts")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.merchant_id"], name=op.f("archived_purchases_merchant_id_known")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "purchase_id", name=op.f("archived_purchases_pk")),
        sa.UniqueConstraint("purchase_id", name=op.f("archived_purchases_purchase_id_unique")),
    )
    op.create_table(
        "purchases",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("bonus_credits", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("platform_reference", sa.Text(), nullable=True),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("review_reason", sa.Text(), nullable=True),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("dispute", sa.Text(), nullable=False),
        sa.Column("credits_reversed", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(status in ('completed', 'disputed', 'partially_refunded', 'refunded')) = (completed_at is not null)",
            name=op.f("purchases_completed_at_iff_paid"),
        ),
        sa.CheckConstraint(
            "(status in ('created', 'pending')) = (check_at is not null)", name=op.f("purchases_check_at_iff_open")
        ),
        sa.CheckConstraint(
            "(status in ('created', 'pending')) = (ended_at is null)", name=op.f("purchases_ended_at_iff_over")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("purchases_currency_iso")),
        sa.CheckConstraint("dispute in ('lost', 'none', 'open', 'won')", name=op.f("purchases_dispute_known")),
        sa.CheckConstraint(
            "status <> 'pending' or checkout_url is not null",
            name=op.f("purchases_pending_has_checkout"),
        ),
        sa.CheckConstraint(
            "status in ('cancelled', 'completed', 'created', 'declined', "
            "'disputed', 'expired', 'failed', 'partially_refunded', 'pending', 'refunded')",
            name=op.f("purchases_status_known"),
        ),
        sa.CheckConstraint("amount_minor between 0 and 1000000000000", name=op.f("purchases_amount_minor_bounded")),
        sa.CheckConstraint(
            "char_length(catalog_version) between 1 and 255", name=op.f("purchases_catalog_version_length")
        ),
        sa.CheckConstraint("char_length(checkout_url) between 1 and 8192", name=op.f("purchases_checkout_url_length")),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("purchases_merchant_id_length")),
        sa.CheckConstraint("char_length(pack) between 1 and 255", name=op.f("purchases_pack_length")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("purchases_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255", name=op.f("purchases_platform_account_id_length")
        ),
        sa.CheckConstraint(
            "char_length(platform_reference) between 1 and 255", name=op.f("purchases_platform_reference_length")
        ),
        sa.CheckConstraint("char_length(return_url) between 0 and 2048", name=op.f("purchases_return_url_length")),
        sa.CheckConstraint(
            "char_length(review_reason) between 1 and 2000", name=op.f("purchases_review_reason_length")
        ),
        sa.CheckConstraint("credits > 0 and bonus_credits >= 0", name=op.f("purchases_credits_positive")),
        sa.CheckConstraint(
            "credits_reversed between 0 and credits + bonus_credits", name=op.f("purchases_credits_reversed_bounded")
        ),
        sa.CheckConstraint("not late or completed_at is not null", name=op.f("purchases_late_only_paid")),
        sa.CheckConstraint("refunded_minor between 0 and amount_minor", name=op.f("purchases_refunded_minor_bounded")),
        sa.CheckConstraint("version >= 0", name=op.f("purchases_version_counts")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.merchant_id"], name=op.f("purchases_merchant_id_known")),
        sa.PrimaryKeyConstraint("merchant_id", "purchase_id", name=op.f("purchases_pk")),
        sa.UniqueConstraint("purchase_id", name=op.f("purchases_purchase_id_unique")),
    )
    op.create_index(
        "purchases_open",
        "purchases",
        ["merchant_id", "purchase_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('created', 'pending')"),
    )
    op.create_index(
        "purchases_to_archive",
        "purchases",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("review_reason IS NULL"),
    )
    op.create_index(
        "purchases_to_check",
        "purchases",
        ["check_at", "purchase_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('created', 'pending')"),
    )
    op.create_index(
        "purchases_to_expire",
        "purchases",
        ["expires_at", "purchase_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('created', 'pending')"),
    )
    op.create_index(
        "purchases_to_review",
        "purchases",
        ["purchase_id"],
        unique=False,
        postgresql_where=sa.text("review_reason IS NOT NULL"),
    )
    op.create_table(
        "trials",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("trial_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_account_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("duration_days", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("converted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(status = 'active') = (ended_at is null)", name=op.f("trials_ended_at_iff_over")),
        sa.CheckConstraint("ends_at > started_at or status = 'refused'", name=op.f("trials_ends_after_start")),
        sa.CheckConstraint(
            "status in ('active', 'converted', 'ended', 'expired', 'refused')", name=op.f("trials_status_known")
        ),
        sa.CheckConstraint("char_length(merchant_id) between 1 and 128", name=op.f("trials_merchant_id_length")),
        sa.CheckConstraint("char_length(platform) between 1 and 64", name=op.f("trials_platform_length")),
        sa.CheckConstraint(
            "char_length(platform_account_id) between 1 and 255", name=op.f("trials_platform_account_id_length")
        ),
        sa.CheckConstraint("credits > 0", name=op.f("trials_credits_positive")),
        sa.CheckConstraint("duration_days between 1 and 3650", name=op.f("trials_duration_days_bounded")),
        sa.CheckConstraint("version >= 0", name=op.f("trials_version_counts")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.merchant_id"], name=op.f("trials_merchant_id_known")),
        sa.PrimaryKeyConstraint("merchant_id", "trial_id", name=op.f("trials_pk")),
        sa.UniqueConstraint("trial_id", name=op.f("trials_trial_id_unique")),
    )
    op.create_index(
        "trials_due", "trials", ["ends_at", "trial_id"], unique=False, postgresql_where=sa.text("status = 'active'")
    )
    op.create_index(
        "trials_one_active_per_merchant",
        "trials",
        ["merchant_id"],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
    )


def downgrade() -> None:
    """Take the same step back."""
    op.drop_index("trials_one_active_per_merchant", table_name="trials", postgresql_where=sa.text("status = 'active'"))
    op.drop_index("trials_due", table_name="trials", postgresql_where=sa.text("status = 'active'"))
    op.drop_table("trials")
    op.drop_index("purchases_to_review", table_name="purchases", postgresql_where=sa.text("review_reason IS NOT NULL"))
    op.drop_index(
        "purchases_to_expire", table_name="purchases", postgresql_where=sa.text("status IN ('created', 'pending')")
    )
    op.drop_index(
        "purchases_to_check", table_name="purchases", postgresql_where=sa.text("status IN ('created', 'pending')")
    )
    op.drop_index("purchases_to_archive", table_name="purchases", postgresql_where=sa.text("review_reason IS NULL"))
    op.drop_index(
        "purchases_open", table_name="purchases", postgresql_where=sa.text("status IN ('created', 'pending')")
    )
    op.drop_table("purchases")
    op.drop_table("archived_purchases")
    op.drop_table("trial_claims")
    op.drop_table("sandbox_payments")
    op.drop_table("payment_claims")
    op.drop_index(
        "parked_messages_waiting_once", table_name="parked_messages", postgresql_where=sa.text("replayed_at IS NULL")
    )
    op.drop_index("parked_messages_newest", table_name="parked_messages")
    op.drop_table("parked_messages")
    op.drop_index("outbox_unpublished", table_name="outbox", postgresql_where=sa.text("published_at IS NULL"))
    op.drop_index("outbox_published", table_name="outbox", postgresql_where=sa.text("published_at IS NOT NULL"))
    op.drop_table("outbox")
    op.drop_table("merchants")
    op.drop_table("job_runs")
    op.drop_index("inbox_received", table_name="inbox")
    op.drop_table("inbox")
    op.drop_index("idempotency_keys_created", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("history")
