"""The wire: CloudEvents 1.0 (structured JSON) out, CloudEvents or bare data in.

Other services read `Event` and the fact models to parse and validate what Billing publishes; `schemas()` gives the
JSON Schema of each.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from billing_core.domain.events import (
    FACTS,
    Change,
    CreditsGranted,
    Fact,
    PurchaseCancelled,
    Timestamp,
    TrialEnded,
    TrialExtended,
    rfc3339,
)
from billing_core.domain.merchants import MERCHANT_ID, PLATFORM_ACCOUNT_ID
from billing_core.domain.pseudonyms import REDACTED, Pseudonyms
from billing_core.errors import MalformedMessage

SOURCE = "billing-service"
CONTENT_TYPE = "application/cloudevents+json"
MERCHANT_CREATED = "evt.merchant.created"
PURCHASE_UPDATED = "evt.webhook.app.purchase_updated"

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_DOMAIN = re.compile(r"[A-Za-z0-9.\-]{1,253}")
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,255}")
# Whose `reason` a person wrote, mostly; in the others Billing did.
_REASONED = frozenset(fact.type for fact in (CreditsGranted, PurchaseCancelled, TrialEnded, TrialExtended))

F = TypeVar("F", bound=Fact)


class Event(BaseModel, Generic[F]):
    """A CloudEvents 1.0 envelope around one fact. `sequence` counts a merchant's events from 1 without gaps."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: str = SOURCE
    type: str
    subject: str = Field(description="The merchant id.")
    time: Timestamp
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: str
    traceparent: str
    sequence: int = Field(ge=1)
    data: F


def encode_event(change: Change, sequence: int) -> bytes:
    """The message that announces a change, as it is stored in the outbox and published, byte for byte."""
    if change.fact is None:
        raise ValueError(f"{change.what} of {change.subject} announces nothing")
    # The fields of `Event` in their order. Written as they are, because making the model costs as much as all the rest.
    event = {
        "specversion": "1.0",
        "id": change.event_id,
        "source": SOURCE,
        "type": change.fact.type,
        "subject": change.merchant_id,
        "time": rfc3339(change.at),
        "datacontenttype": "application/json",
        "correlationid": change.by.correlation_id,
        "traceparent": change.by.traceparent or untraced(change.by.correlation_id),
        "sequence": sequence,
        "data": change.fact,
    }
    return pydantic_core.to_json(event)


def decode_event(body: bytes) -> "Event[Fact]":
    """This will read one of our own events, with its fact as the model of its type. Raises MalformedMessage."""
    document = _json_object(body)
    kind = next((fact for fact in FACTS if fact.type == document.get("type")), None)
    if kind is None:
        raise MalformedMessage(f"{document.get('type')!r} is no event of Billing")
    try:
        return _event_of(kind).model_validate(document)
    except ValidationError as wrong:
        raise MalformedMessage(_first_error(wrong)) from wrong


