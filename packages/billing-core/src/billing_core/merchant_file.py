"""The document in which everything that is held about one merchant is handed out (GDPR articles 15 and 20).

Its sections are what Billing keeps, field by field, under the names the fields have in it; `schema()` describes it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import pydantic_core
from pydantic import Field, TypeAdapter

from billing_core.domain.grants import CreditGrant
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.views import Timestamp, View

FORMAT: Final = "billing.merchant-file"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialClaimRecord(View):
    """Which trial the platform account had as its one, and under which merchant id."""

    merchant_id: str
    trial_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRecord(View):
    """A purchase with everything that is kept of it, and whether it was moved to the archive."""

    purchase: Purchase
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRecord(View):
    """One change of a trial, a purchase or a grant: who did what, when and why."""

    subject: str
    subject_id: UUID
    number: int
    at: Timestamp
    what: str
    status_before: str | None
    status_after: str
    actor: str
    reason: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord(View):
    """An event that was sent, or will be; `event` is the CloudEvent itself."""

    sequence: int
    event_id: UUID
    type: str
    published_at: Timestamp | None
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecordView(View):
    """An idempotency key of the merchant's, and the answer that is repeated under it."""

    route: str
    key: str
    created_at: Timestamp
    purchase_id: UUID | None
    outcome: str | None
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRecord(View):
    """A message of another service that could not be handled, and that speaks of the merchant. `body` is its text, or
    base64 of its bytes where it is none."""

    id: UUID
    subject: str
    message_id: str
    parked_at: Timestamp
    reason: str
    headers: Mapping[str, str]
    body: str
    body_encoding: Annotated[str, Field(examples=["text", "base64"])]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRecordView(View):
    """That the merchant's data was redacted: by whom and why."""

    at: Timestamp
    what: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantFile(View):
    """Everything that is held about one merchant."""

    format: Annotated[str, Field(examples=[FORMAT])]
    version: Annotated[int, Field(examples=[VERSION])]
    exported_at: Timestamp
    merchant: Merchant
    trial_claim: TrialClaimRecord | None
    trials: tuple[Trial, ...]
    purchases: tuple[PurchaseRecord, ...]
    grants: tuple[CreditGrant, ...]
    history: tuple[HistoryRecord, ...]
    events: tuple[EventRecord, ...]
    idempotency_keys: tuple[KeyRecordView, ...]
    parked_messages: tuple[ParkedRecord, ...]
    privacy: tuple[PrivacyRecordView, ...]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    described = TypeAdapter(MerchantFile).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def document_in(body: bytes) -> Mapping[str, Any]:
    """The JSON object that one of our own events or answers is."""
    document: Mapping[str, Any] = pydantic_core.from_json(body)
    return document


def text_of(body: bytes) -> tuple[str, str]:
    """Bytes of any kind as a text and what it is in: `text` or `base64`."""
    try:
        return body.decode("utf-8"), "text"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
