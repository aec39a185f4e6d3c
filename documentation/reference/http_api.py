"""The HTTP API, from schemas/openapi.json."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from documentation.reference import json_schema
from documentation.writing import fenced, json_block, literal, page, table

Document = Mapping[str, Any]

_SENT = "sent as"


def http_api(root: Path) -> str:
    """This will write the page: every operation by its tag, then every document they speak of."""
    document = json.loads((root / "schemas" / "openapi.json").read_text("utf-8"))
    return page(
        "HTTP API",
        f"Version {document['info']['version']}, generated from [`schemas/openapi.json`](../../schemas/openapi.json) "
        "(OpenAPI 3.1). A running Billing shows the same at `/docs` where `BILLING_DOCS=on`. What each code means and "
        "what to do about it: [error codes](error-codes.md).",
        document["info"]["description"],
        *_operations(document),
        "## Documents",
        *_documents(document["components"]["schemas"]),
        "## Headers of answers",
        table(
            ("header", "meaning", "example"),
            (
                (literal(name), header["description"], literal(header["example"]))
                for name, header in sorted(document["components"]["headers"].items())
            ),
        ),
    )


def _operations(document: Document) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"## {tag['name']}"
        yield tag["description"]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    yield f"### {method.upper()} {path}"
                    yield from _operation(operation, document["components"])


def _operation(operation: Document, components: Document) -> Iterator[str]:
    yield operation["summary"]
    yield operation.get("description", "")
    yield table(
        ("parameter", "in", "type", "required", "meaning"),
        (
            (
                literal(each["name"]),
                each["in"],
                json_schema.describe(each["schema"], _anchor),
                "yes" if each.get("required") else "no",
                each.get("description", ""),
            )
            for each in operation.get("parameters", ())
        ),
    )
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"**Body**, {_SENT} `{media}`: {json_schema.describe(content['schema'], _anchor)}."
        for example in content.get("examples", {}).values():
            yield f"{example['summary']}:"
            yield json_block(example["value"])
    yield from _answers(operation["responses"], components)


def _answers(responses: Document, components: Document) -> Iterator[str]:
    yield table(
        ("status", "meaning", "body", "headers"),
        (
            (status, _described(answer), _bodies(answer), ", ".join(map(literal, answer.get("headers", {}))))
            for status, answer in responses.items()
        ),
    )
    for status, answer in responses.items():
        for media, content in answer.get("content", {}).items():
            if "example" in content and status.startswith("2"):
                yield f"**Answer {status}**, {_SENT} `{media}`:"
                shown = content["example"]
                yield fenced("text", shown) if isinstance(shown, str) else json_block(shown)
                return  # the others of success look alike


def _described(answer: Document) -> str:
    """The codes lead to what they mean."""
    text: str = answer["description"]
    codes = [name for content in answer.get("content", {}).values() for name in content.get("examples", {})]
    for code in codes:
        text = text.replace(f"`{code}`", f"[`{code}`](error-codes.md#{code.lower()})")
    return text


def _bodies(answer: Document) -> str:
    return ", ".join(json_schema.describe(content["schema"], _anchor) for content in answer.get("content", {}).values())


def _documents(schemas: Document) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f"### {name}"
        yield schema.get("description", "")
        if "properties" in schema:
            yield json_schema.fields(schema, _anchor)
        else:
            yield json_schema.describe(schema, _anchor)


def _anchor(name: str) -> str:
    return f"#{name.lower()}"
