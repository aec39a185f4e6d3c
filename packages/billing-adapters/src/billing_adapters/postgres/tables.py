"""The tables, with every constraint named: the second guard behind the types of the core.

A constraint that callers can run into has its refusal in `refusals.REFUSALS`; the others can only be broken by a
fault of ours.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.schema import ForeignKeyConstraint

from billing_adapters.postgres.columns import (
    currency,
    length,
    merchant_id,
    moment,
    one_of,
    platform_account,
    quoted,
    text_column,
)
from billing_core.domain.grants import LONGEST_REASON
from billing_core.domain.money import MAX_AMOUNT_MINOR
from billing_core.domain.packs import MAX_CREDITS
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import OPEN, PAID, PurchaseStatus
from billing_core.domain.return_urls import MAX_LENGTH
from billing_core.domain.trials import TrialStatus

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_unique",
        "fk": "%(table_name)s_%(column_0_N_name)s_known",
        "ck": "%(table_name)s_%(constraint_name)s",
        "ix": "%(table_name)s_%(column_0_N_name)s",
    }
)


# --- predicates, written once for the index and for the statements it serves ---------------------------------------


def is_open(purchases: FromClause) -> ColumnElement[bool]:
    """Whether a purchase may still be paid in time; in literals, so that the planner can match partial indexes."""
    return purchases.c.status.in_([literal_column(f"'{status.value}'") for status in sorted(OPEN)])


def is_looked_after(purchases: FromClause) -> ColumnElement[bool]:
    """Whether the reconciler asks about a purchase."""
    return purchases.c.check_at.is_not(None)


def is_active(trials: FromClause) -> ColumnElement[bool]:
    """Whether a trial runs."""
    return trials.c.status == literal_column(f"'{TrialStatus.ACTIVE.value}'")


# --- merchants and trials --------------------------------------------------------------------------------------------

merchants = Table(
    "merchants",
    metadata,
    text_column("merchant_id"),
    *platform_account(),
    text_column("platform_domain", nullable=True),
    *currency(nullable=True),
    moment("registered_at"),
    # The number of the merchant's latest event. Whoever announces holds this row, so numbers follow commits.
    Column("event_sequence", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("merchant_id"),
    CheckConstraint("merchant_id ~ '^[A-Za-z0-9._:-]{1,128}$'", name="merchant_id_shape"),
    length("platform_domain", 253),
    CheckConstraint("event_sequence >= 0", name="event_sequence_counts"),
)

trials = Table(
    "trials",
    metadata,
    *merchant_id(),
    Column("trial_id", Uuid, nullable=False),
    *platform_account(),
    text_column("status"),
    Column("credits", BigInteger, nullable=False),
    Column("duration_days", Integer, nullable=False),
    moment("started_at"),
    moment("ends_at"),
    moment("converted_at", nullable=True),
    moment("ended_at", nullable=True),
    moment("reminded_at", nullable=True),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("merchant_id", "trial_id"),
    UniqueConstraint("trial_id"),  # event ids are made from it alone
    ForeignKeyConstraint(["merchant_id"], ["merchants.merchant_id"]),
    one_of("status", TrialStatus),
    CheckConstraint("credits > 0", name="credits_positive"),
    CheckConstraint("duration_days between 1 and 3650", name="duration_days_bounded"),
    CheckConstraint("ends_at > started_at or status = 'refused'", name="ends_after_start"),
    CheckConstraint("(status = 'active') = (ended_at is null)", name="ended_at_iff_over"),
    CheckConstraint("version >= 0", name="version_counts"),
)
ONE_ACTIVE_TRIAL = "trials_one_active_per_merchant"
Index(ONE_ACTIVE_TRIAL, trials.c.merchant_id, unique=True, postgresql_where=is_active(trials))
Index("trials_due", trials.c.ends_at, trials.c.trial_id, postgresql_where=is_active(trials))

trial_claims = Table(
    "trial_claims",
    metadata,
    *platform_account(),
    *merchant_id(),
    Column("trial_id", Uuid, nullable=False),
    PrimaryKeyConstraint("platform", "platform_account_id"),
)


# --- purchases -------------------------------------------------------------------------------------------------------


FIGURES = ["status", "completed_at", "credits", "bonus_credits", "credits_reversed"]


def _purchase_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        *merchant_id(),
        Column("purchase_id", Uuid, nullable=False),
        *platform_account(),
        text_column("pack"),
        text_column("catalog_version"),
        Column("credits", BigInteger, nullable=False),
        Column("bonus_credits", BigInteger, nullable=False),
        Column("amount_minor", BigInteger, nullable=False),
        *currency(),
        text_column("return_url"),
        text_column("status"),
        moment("created_at"),
        moment("expires_at"),
        Column("test", Boolean, nullable=False),
        text_column("platform_reference", nullable=True),
        text_column("checkout_url", nullable=True),
        Column("late", Boolean, nullable=False),
        text_column("review_reason", nullable=True),
        Column("refunded_minor", BigInteger, nullable=False),
        text_column("dispute"),
        Column("credits_reversed", BigInteger, nullable=False),
        moment("completed_at", nullable=True),
        moment("ended_at", nullable=True),
        moment("observed_at", nullable=True),
        moment("check_at", nullable=True),
        Column("version", BigInteger, nullable=False),
        text_column("review_reference", nullable=True),
        Column("further_findings", Text, nullable=False, server_default=""),
        Column("dismissed", Text, nullable=False, server_default=""),
        Column("paid_minor", BigInteger, nullable=True),
        # With the figures every merchant is shown beside its key, they are added up without reading a purchase.
        PrimaryKeyConstraint("merchant_id", "purchase_id", postgresql_include=FIGURES),
        UniqueConstraint("purchase_id"),  # event ids are made from it alone; support asks by it
        ForeignKeyConstraint(["merchant_id"], ["merchants.merchant_id"]),
        *_purchase_checks(),
    )


def _purchase_checks() -> tuple[CheckConstraint, ...]:
    paid, unpaid_open = quoted(PAID), quoted(OPEN)
    return (
        one_of("status", PurchaseStatus),
        one_of("dispute", DisputeStatus),
        length("pack", 255),
        length("catalog_version", 255),
        length("return_url", MAX_LENGTH, shortest=0),
        length("platform_reference", 255),
        length("checkout_url", 8192),
        length("review_reason", 2000),
        length("review_reference", 255),
        length("further_findings", 10_000, shortest=0),
        length("dismissed", 10_000, shortest=0),
        CheckConstraint("paid_minor >= 0", name="paid_minor_positive"),
        CheckConstraint("credits > 0 and bonus_credits >= 0", name="credits_positive"),
        CheckConstraint(f"amount_minor between 0 and {MAX_AMOUNT_MINOR}", name="amount_minor_bounded"),
        CheckConstraint(
            "refunded_minor between 0 and coalesce(paid_minor, amount_minor)", name="refunded_minor_bounded"
        ),
        CheckConstraint("credits_reversed between 0 and credits + bonus_credits", name="credits_reversed_bounded"),
        CheckConstraint(f"(status in ({paid})) = (completed_at is not null)", name="completed_at_iff_paid"),
        CheckConstraint(
            f"case when status in ({unpaid_open}) then check_at is not null"
            f" when status in ({paid}) then check_at is null else true end",
            name="check_at_while_payable",
        ),
        CheckConstraint(f"(status in ({unpaid_open})) = (ended_at is null)", name="ended_at_iff_over"),
        CheckConstraint(
            "status <> 'pending' or checkout_url is not null",
            name="pending_has_checkout",
        ),
        CheckConstraint("not late or completed_at is not null", name="late_only_paid"),
        CheckConstraint("version >= 0", name="version_counts"),
    )


purchases = _purchase_table("purchases")
archived_purchases = _purchase_table("archived_purchases")
Index("purchases_open", purchases.c.merchant_id, purchases.c.purchase_id, postgresql_where=is_open(purchases))
Index("purchases_to_check", purchases.c.check_at, purchases.c.purchase_id, postgresql_where=is_looked_after(purchases))
Index("purchases_to_expire", purchases.c.expires_at, purchases.c.purchase_id, postgresql_where=is_open(purchases))
Index("purchases_to_archive", purchases.c.ended_at, postgresql_where=purchases.c.review_reason.is_(None))
Index("purchases_to_review", purchases.c.purchase_id, postgresql_where=purchases.c.review_reason.is_not(None))

payment_claims = Table(
    "payment_claims",
    metadata,
    text_column("platform"),
    text_column("platform_reference"),
    *merchant_id(),
    Column("purchase_id", Uuid, nullable=False),
    PrimaryKeyConstraint("platform", "platform_reference"),
    length("platform", 64),
    length("platform_reference", 255),
)


# --- goodwill --------------------------------------------------------------------------------------------------------

# What an operator gave, so that a grant id counts once and a day's grants can be counted. No balance: see the events.
# It refers to no merchant, so that bringing it into use needs no lock on the busiest table; its event does.
credit_grants = Table(
    "credit_grants",
    metadata,
    *merchant_id(),
    Column("grant_id", Uuid, nullable=False),
    text_column("platform"),
    Column("credits", BigInteger, nullable=False),
    text_column("reason"),
    text_column("actor"),
    moment("granted_at"),
    PrimaryKeyConstraint("merchant_id", "grant_id"),
    UniqueConstraint("grant_id"),  # event ids are made from it alone
    CheckConstraint(f"credits between 1 and {MAX_CREDITS}", name="credits_bounded"),
    length("platform", 64),
    length("reason", LONGEST_REASON),
    length("actor", 255),
)
Index("credit_grants_by_actor", credit_grants.c.actor, credit_grants.c.granted_at)


# --- history, outbox, inbox ------------------------------------------------------------------------------------------

history = Table(
    "history",
    metadata,
    *merchant_id(),
    Column("subject_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    text_column("subject"),
    text_column("what"),
    text_column("status_before", nullable=True),
    text_column("status_after"),
    moment("at"),
    text_column("actor"),
    text_column("reason", nullable=True),
    text_column("correlation_id"),
    PrimaryKeyConstraint("merchant_id", "subject_id", "number"),
    one_of("subject", ("grant", "purchase", "trial")),
    CheckConstraint("number >= 1", name="number_counts"),
    length("what", 64),
    length("actor", 255),
    length("reason", 2000, shortest=0),
    length("correlation_id", 255),
)

outbox = Table(
    "outbox",
    metadata,
    *merchant_id(),
    Column("sequence", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    text_column("type"),
    Column("body", LargeBinary, nullable=False),
    # The order of going out. Of one merchant it is the order of `sequence`, because the merchant's row is held.
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    moment("published_at", nullable=True),
    PrimaryKeyConstraint("merchant_id", "sequence"),
    UniqueConstraint("event_id"),
    CheckConstraint("sequence >= 1", name="sequence_counts"),
    length("type", 128),
)
Index("outbox_unpublished", outbox.c.position, postgresql_where=outbox.c.published_at.is_(None))
Index("outbox_published", outbox.c.published_at, postgresql_where=outbox.c.published_at.is_not(None))

inbox = Table(
    "inbox",
    metadata,
    text_column("source"),
    text_column("message_id"),
    moment("received_at"),
    PrimaryKeyConstraint("source", "message_id"),
    length("source", 64),
    length("message_id", 255),
)
Index("inbox_received", inbox.c.received_at)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    *merchant_id(),
    text_column("route"),
    text_column("key"),
    text_column("fingerprint"),
    moment("created_at"),
    Column("purchase_id", Uuid, nullable=True),
    moment("locked_until", nullable=True),
    text_column("outcome", nullable=True),
    Column("document", LargeBinary, nullable=True),
    PrimaryKeyConstraint("merchant_id", "route", "key"),
    length("route", 128),
    length("key", 255),
    length("fingerprint", 128),
    CheckConstraint("(outcome is null) = (document is null)", name="answer_whole"),
)
Index("idempotency_keys_created", idempotency_keys.c.created_at)

# Whatever another service sends must fit here, so there are no limits but the broker's; `json` keeps what `jsonb`
# refuses (\u0000).
parked_messages = Table(
    "parked_messages",
    metadata,
    Column("parked_id", Uuid, nullable=False),
    text_column("source"),
    text_column("message_id"),
    text_column("subject"),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    text_column("reason"),
    moment("parked_at"),
    # When it left those that wait, sent again or given up; the program before this column's neighbours knew no more.
    moment("replayed_at", nullable=True),
    moment("dropped_at", nullable=True),
    text_column("dropped_by", nullable=True),
    text_column("drop_reason", nullable=True),
    PrimaryKeyConstraint("parked_id"),
    CheckConstraint("num_nulls(dropped_at, dropped_by, drop_reason) in (0, 3)", name="dropped_whole"),
    CheckConstraint("dropped_at is null or replayed_at is not null", name="dropped_waits_no_more"),
    length("dropped_by", 255),
    length("drop_reason", 1000),
)
is_waiting = parked_messages.c.replayed_at.is_(None)
Index(
    "parked_messages_waiting_once",
    parked_messages.c.source,
    parked_messages.c.message_id,
    unique=True,
    postgresql_where=is_waiting,
)
Index("parked_messages_newest", parked_messages.c.parked_at, parked_messages.c.parked_id)


# --- people's data ---------------------------------------------------------------------------------------------------

# What was asked about people's data, and what was redacted. `account` is a pseudonym and never a name.
privacy_records = Table(
    "privacy_records",
    metadata,
    Column("record_id", Uuid, nullable=False),
    moment("at"),
    text_column("what"),
    text_column("platform"),
    text_column("account", nullable=True),
    text_column("merchant_id", nullable=True),
    text_column("actor"),
    text_column("reason"),
    text_column("key_id", nullable=True),
    PrimaryKeyConstraint("record_id"),
    length("what", 64),
    length("platform", 64),
    CheckConstraint("account ~ '^redacted:[0-9a-f]{64}$'", name="account_tells_nothing"),
    length("merchant_id", 128),
    length("actor", 255),
    length("reason", 1000, shortest=0),
    length("key_id", 64),
)
Index("privacy_records_of_merchant", privacy_records.c.merchant_id, privacy_records.c.at)
Index("privacy_records_key", privacy_records.c.key_id, postgresql_where=privacy_records.c.key_id.is_not(None))


# --- jobs and the sandbox --------------------------------------------------------------------------------------------

job_runs = Table(
    "job_runs",
    metadata,
    text_column("job"),
    moment("finished_at"),
    PrimaryKeyConstraint("job"),
    length("job", 64),
)

sandbox_payments = Table(
    "sandbox_payments",
    metadata,
    text_column("reference"),
    text_column("status"),
    Column("amount_minor", BigInteger, nullable=False),
    *currency(),
    text_column("platform_account_id"),
    Column("title", Text, nullable=False, server_default=text("''")),
    moment("occurred_at"),
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("reference"),
    one_of("status", ("cancelled", "declined", "expired", "paid")),
    CheckConstraint(f"amount_minor between 0 and {MAX_AMOUNT_MINOR}", name="amount_minor_bounded"),
    CheckConstraint("refunded_minor between 0 and amount_minor", name="refunded_minor_bounded"),
    length("reference", 255),
    length("platform_account_id", 255),
    length("title", 1000, shortest=0),
)
