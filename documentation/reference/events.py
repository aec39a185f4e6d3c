"""The events, from schemas/asyncapi.json: what Billing says, and what it hears."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from documentation.reference import json_schema
from documentation.writing import json_block, literal, page, table

Document = Mapping[str, Any]

_ABOUT = """\
Generated from [`schemas/asyncapi.json`](../../schemas/asyncapi.json) (AsyncAPI 3). Each event is a CloudEvent on NATS
JetStream; its subject is its type. How to read them so that each counts once:
[the example's Credit Service](../../examples/credit-service/README.md).
"""


def events(root: Path) -> str:
    """This will write the page: the envelope, then every event with its fields and an example."""
    document = json.loads((root / "schemas" / "asyncapi.json").read_text("utf-8"))
    published = _messages(document, "send")
    consumed = _messages(document, "receive")
    first = next(iter(published.values()))
    return page(
        "Events",
        _ABOUT,
        table(
            ("event", "says"),
            ((f"[{literal(name)}](#{_anchor(name)})", message["summary"]) for name, message in published.items()),
        ),
        "## The envelope",
        "The same around each event; `data` is what it says, and `sequence` numbers a merchant's events, without gaps.",
        json_schema.fields(_resolved(document, first["payload"]), _no_link),
        "## What Billing publishes",
        *_all(document, published, "events"),
        "## What Billing consumes",
        "Each is understood as a CloudEvent and as bare data alike.",
        *_all(document, consumed, "consumed"),
    )


def _messages(document: Document, action: str) -> Mapping[str, Document]:
    """The messages of every operation of that kind, by subject; of a subject's messages the CloudEvent."""
    found: dict[str, Document] = {}
    for operation in document["operations"].values():
        channel = _resolved(document, operation["channel"])
        if operation["action"] == action and channel["address"] in document["components"]["messages"]:
            found[channel["address"]] = document["components"]["messages"][channel["address"]]
    return found


def _all(document: Document, messages: Mapping[str, Document], folder: str) -> Iterator[str]:
    for name, message in messages.items():
        data = _resolved(document, _resolved(document, message["payload"])["properties"]["data"])
        yield f"### {name}"
        yield message["summary"]
        yield f"JSON Schema: [`{folder}/{name}.json`](../../schemas/{folder}/{name}.json)."
        yield _with_parts(document, data)
        yield json_block(message["examples"][0]["payload"])


def _with_parts(document: Document, data: Document) -> str:
    """The fields, and below them those of the objects among them."""
    rows = json_schema.fields(data, _no_link)
    for name, field in data.get("properties", {}).items():
        if "$ref" in field and (part := _resolved(document, field)).get("properties"):
            rows += f"\n\n`{name}`: {part.get('description', '')}\n\n{json_schema.fields(part, _no_link)}"
    return rows


def _resolved(document: Document, node: Document) -> Document:
    """What a reference within the document leads to."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _no_link(name: str) -> None:
    """Parts stand below the fields they are in."""
