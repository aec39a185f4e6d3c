"""The AsyncAPI 3 document of what Billing says and hears over NATS, made from the messages and streams themselves."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from billing_adapters.nats import plan, streams
from billing_core.domain.events import FACTS
from billing_core.messages import CONTENT_TYPE, consumed_schemas, schemas
from billing_worker.asyncapi_examples import consumed_examples, published_example

_DESCRIPTION: Final = """\
CloudEvents 1.0 on NATS JetStream, structured: the whole envelope is the body, and the `type` is the subject.

**Reading.** An event's `id` is derived from the fact it tells and is the `Nats-Msg-Id` too. It may be delivered, and
even published, more than once under that id: remember ids for ever, or make the effect idempotent. `sequence` counts a
merchant's events from 1 without gaps, in the order in which they happened; a gap is an event that is still on its
way. Ignore fields and types that are not known.

**Writing.** Billing takes two messages of other services, as CloudEvents or as bare data. What it cannot understand is
parked, never dropped and never in the way of the next one.
"""
_DAY_S: Final = 24 * 3600
_READ: Final = "#/components/schemas/"


def asyncapi_document() -> dict[str, Any]:
    """The document."""
    published, consumed = schemas(), consumed_schemas()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Billing's messages",
            "version": version("billing-worker"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "NATS with JetStream; where `BILLING_NATS_URL` says.",
                "variables": {"host": {"default": "127.0.0.1:4222", "description": "Host and port."}},
            }
        },
        "channels": {
            **{kind: _channel(kind, plan.BILLING, _published(kind)) for kind in published},
            **{each.subject: _channel(each.subject, each.stream, _consumed(each.subject)) for each in plan.CONSUMERS},
        },
        "operations": {
            **{f"send-{kind}": _operation("send", kind) for kind in published},
            **{f"receive-{each.subject}": _reception(each) for each in plan.CONSUMERS},
        },
        "components": {
            "messages": dict(_messages(published, consumed)),
            "schemas": dict(_components(published, consumed)),
            "securitySchemes": {
                "account": {"type": "userPassword", "description": "A NATS account, where one is asked for."}
            },
        },
    }


def _channel(subject: str, stream: str, messages: Mapping[str, str]) -> dict[str, Any]:
    ours = {
        "kept_days": streams.MAX_AGE_S // _DAY_S,
        "duplicate_window_hours": streams.DUPLICATE_WINDOW_S // 3600,
    }
    return {
        "address": subject,
        "servers": [{"$ref": "#/servers/nats"}],
        "messages": {name: {"$ref": f"#/components/messages/{message}"} for name, message in messages.items()},
        "x-jetstream": {
            "stream": stream,
            "stream_subjects": plan.SUBJECTS[stream],
            **(ours if stream == plan.BILLING else {}),
        },
    }


def _published(kind: str) -> dict[str, str]:
    return {"event": kind}


def _consumed(subject: str) -> dict[str, str]:
    return {"event": subject, "bare": f"{subject}.bare"}


def _operation(action: str, subject: str, **more: Any) -> dict[str, Any]:
    messages = _published(subject) if action == "send" else _consumed(subject)
    channel = f"#/channels/{subject}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
        "security": [{"$ref": "#/components/securitySchemes/account"}],
        **more,
    }


def _reception(consumer_plan: plan.ConsumerPlan) -> dict[str, Any]:
    ack_wait_s = int(plan.ACK_WAIT_S)
    consumer = {"durable": consumer_plan.durable, "ack_policy": "explicit", "ack_wait_seconds": ack_wait_s}
    return _operation("receive", consumer_plan.subject, **{"x-jetstream-consumer": consumer})


def _messages(
    published: Mapping[str, dict[str, Any]], consumed: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for fact in FACTS:
        kind = fact.type
        yield (
            kind,
            {
                "name": kind,
                "title": kind,
                "summary": published[kind]["description"],
                "contentType": CONTENT_TYPE,
                "headers": {"$ref": f"{_READ}event-headers"},
                "payload": {"$ref": _READ + kind},
                "examples": [published_example(fact)],
            },
        )
    for subject, schema in consumed.items():
        event, bare = consumed_examples(subject)
        about = {"name": subject, "summary": schema["description"].split("\n")[0]}
        yield (
            subject,
            {
                **about,
                "title": f"{subject}, as a CloudEvent",
                "contentType": CONTENT_TYPE,
                "payload": {"$ref": f"{_READ}{subject}.event"},
                "examples": [event],
            },
        )
        yield (
            f"{subject}.bare",
            {
                **about,
                "title": f"{subject}, as bare data",
                "contentType": "application/json",
                "headers": {"$ref": f"{_READ}bare-headers"},
                "payload": {"$ref": _READ + subject},
                "examples": [bare],
            },
        )


def _components(
    published: Mapping[str, dict[str, Any]], consumed: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema, those within others too, so that each `$ref` leads to a place in this document."""
    for name, schema in {**published, **consumed}.items():
        rooted = json.loads(json.dumps(schema).replace("#/$defs/", _READ))
        yield from rooted.pop("$defs", {}).items()
        del rooted["$schema"]
        yield name, rooted
    for subject in consumed:
        yield f"{subject}.event", _envelope(subject)
    yield (
        "event-headers",
        _headers({**_MESSAGE_ID, "format": "uuid"}, {"Content-Type": {"const": CONTENT_TYPE}}, ["Content-Type"]),
    )
    tracing = {"X-Correlation-Id": {"type": "string"}, "traceparent": {"type": "string"}}
    yield "bare-headers", _headers({**_MESSAGE_ID, "description": _BARE_ID}, tracing, [])


_MESSAGE_ID: Final[Mapping[str, Any]] = {"type": "string", "description": "The event's id: JetStream drops repeats."}
_BARE_ID: Final = "What the message is known again by; without it, a hash of its body."


def _headers(message_id: Mapping[str, Any], more: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    needed = ["Nats-Msg-Id", *required] if required else []
    properties = {"Nats-Msg-Id": dict(message_id), **more}
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _envelope(subject: str) -> dict[str, Any]:
    return {
        "title": f"CloudEvent {subject}",
        "description": "A CloudEvents 1.0 envelope; other attributes are ignored.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
            "source": {"type": "string"},
            "type": {"const": subject},
            "correlationid": {"type": "string", "pattern": "^[A-Za-z0-9._:\\-]{1,128}$"},
            "traceparent": {"type": "string"},
            "data": {"$ref": _READ + subject},
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }
