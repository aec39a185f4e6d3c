"""Events: what other services tell is understood or set aside, and never in the way."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from nats.aio.msg import Msg
from tests.fuzz.target import Target, at_once, by_first_letter, parts

from billing_adapters.nats.consumer import inbound
from billing_adapters.platforms.sandbox import SandboxPlatform
from billing_adapters.platforms.shopify.notices import read_charge_notice
from billing_adapters.platforms.stripe_checkout.notices import read_notice as read_stripe_notice
from billing_core.errors import MalformedMessage
from billing_core.messages import (
    MERCHANT_CREATED,
    PURCHASE_UPDATED,
    Envelope,
    InboundMessage,
    MerchantCreated,
    PurchaseUpdated,
    decode_event,
    message_digest,
    open_envelope,
    read_data,
)
from billing_core.ports.platforms import PaymentPlatform
from billing_core.testing import FixedClock, InMemoryStorage, ScriptedPlatform
from billing_core.use_cases.inbound import Parked, parked_messages
from billing_core.use_cases.register_merchants import RegisterMerchants

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLATFORMS: dict[str, PaymentPlatform] = {name: ScriptedPlatform(name) for name in ("sandbox", "shopify", "stripe")}
ID = UUID(int=1)


def envelopes(data: bytes) -> None:
    """A message is opened or malformed; opened, it is the same when it is told again as a CloudEvent, and has an id
    and a correlation that any log, header and column can hold."""
    message = _message(data)
    try:
        envelope = open_envelope(message)
    except MalformedMessage as wrong:
        _park(message, Parked(reason=str(wrong)))
        return
    assert open_envelope(message) == envelope
    assert re.fullmatch(r"[\x21-\x7e]{1,255}", envelope.message_id)
    assert re.fullmatch(r"[A-Za-z0-9._:\-]{1,128}", envelope.correlation_id)
    assert envelope.traceparent is None or re.fullmatch(r"[0-9a-f-]{55}", envelope.traceparent)
    again = InboundMessage(subject=message.subject, body=_cloud_event(envelope), headers={})
    assert open_envelope(again) == envelope


def merchants(data: bytes) -> None:
    """An announcement registers its merchant, or is set aside; the use case never falls over."""
    storage = InMemoryStorage()
    register = RegisterMerchants(units=storage.units, platforms=PLATFORMS, clock=FixedClock(), new_id=lambda: ID)
    message = _message(data)
    (outcome,) = at_once(register([message]))
    if isinstance(outcome, Parked):
        _park(message, outcome)
        return
    told = read_data(MerchantCreated, open_envelope(message).data)
    assert told.platform in PLATFORMS
    assert list(at_once(register([message]))) == [outcome]


def notices(data: bytes) -> None:
    """A platform's notice points at a payment, is no news, or is malformed in words that can be kept."""
    message = _message(data)
    try:
        told = read_data(PurchaseUpdated, open_envelope(message).data)
        for read in (read_charge_notice, read_stripe_notice, SandboxPlatform.read_notice.__get__(object())):
            with suppress(MalformedMessage):
                notice = read(told.payload)
                assert notice is None or notice.platform_reference or notice.payment_id
        read_stripe_notice(told.payload)
    except MalformedMessage as wrong:
        _park(message, Parked(reason=str(wrong)))


def our_own(data: bytes) -> None:
    """An event of ours that is read is the same when it is written and read again."""
    try:
        event = decode_event(data)
    except MalformedMessage as wrong:
        str(wrong).encode()
        return
    assert decode_event(event.model_dump_json().encode()) == event


def deliveries(data: bytes) -> None:
    """What comes to a consumer's inbox is passed over, or is a message with the number of its delivery."""
    subject, reply, body = parts(data, 3)
    delivered = Msg(_client=None, subject=_text(subject), reply=_text(reply), data=body)  # type: ignore[arg-type]
    try:
        message = inbound(delivered)
    except MalformedMessage:
        return
    assert message.body == body
    assert message.attempt >= 1


def _message(data: bytes) -> InboundMessage:
    """The lines before the body are header fields."""
    head, body = parts(data, 2) if b"\n--\n" in data else (b"", data)
    fields = (line.partition(": ") for line in _text(head).splitlines())
    subject = MERCHANT_CREATED if len(data) % 2 else PURCHASE_UPDATED
    return InboundMessage(subject=subject, body=body, headers={name: value for name, _, value in fields})


def _cloud_event(envelope: Envelope) -> bytes:
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.message_id,
        "correlationid": envelope.correlation_id,
        "data": envelope.data,
    }
    traced = {"traceparent": envelope.traceparent} if envelope.traceparent else {}
    return json.dumps(document | traced).encode()


def _park(message: InboundMessage, outcome: Parked) -> None:
    """What is set aside is text that Postgres takes."""
    (kept,) = parked_messages("fuzz", [message], [outcome], [None], at=NOW, new_id=lambda: ID)
    assert kept.message_id == message_digest(message.body)
    assert "\0" not in kept.reason
    kept.reason.encode("utf-8")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


TARGET = Target(
    name="events",
    about="envelopes, announcements, notices, our own events, deliveries",
    run=by_first_letter({"e": envelopes, "m": merchants, "n": notices, "o": our_own, "d": deliveries}),
    words=(
        *(b'"specversion"', b'"1.0"', b'"id"', b'"data"', b'"type"', b'"source"', b'"time"', b'"correlationid"'),
        *(b'"traceparent"', b'"subject"', b'"sequence"', b'"merchant_id"', b'"platform"', b'"platform_account_id"'),
        *(b'"platform_domain"', b'"currency"', b'"USD"', b'"sandbox"', b'"shopify"', b'"stripe"', b'"payload"'),
        *(b"Nats-Msg-Id: ", b"X-Correlation-Id: ", b"traceparent: ", b"\n--\n", b"\\u0000", b"\\ud800", b"null", b"[]"),
        *(b'"evt.merchant.created"', b'"evt.billing.trial.started"', b'"0001-01-01T00:00:00+01:00"', b"$JS.ACK.", b"."),
        *(
            b'"app_purchase_one_time"',
            b'"object"',
            b'"checkout.session"',
            b'"metadata"',
            b'"payment_intent"',
            b'"pi_1"',
        ),
        *(b'"9999-12-31T23:59:59-01:00"', b"9" * 30, b"1e400", b"NaN", b"-1", b"true"),
    ),
)
