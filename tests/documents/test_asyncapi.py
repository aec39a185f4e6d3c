"""The AsyncAPI document tells what is published and taken, as it is on a real NATS."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from tests.contracts.test_event_schemas import CHANGES

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.plan import CONSUMERS
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_adapters.nats.tail import tail
from billing_core.domain.events import FACTS, Change
from billing_core.messages import (
    InboundMessage,
    MerchantCreated,
    PurchaseUpdated,
    consumed_schemas,
    decode_event,
    encode_event,
    open_envelope,
    read_data,
)
from billing_core.ports.publishing import OutboxEvent
from billing_worker.asyncapi import asyncapi_document

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "schemas"
DOCUMENT = asyncapi_document()
CHANNELS, MESSAGES = DOCUMENT["channels"], DOCUMENT["components"]["messages"]
MODELS: dict[str, Any] = {"evt.merchant.created": MerchantCreated, "evt.webhook.app.purchase_updated": PurchaseUpdated}


def satisfies(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is what one of the document's schemas says."""
    rooted = {**schema, "components": DOCUMENT["components"]}
    return Draft202012Validator(rooted, format_checker=FormatChecker()).is_valid(value)


def payload_of(message: str) -> dict[str, Any]:
    """The schema of a message's body."""
    schema: dict[str, Any] = MESSAGES[message]["payload"]
    return schema


class TestDocument:
    def test_the_copies_are_current(self) -> None:
        """`script/schemas` was run after the last change of a message."""
        consumed = {path.stem: json.loads(path.read_text("utf-8")) for path in (SCHEMAS / "consumed").glob("*.json")}

        assert json.loads((SCHEMAS / "asyncapi.json").read_text("utf-8")) == DOCUMENT
        assert consumed == consumed_schemas()

    def test_it_is_asyncapi_3(self) -> None:
        """By the specification's own JSON Schema, which refuses a document without operations' actions."""
        judge = Draft7Validator(json.loads((HERE / "asyncapi" / "3.0.0.json").read_text("utf-8")))
        broken = {**DOCUMENT, "operations": {"send": {"channel": {"$ref": "#/channels/none"}}}}

        assert [error.message for error in judge.iter_errors(DOCUMENT)] == []
        assert not judge.is_valid(broken)

    def test_every_event_and_every_subject_is_there(self) -> None:
        """What is sent and what is received, each on the channel of its subject."""
        told = {
            (each["action"], each["channel"]["$ref"].rpartition("/")[2]) for each in DOCUMENT["operations"].values()
        }

        assert told == {("send", fact.type) for fact in FACTS} | {("receive", plan.subject) for plan in CONSUMERS}
        assert {(name, channel["address"]) for name, channel in CHANNELS.items()} == {(name, name) for _, name in told}

    def test_every_reference_leads_somewhere(self) -> None:
        """Within the document, and to a schema that is one."""
        for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(DOCUMENT)):
            place: Any = DOCUMENT
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
            assert isinstance(place, dict)
        for schema in DOCUMENT["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)


class TestExamples:
    @pytest.mark.parametrize("name", MESSAGES)
    def test_each_is_what_it_shows(self, name: str) -> None:
        """Body and headers satisfy their schemas."""
        message = MESSAGES[name]
        for example in message["examples"]:
            assert satisfies(example["payload"], message["payload"])
            assert satisfies(example.get("headers", {}), message.get("headers", {}))

    @pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.type)
    def test_each_published_one_reads_back(self, fact: Any) -> None:
        """As the event of its type, by the models other services use."""
        (example,) = MESSAGES[fact.type]["examples"]

        event = decode_event(json.dumps(example["payload"]).encode())

        assert type(event.data) is fact
        assert example["headers"]["Nats-Msg-Id"] == str(event.id)

    @pytest.mark.parametrize("subject", MODELS)
    def test_each_consumed_one_is_understood(self, subject: str) -> None:
        """As a CloudEvent and as bare data, with the same id and the same data."""
        read = []
        for message in (subject, f"{subject}.bare"):
            (example,) = MESSAGES[message]["examples"]
            body = json.dumps(example["payload"]).encode()
            envelope = open_envelope(InboundMessage(subject=subject, body=body, headers=example.get("headers", {})))
            read.append((envelope.message_id, read_data(MODELS[subject], envelope.data)))

        assert read[0] == read[1]


class TestMessages:
    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.number}-{change.fact.type}")
    def test_every_event_is_what_its_message_says(self, change: Change) -> None:
        """What the domain decides; and less than that is refused."""
        event = json.loads(encode_event(change, 1))

        assert satisfies(event, payload_of(event["type"]))
        assert not satisfies({**event, "data": {}}, payload_of(event["type"]))

    @pytest.mark.parametrize("subject", MODELS)
    def test_what_would_be_parked_is_refused(self, subject: str) -> None:
        """Without the platform, with one that is no text, or with no data at all."""
        (event,) = (each["payload"] for each in MESSAGES[subject]["examples"])

        for data in ({**event["data"], "platform": 7}, {}, None):
            assert not satisfies({**event, "data": data}, payload_of(subject))
            assert not satisfies(data, payload_of(f"{subject}.bare"))


class TestRealServer:
    @pytest.fixture
    async def connection(self, nats_url: str) -> AsyncIterator[NatsConnection]:
        """A server with the streams and consumers as Billing makes them."""
        async with open_nats(nats_url, name="documents") as connection:
            assert await connection.wait_connected(30)
            await ensure_streams(connection, manage_all=True)
            assert await ensure_consumers(connection) == ()
            yield connection

    async def test_what_is_published_is_what_it_says(self, connection: NatsConnection) -> None:
        """Headers and body of one event of each type, read back from the stream."""
        events = {}
        for change in CHANGES:
            assert change.fact is not None
            body = encode_event(change, 1)
            events[change.fact.type] = OutboxEvent(
                event_id=change.event_id, merchant_id=change.merchant_id, sequence=1, type=change.fact.type, body=body
            )

        await NatsEventPublisher(connection).publish(list(events.values()))

        stored = [each async for each in tail(connection, "evt.billing.>", since_s=3600, follow=False)]
        assert {each.subject for each in stored} == events.keys()
        for each in stored:
            message = MESSAGES[each.subject]
            assert satisfies(json.loads(each.body), message["payload"])
            assert satisfies(dict(each.headers), message["headers"])
            assert each.headers["Content-Type"] == message["contentType"]

    async def test_streams_and_consumers_are_what_it_says(self, connection: NatsConnection) -> None:
        """Which stream takes a subject, how long it keeps it, and under which name Billing reads."""
        for name, channel in CHANNELS.items():
            told = channel["x-jetstream"]
            assert await connection.jetstream.find_stream_name_by_subject(name) == told["stream"]
            config = (await connection.jetstream.stream_info(told["stream"])).config
            assert config.subjects == [told["stream_subjects"]]
            if "kept_days" in told:
                assert (config.max_age, config.duplicate_window) == (
                    told["kept_days"] * 86400,
                    told["duplicate_window_hours"] * 3600,
                )
        for operation in DOCUMENT["operations"].values():
            if (told := operation.get("x-jetstream-consumer")) is not None:
                subject = operation["channel"]["$ref"].rpartition("/")[2]
                stream = CHANNELS[subject]["x-jetstream"]["stream"]
                info = await connection.jetstream.consumer_info(stream, told["durable"])
                assert (info.config.filter_subject, info.config.ack_wait) == (subject, told["ack_wait_seconds"])
                assert info.config.ack_policy == told["ack_policy"]
