"""The wire: what Billing says, and what it makes of what others say, however it was meant."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.events import FACTS, Change, TrialExpired, TrialExtended
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.errors import MalformedMessage
from billing_core.messages import (
    MERCHANT_CREATED,
    Envelope,
    InboundMessage,
    MerchantCreated,
    PurchaseUpdated,
    decode_event,
    encode_event,
    message_digest,
    open_envelope,
    read_data,
    redact_event,
    schemas,
)
from billing_core.testing import MOMENT, a_purchase, an_origin
from billing_core.testing.builders import a_grant

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FACT = TrialExpired(merchant_id="m-1", platform="sandbox", trial_id=UUID(int=1), credits=5, expired_at=MOMENT)


def _change(**by: Any) -> Change:
    return Change(
        merchant_id="m-1",
        subject="trial",
        subject_id=UUID(int=1),
        number=2,
        what="expired",
        status_before="active",
        status_after="expired",
        at=MOMENT + timedelta(seconds=1),
        by=an_origin(**by),
        fact=FACT,
    )


def _inbound(document: object, **headers: str) -> InboundMessage:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return InboundMessage(subject=MERCHANT_CREATED, body=body, headers=named)


def _selectable(parameter: object) -> str:
    """The parameter as a test id without backslashes: with them, a test cannot be named on the command line."""
    return ascii(parameter).replace("\\", "/")


def _cloud_event(**fields: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e-1", "source": "s", "type": MERCHANT_CREATED, "data": {"a": 1}} | fields


class TestEncodeEvent:
    def test_writes_a_cloudevent_whose_type_subject_and_id_tell_the_fact(self) -> None:
        """The envelope is CloudEvents 1.0 with our three extensions (contract 3)."""
        change = _change(traceparent=TRACEPARENT)

        assert json.loads(encode_event(change, 7)) == {
            "specversion": "1.0",
            "id": str(change.event_id),
            "source": "billing-service",
            "type": "evt.billing.trial.expired",
            "subject": "m-1",
            "time": "2026-03-02T09:30:16.123456Z",
            "datacontenttype": "application/json",
            "correlationid": "correlation-1",
            "traceparent": TRACEPARENT,
            "sequence": 7,
            "data": {
                "merchant_id": "m-1",
                "platform": "sandbox",
                "trial_id": "00000000-0000-0000-0000-000000000001",
                "credits": 5,
                "expired_at": "2026-03-02T09:30:15.123456Z",
            },
        }

    def test_what_nobody_traced_has_a_trace_of_its_correlation_id(self) -> None:
        """Every event can be followed: the same correlation id gives the same trace, another one another."""
        trace, again, other = (
            json.loads(encode_event(_change(correlation_id=each), 1))["traceparent"] for each in ("c", "c", "d")
        )

        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace)
        assert (trace == again, trace == other) == (True, False)

    def test_is_the_same_byte_for_byte_each_time(self) -> None:
        """What is published again is what was published."""
        assert encode_event(_change(), 3) == encode_event(_change(), 3)

    def test_reads_back_as_the_same_fact(self) -> None:
        """Another service gets the fact's own model."""
        event = decode_event(encode_event(_change(), 3))

        assert (event.data, event.sequence, event.subject) == (FACT, 3, "m-1")

    def test_a_change_that_announces_nothing_has_no_message(self) -> None:
        """Asking for it is a programming error."""
        with pytest.raises(ValueError, match="announces nothing"):
            encode_event(replace(_change(), fact=None), 1)


class TestDecodeEvent:
    @pytest.mark.parametrize(
        "changed",
        [
            {"type": "evt.billing.unheard.of"},
            {"type": 7},
            {"type": None},
            {"specversion": "2.0"},
            {"sequence": 0},
            {"id": "no uuid"},
            {"time": "yesterday"},
            {"time": "2026-03-02T09:30:15"},
            {"time": "0001-01-01T00:00:00+01:00"},  # which UTC has not
            {"time": "9999-12-31T23:59:59-01:00"},
            {"data": {}},
            {"data": None},
        ],
    )
    def test_refuses_what_billing_never_says(self, changed: dict[str, Any]) -> None:
        """A consumer hears MalformedMessage, nothing else."""
        document = json.loads(encode_event(_change(), 1)) | changed

        with pytest.raises(MalformedMessage):
            decode_event(json.dumps(document).encode())

    def test_ignores_fields_it_does_not_know(self) -> None:
        """A consumer of today reads the events of tomorrow."""
        document = json.loads(encode_event(_change(), 1))
        document["new"], document["data"]["new"] = 1, 1

        assert decode_event(json.dumps(document).encode()).data == FACT


