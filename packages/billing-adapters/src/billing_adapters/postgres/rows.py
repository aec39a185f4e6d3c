"""Between rows and values: the one place that knows which column is which attribute."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause

from billing_adapters.postgres import tables
from billing_core.domain.events import Change
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import Answer, KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Offer
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW, Review, ReviewFinding
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.ports.privacy import PrivacyRecord
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.records import HistoryEntry
from billing_core.ports.storage import Dropped, ParkedMessage

Row = Mapping[str, Any]
Values = tuple[object, ...]


# --- merchants -------------------------------------------------------------------------------------------------------

MERCHANT_COLUMNS = tuple(
    tables.merchants.c[name]
    for name in ("merchant_id", "platform", "platform_account_id", "platform_domain", "currency", "registered_at")
)


def merchant_values(merchant: Merchant) -> Values:
    """The merchant in the order of MERCHANT_COLUMNS."""
    return (
        merchant.merchant_id,
        merchant.platform,
        merchant.platform_account_id,
        merchant.platform_domain,
        merchant.currency,
        merchant.registered_at,
    )


def merchant_of(row: Row) -> Merchant:
    """The merchant of a row."""
    return Merchant(**{column.name: row[column.name] for column in MERCHANT_COLUMNS})


# --- trials ----------------------------------------------------------------------------------------------------------

TRIAL_COLUMNS = tuple(tables.trials.c)


def trial_values(trial: Trial) -> Values:
    """The trial in the order of TRIAL_COLUMNS."""
    return (
        trial.merchant_id,
        trial.trial_id,
        trial.platform,
        trial.platform_account_id,
        trial.status.value,
        trial.credits,
        trial.duration_days,
        trial.started_at,
        trial.ends_at,
        trial.converted_at,
        trial.ended_at,
        trial.reminded_at,
        trial.version,
    )


def trial_of(row: Row) -> Trial:
    """The trial of a row."""
    return Trial(**{**row, "status": TrialStatus(row["status"])})


# --- purchases -------------------------------------------------------------------------------------------------------

PURCHASE_COLUMNS = tuple(tables.purchases.c)


def purchase_values(purchase: Purchase) -> Values:
    """The purchase in the order of PURCHASE_COLUMNS."""
    return (
        purchase.merchant_id,
        purchase.purchase_id,
        purchase.platform,
        purchase.platform_account_id,
        purchase.offer.pack,
        purchase.offer.catalog_version,
        purchase.offer.credits,
        purchase.offer.bonus_credits,
        purchase.offer.price.amount_minor,
        purchase.offer.price.currency,
        purchase.return_url,
        purchase.status.value,
        purchase.created_at,
        purchase.expires_at,
        purchase.test,
        purchase.platform_reference,
        purchase.checkout_url,
        purchase.late,
        purchase.review.reason,
        purchase.refunded_minor,
        purchase.dispute.value,
        purchase.credits_reversed,
        purchase.completed_at,
        purchase.ended_at,
        purchase.observed_at,
        purchase.check_at,
        purchase.version,
        purchase.review.about,
        "\n".join(f"{each.about or ''}\t{each.reason}" for each in purchase.review.findings[1:]),
        "\n".join(purchase.review.dismissed),
        purchase.paid_minor,
    )


@lru_cache(maxsize=1024)  # there are as many as the catalogue has packs; what is shared never changes
def _offer_of(
    pack: str, catalog_version: str, credits_: int, bonus_credits: int, amount_minor: int, currency: str
) -> Offer:
    return Offer(
        pack=pack,
        catalog_version=catalog_version,
        credits=credits_,
        bonus_credits=bonus_credits,
        price=Money(amount_minor=amount_minor, currency=currency),
    )


def purchase_of(row: Row) -> Purchase:
    """The purchase of a row that begins with PURCHASE_COLUMNS."""
    # Taken in their order: asking a row for thirty-one columns by name takes as long as making the purchase.
    (
        merchant_id, purchase_id, platform, platform_account_id, pack, catalog_version, credits_, bonus_credits,
        amount_minor, currency, return_url, status, created_at, expires_at, test, platform_reference, checkout_url,
        late, review_reason, refunded_minor, dispute, credits_reversed, completed_at, ended_at, observed_at, check_at,
        version, review_reference, further_findings, dismissed, paid_minor,
    ) = islice(row.values(), len(PURCHASE_COLUMNS))  # fmt: skip
    return Purchase(
        purchase_id=purchase_id,
        merchant_id=merchant_id,
        platform=platform,
        platform_account_id=platform_account_id,
        offer=_offer_of(pack, catalog_version, credits_, bonus_credits, amount_minor, currency),
        return_url=return_url,
        status=_STATUSES[status],
        created_at=created_at,
        expires_at=expires_at,
        test=test,
        platform_reference=platform_reference,
        checkout_url=checkout_url,
        late=late,
        review=_review_of(review_reason, review_reference, further_findings, dismissed),
        paid_minor=paid_minor,
        refunded_minor=refunded_minor,
        dispute=_DISPUTES[dispute],
        credits_reversed=credits_reversed,
        completed_at=completed_at,
        ended_at=ended_at,
        observed_at=observed_at,
        check_at=check_at,
        version=version,
    )


_STATUSES = {each.value: each for each in PurchaseStatus}
_DISPUTES = {each.value: each for each in DisputeStatus}


# What a list shows of a purchase, in the order of PurchaseSummary.
_SHOWN = (
    "purchase_id", "merchant_id", "pack", "credits", "bonus_credits", "amount_minor", "currency", "status", "platform",
    "platform_reference", "checkout_url", "test", "late", "needs_review", "credits_reversed", "created_at",
    "expires_at", "completed_at",
)  # fmt: skip


def shown_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """The columns of live or archived purchases that a PurchaseSummary is made of, in its order."""
    needs_review = table.c.review_reason.is_not(None).label("needs_review")
    return [needs_review if name == "needs_review" else table.c[name] for name in _SHOWN]


def _review_of(reason: str | None, about: str | None, further_findings: str, dismissed: str) -> Review:
    if reason is None and not dismissed:
        return NO_REVIEW
    answered = tuple(_lines(dismissed))
    if reason is None:
        return Review(dismissed=answered)
    oldest = ReviewFinding(reason=reason, about=about)
    return Review(findings=(oldest, *map(_finding, _lines(further_findings))), dismissed=answered)


def _lines(written: str) -> list[str]:
    return written.split("\n") if written else []


def _finding(line: str) -> ReviewFinding:
    about, _, reason = line.partition("\t")
    return ReviewFinding(reason=reason, about=about or None)


# --- goodwill --------------------------------------------------------------------------------------------------------

GRANT_COLUMNS = tuple(tables.credit_grants.c)


def grant_values(grant: CreditGrant) -> Values:
    """The grant in the order of GRANT_COLUMNS."""
    return (
        grant.merchant_id,
        grant.grant_id,
        grant.platform,
        grant.credits,
        grant.reason,
        grant.actor,
        grant.granted_at,
    )


def grant_of(row: Row) -> CreditGrant:
    """The grant of a row."""
    return CreditGrant(**row)


# --- history and outbox ----------------------------------------------------------------------------------------------

HISTORY_COLUMNS = tuple(tables.history.c)
OUTBOX_COLUMNS = tuple(tables.outbox.c[name] for name in ("merchant_id", "sequence", "event_id", "type", "body"))


def history_values(change: Change) -> Values:
    """The change in the order of HISTORY_COLUMNS."""
    return (
        change.merchant_id,
        change.subject_id,
        change.number,
        change.subject,
        str(change.what),
        None if change.status_before is None else str(change.status_before),
        str(change.status_after),
        change.at,
        change.by.actor,
        change.reason,
        change.by.correlation_id,
    )


def history_entry_of(row: Row) -> HistoryEntry:
    """The entry of a row."""
    return HistoryEntry(
        number=row["number"],
        at=row["at"],
        what=row["what"],
        status_before=row["status_before"],
        status_after=row["status_after"],
        actor=row["actor"],
        reason=row["reason"],
        correlation_id=row["correlation_id"],
    )


def outbox_event_of(row: Row) -> OutboxEvent:
    """The event of a row."""
    return OutboxEvent(
        event_id=row["event_id"],
        merchant_id=row["merchant_id"],
        sequence=row["sequence"],
        type=row["type"],
        body=row["body"],
    )


# --- idempotency keys ------------------------------------------------------------------------------------------------

KEY_COLUMNS = tuple(tables.idempotency_keys.c)


def key_values(record: KeyRecord) -> Values:
    """The record in the order of KEY_COLUMNS."""
    answer = record.answer
    return (
        record.key.merchant_id,
        record.key.route,
        record.key.key,
        record.fingerprint,
        record.created_at,
        record.purchase_id,
        record.locked_until,
        answer.outcome if answer else None,
        answer.document if answer else None,
    )


def key_record_of(row: Row) -> KeyRecord:
    """The record of a row."""
    document: bytes | None = row["document"]
    return KeyRecord(
        key=RequestKey(merchant_id=row["merchant_id"], route=row["route"], key=row["key"]),
        fingerprint=row["fingerprint"],
        created_at=row["created_at"],
        purchase_id=row["purchase_id"],
        locked_until=row["locked_until"],
        answer=None if document is None else Answer(outcome=row["outcome"], document=document),
    )


# --- parked messages -------------------------------------------------------------------------------------------------

PARKED_COLUMNS = tuple(tables.parked_messages.c)


def parked_values(message: ParkedMessage) -> Values:
    """The message in the order of PARKED_COLUMNS. What strangers wrote must never stop it from being kept."""
    return (
        message.parked_id,
        storable(message.source),
        storable(message.message_id),
        storable(message.subject),
        message.body,
        json.dumps(dict(message.headers)),
        storable(message.reason),
        message.parked_at,
        message.replayed_at or (message.dropped.at if message.dropped else None),
        *((message.dropped.at, message.dropped.by, message.dropped.reason) if message.dropped else (None, None, None)),
    )


def parked_message_of(row: Row) -> ParkedMessage:
    """The message of a row."""
    values = {**row, "headers": json.loads(row["headers"])}
    at, by, reason = (values.pop(name) for name in ("dropped_at", "dropped_by", "drop_reason"))
    if at is None:
        return ParkedMessage(**values)
    if values["replayed_at"] == at:  # it left those that wait by being dropped
        values["replayed_at"] = None
    return ParkedMessage(**values, dropped=Dropped(at=at, by=by, reason=reason))


# --- people's data ---------------------------------------------------------------------------------------------------

PRIVACY_COLUMNS = tuple(tables.privacy_records.c)


def privacy_values(record: PrivacyRecord) -> Values:
    """The record in the order of PRIVACY_COLUMNS."""
    return (
        record.record_id,
        record.at,
        str(record.what),
        record.platform,
        record.account,
        record.merchant_id,
        record.actor,
        str(record.reason),
        record.key_id,
    )


def privacy_record_of(row: Row) -> PrivacyRecord:
    """The record of a row."""
    return PrivacyRecord(**row)


def storable(written: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL and lone surrogates become U+FFFD."""
    return written.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def ids(pairs: Sequence[tuple[str, UUID]]) -> tuple[list[str], list[UUID]]:
    """Merchant ids and subject ids, apart."""
    return [merchant_id for merchant_id, _ in pairs], [subject_id for _, subject_id in pairs]
