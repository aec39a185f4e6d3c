"""The tables as an ORM's classes. The schema itself is made by Billing's migrations."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, FetchedValue, ForeignKey, Identity, LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Every table."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        int: BigInteger,
    }


class Merchant(Base):
    """A merchant that was announced."""

    __tablename__ = "merchants"
    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str]
    platform_account_id: Mapped[str]
    platform_domain: Mapped[str | None]
    currency: Mapped[str | None]
    registered_at: Mapped[datetime]
    event_sequence: Mapped[int] = mapped_column(default=0)


class Trial(Base):
    """A trial, running or over."""

    __tablename__ = "trials"
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.merchant_id"), primary_key=True)
    trial_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    platform: Mapped[str]
    platform_account_id: Mapped[str]
    status: Mapped[str]
    credits: Mapped[int]
    duration_days: Mapped[int]
    started_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    converted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=0)


class TrialClaim(Base):
    """The one trial of a platform account."""

    __tablename__ = "trial_claims"
    platform: Mapped[str] = mapped_column(primary_key=True)
    platform_account_id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    trial_id: Mapped[uuid.UUID]


class PurchaseColumns:
    """What live and archived purchases have in common."""

    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.merchant_id"), primary_key=True)
    purchase_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    platform: Mapped[str]
    platform_account_id: Mapped[str]
    pack: Mapped[str]
    catalog_version: Mapped[str]
    credits: Mapped[int]
    bonus_credits: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    return_url: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    test: Mapped[bool] = mapped_column(default=False)
    platform_reference: Mapped[str | None]
    checkout_url: Mapped[str | None]
    late: Mapped[bool] = mapped_column(default=False)
    review_reason: Mapped[str | None]
    refunded_minor: Mapped[int] = mapped_column(default=0)
    dispute: Mapped[str] = mapped_column(default="none")
    credits_reversed: Mapped[int] = mapped_column(default=0)
    completed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    observed_at: Mapped[datetime | None]
    check_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=0)
    review_reference: Mapped[str | None]
    further_findings: Mapped[str] = mapped_column(default="")
    dismissed: Mapped[str] = mapped_column(default="")
    paid_minor: Mapped[int | None]


class Purchase(PurchaseColumns, Base):
    """A purchase."""

    __tablename__ = "purchases"


class ArchivedPurchase(PurchaseColumns, Base):
    """A purchase that ended long ago."""

    __tablename__ = "archived_purchases"


class PaymentClaim(Base):
    """A platform's reference, and the one purchase it belongs to."""

    __tablename__ = "payment_claims"
    platform: Mapped[str] = mapped_column(primary_key=True)
    platform_reference: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    purchase_id: Mapped[uuid.UUID]


class HistoryEntry(Base):
    """One change of a trial or purchase."""

    __tablename__ = "history"
    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    what: Mapped[str]
    status_before: Mapped[str | None]
    status_after: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    reason: Mapped[str | None]
    correlation_id: Mapped[str]


class OutboxEvent(Base):
    """An event that waits to be published."""

    __tablename__ = "outbox"
    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID]
    type: Mapped[str]
    body: Mapped[bytes]
    position: Mapped[int] = mapped_column(Identity(always=True), FetchedValue())
    recorded_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    published_at: Mapped[datetime | None]


class InboxMessage(Base):
    """A message that was handled."""

    __tablename__ = "inbox"
    source: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]


class IdempotencyKey(Base):
    """What is remembered of a request."""

    __tablename__ = "idempotency_keys"
    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    created_at: Mapped[datetime]
    purchase_id: Mapped[uuid.UUID | None]
    locked_until: Mapped[datetime | None]
    outcome: Mapped[str | None]
    document: Mapped[bytes | None]