class TestSchemas:
    def test_there_is_one_for_each_fact(self) -> None:
        """Every type that is published has its schema, named for it."""
        written = schemas()

        assert list(written) == [fact.type for fact in FACTS]
        for kind, schema in written.items():
            assert schema["properties"]["type"] == {"const": kind}
            assert set(schema["required"]) == set(schema["properties"])


class TestOpenEnvelope:
    def test_reads_a_cloudevent(self) -> None:
        """Its id, its data and how to trace it."""
        event = _cloud_event(correlationid="c-9", traceparent=TRACEPARENT, extra={"ignored": True})

        assert open_envelope(_inbound(event)) == Envelope(
            message_id="e-1", data={"a": 1}, correlation_id="c-9", traceparent=TRACEPARENT
        )

    def test_reads_bare_data_by_its_delivery_id(self) -> None:
        """Where there is no envelope the `Nats-Msg-Id` is the id."""
        envelope = open_envelope(_inbound({"a": 1}, Nats_Msg_Id="n-1", X_Correlation_Id="c-1", traceparent=TRACEPARENT))

        assert envelope == Envelope(message_id="n-1", data={"a": 1}, correlation_id="c-1", traceparent=TRACEPARENT)

    @pytest.mark.parametrize("document", [{"a": 1}, {"specversion": "1.0", "id": "e-1", "data": {}}])
    def test_what_it_is_handled_under_stands_before_its_own_trace(self, document: dict[str, Any]) -> None:
        """Whoever received it may go on with its trace from there; the message itself stays as it came."""
        message = _inbound({**document, "traceparent": TRACEPARENT}, traceparent=TRACEPARENT)
        under = TRACEPARENT.replace("b7ad", "c8be")

        assert open_envelope(replace(message, traceparent=under)).traceparent == under
        assert open_envelope(replace(message, traceparent=under)).data == open_envelope(message).data

    @pytest.mark.parametrize("headers", [{}, {"Nats_Msg_Id": ""}, {"Nats_Msg_Id": "a b"}, {"Nats_Msg_Id": "x" * 256}])
    def test_bare_data_without_a_usable_id_is_known_by_its_body(self, headers: dict[str, str]) -> None:
        """The same body again is the same message."""
        message = _inbound({"a": 1}, **headers)

        envelope = open_envelope(message)

        assert envelope.message_id == message_digest(message.body)
        assert envelope.correlation_id == envelope.message_id

    @pytest.mark.parametrize("correlation", [7, None, "", "a b", "x" * 129, "a\n", {"a": 1}])
    @pytest.mark.parametrize("traceparent", [7, "", "00-xyz", TRACEPARENT.upper()])
    def test_malformed_tracing_is_replaced_not_refused(self, correlation: object, traceparent: object) -> None:
        """How a message is traced never decides whether it counts."""
        event = _cloud_event(correlationid=correlation, traceparent=traceparent)

        envelope = open_envelope(_inbound(event))

        assert (envelope.correlation_id, envelope.traceparent) == ("e-1", None)

    def test_an_id_that_cannot_be_a_correlation_id_is_digested(self) -> None:
        """A message id may have signs a correlation id may not."""
        envelope = open_envelope(_inbound(_cloud_event(id="gid://shop/1")))

        assert envelope.message_id == "gid://shop/1"
        assert envelope.correlation_id == message_digest(b"gid://shop/1")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe",
            b"not json",
            b"null",
            b"[]",
            b'"text"',
            b"7",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": "\\ud800"}',
            b'{"a": ' + b"9" * 5000 + b"}",
            b"[" * 200_000,
            b'{"a":' * 200_000,
            b'{"a": 1} trailing',
            b'\xef\xbb\xbf{"a": 1}',
        ],
        ids=lambda body: _selectable(body[:12]),
    )
    def test_a_body_that_is_no_json_object_is_malformed(self, body: bytes) -> None:
        """Broken, nested, endless or misencoded: one refusal, no crash."""
        with pytest.raises(MalformedMessage):
            open_envelope(_inbound(body))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"id": 7},
            {"id": None},
            {"id": ""},
            {"id": "a b"},
            {"id": "a\x00"},
            {"id": "ü"},
            {"id": "x" * 256},
            {"id": ["e-1"]},
            {"data": None},
            {"data": []},
            {"data": "text"},
            {"data": 7},
        ],
        ids=_selectable,
    )
    def test_a_cloudevent_with_wrong_types_is_malformed(self, wrong: dict[str, Any]) -> None:
        """An id is visible ASCII, data an object."""
        with pytest.raises(MalformedMessage, match="CloudEvent"):
            open_envelope(_inbound(_cloud_event(**wrong)))

    @given(st.binary(max_size=80))
    def test_any_bytes_are_read_or_malformed(self, body: bytes) -> None:
        """Nothing but MalformedMessage ever comes of a message."""
        try:
            envelope = open_envelope(_inbound(body))
        except MalformedMessage:
            return
        assert envelope.message_id

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        )
    )
    def test_any_json_as_data_is_read_or_malformed(self, value: object) -> None:
        """Nothing but MalformedMessage ever comes of its data either."""
        with suppress(MalformedMessage):
            read_data(MerchantCreated, dict.fromkeys(MerchantCreated.model_fields, value))
        with suppress(MalformedMessage):
            read_data(PurchaseUpdated, dict.fromkeys(PurchaseUpdated.model_fields, value))