def redact_event(body: bytes, pseudonyms: Pseudonyms) -> bytes:
    """One of our own events without what its merchant's programs and operators wrote into it. The id, the fact and its
    figures stay, so whoever has it knows it again. Raises MalformedMessage."""
    event = _json_object(body)
    correlation_id = pseudonyms.of_text(str(event.get("correlationid", "")))
    redacted = {**event, "correlationid": correlation_id, "traceparent": untraced(correlation_id)}
    data = event.get("data")
    if event.get("type") in _REASONED and isinstance(data, dict) and data.get("reason") is not None:
        redacted["data"] = {**data, "reason": REDACTED}
    return pydantic_core.to_json(redacted)


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each event Billing publishes, by its type."""
    return {fact.type: _event_schema(fact) for fact in FACTS}


def _event_schema(fact: type[Fact]) -> dict[str, Any]:
    schema = _event_of(fact).model_json_schema(mode="serialization")
    schema["title"] = fact.type
    schema["description"] = fact.__doc__
    schema["properties"]["type"] = {"const": fact.type}
    schema["required"] = list(schema["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@cache
def _event_of(fact: type[Fact]) -> type[Event[Fact]]:
    # pydantic forgets the model of a generic as soon as nobody holds it, and takes milliseconds to build it again.
    return Event[fact]  # type: ignore[valid-type]


def untraced(correlation_id: str) -> str:
    """The traceparent of what nobody traced (W3C Trace Context, not sampled): the same for all it brought about."""
    digest = hashlib.sha256(correlation_id.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-00"


# --- what other services tell us -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A message as it arrived: `attempt` counts its deliveries from 1. `traceparent` is what it is handled under, where
    whoever received it goes on with its trace; it stands before the message's own."""

    subject: str
    body: bytes
    headers: Mapping[str, str]
    attempt: int = 1
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is the same for every message: an id to know it again by, its data, and how to trace it."""

    message_id: str
    data: Mapping[str, Any]
    correlation_id: str
    traceparent: str | None


def open_envelope(message: InboundMessage) -> Envelope:
    """This will read a CloudEvent, or a bare data object (whose id is its `Nats-Msg-Id`, else a hash of the body).

    Raises MalformedMessage where the body is neither.
    """
    document = _json_object(message.body)
    if "specversion" not in document:
        bare_id = message.headers.get("Nats-Msg-Id", "")
        if not _MESSAGE_ID.fullmatch(bare_id):
            bare_id = message_digest(message.body)
        return Envelope(message_id=bare_id, data=document, **_tracing(message, {}, bare_id))
    message_id, data = document.get("id"), document.get("data")
    if not isinstance(message_id, str) or not _MESSAGE_ID.fullmatch(message_id):
        raise MalformedMessage("the CloudEvent's id must be 1-255 visible ASCII characters")
    if not isinstance(data, dict):
        raise MalformedMessage("the CloudEvent's data must be a JSON object")
    return Envelope(message_id=message_id, data=data, **_tracing(message, document, message_id))


def message_digest(body: bytes) -> str:
    """The id of a message that brings none: the SHA-256 of its body."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _tracing(message: InboundMessage, document: Mapping[str, Any], message_id: str) -> dict[str, Any]:
    correlation = document.get("correlationid", message.headers.get("X-Correlation-Id"))
    traceparent = message.traceparent or document.get("traceparent", message.headers.get("traceparent"))
    if not isinstance(correlation, str) or not _CORRELATION_ID.fullmatch(correlation):
        correlation = message_id if _CORRELATION_ID.fullmatch(message_id) else message_digest(message_id.encode())
    well_formed = isinstance(traceparent, str) and _TRACEPARENT.fullmatch(traceparent)
    return {"correlation_id": correlation, "traceparent": traceparent if well_formed else None}


class _Inbound(BaseModel):
    # Unknown fields are ignored: announcing services may grow. Types are strict: 7 is no merchant id.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class MerchantCreated(_Inbound):
    """`evt.merchant.created`. `platform_domain` and `currency` are advice and count only where well formed."""

    merchant_id: str = Field(pattern=f"^{MERCHANT_ID.pattern}$")
    platform: str = Field(max_length=64)
    platform_account_id: str | None = Field(default=None, pattern=f"^{PLATFORM_ACCOUNT_ID.pattern}$")
    platform_domain: str | None = None
    currency: str | None = None

    @field_validator("platform_domain", mode="before")
    @classmethod
    def _only_a_domain(cls, value: object) -> str | None:
        return _domain_in(value)

    @field_validator("currency", mode="before")
    @classmethod
    def _only_a_currency(cls, value: object) -> str | None:
        return value.upper() if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


class PurchaseUpdated(_Inbound):
    """`evt.webhook.app.purchase_updated`: a platform's own notice, as the webhook service received it. The
    domain is advice, for asking about an account of which only a pseudonym is left here."""

    platform: str = Field(max_length=64)
    payload: dict[str, Any]
    topic: str | None = None
    platform_domain: str | None = None

    @field_validator("platform_domain", mode="before")
    @classmethod
    def _only_a_domain(cls, value: object) -> str | None:
        return _domain_in(value)


def _domain_in(value: object) -> str | None:
    return value if isinstance(value, str) and _DOMAIN.fullmatch(value) else None


_CONSUMED: Mapping[str, type[_Inbound]] = {MERCHANT_CREATED: MerchantCreated, PURCHASE_UPDATED: PurchaseUpdated}


def consumed_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of the `data` of each message Billing takes from other services, by its subject."""
    return {
        subject: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **model.model_json_schema(),
            "title": subject,
        }
        for subject, model in _CONSUMED.items()
    }


M = TypeVar("M", MerchantCreated, PurchaseUpdated)


def read_data(model: type[M], data: Mapping[str, Any]) -> M:
    """This will read a message's data. Raises MalformedMessage, naming the first field that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as wrong:
        raise MalformedMessage(_first_error(wrong)) from wrong


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as wrong:
        raise MalformedMessage("the body is not JSON") from wrong
    if not isinstance(document, dict):
        raise MalformedMessage("the body is not a JSON object")
    return document


def _first_error(wrong: ValidationError) -> str:
    error = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'/'.join(str(part) for part in error['loc']) or 'data'}: {error['msg']}"