class TestRedactedEvents:
    PSEUDONYMS = Pseudonyms(b"k" * 32)

    def test_its_words_go_and_the_fact_stays(self) -> None:
        """What an operator wrote is gone, the correlation id is a pseudonym and leads to no trace; the figures stay."""
        fact = TrialExtended(
            merchant_id="m-1", platform="sandbox", trial_id=UUID(int=1), ends_at=MOMENT, reason="Jane Doe asked"
        )
        body = encode_event(replace(_change(correlation_id="janes-shop:1", traceparent=TRACEPARENT), fact=fact), 7)

        redacted = redact_event(body, self.PSEUDONYMS)

        before, after = decode_event(body), decode_event(redacted)
        assert b"jane" not in redacted.lower()
        assert TRACEPARENT.encode() not in redacted
        assert after.correlationid == self.PSEUDONYMS.of_text("janes-shop:1")
        told = {"correlationid": after.correlationid, "traceparent": after.traceparent}
        assert after == before.model_copy(
            update={**told, "data": before.data.model_copy(update={"reason": "redacted"})}
        )
        assert redact_event(redacted, self.PSEUDONYMS) == redacted

    def test_who_granted_credits_is_still_told(self) -> None:
        """It is an operator; what they wrote is not told."""
        body = encode_event(a_grant(reason="for Jane Doe", actor="operator:ada").change(an_origin()), 1)

        data = json.loads(redact_event(body, self.PSEUDONYMS))["data"]

        assert (data["reason"], data["actor"], data["credits"]) == ("redacted", "operator:ada", 50)

    @pytest.mark.parametrize("reason", [None, "Jane Doe asked"])
    def test_why_a_purchase_was_called_off_is_a_persons_word(self, reason: str | None) -> None:
        """And why it expired is Billing's own, which stays."""
        by, later = an_origin(reason=reason), MOMENT + timedelta(days=3)
        cancelled, expired = a_purchase().cancel(later, by), a_purchase().expire(later, by)

        told = [
            json.loads(redact_event(encode_event(each.changes[0], 1), self.PSEUDONYMS))["data"]["reason"]
            for each in (cancelled, expired)
        ]

        assert told == [reason and "redacted", "not paid in time"]

    def test_what_is_no_event_is_malformed(self) -> None:
        """It is not ours, and is not touched."""
        with pytest.raises(MalformedMessage):
            redact_event(b"no JSON", self.PSEUDONYMS)
