"""Stripe's form encoding read back: `line_items[0][quantity]=1` becomes lists and objects, typed as a schema says.

Everything in a form is text. The schema tells an integer from a text of digits; what cannot be what the schema asks
for stays text, for the schema to refuse.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

Schema = Mapping[str, Any]

_KEY = re.compile(r"[^\[\]]+(?:\[[^\[\]]*\])*")
_SEGMENT = re.compile(r"[^\[\]]+|(?<=\[)(?=\])")


class UnreadableForm(ValueError):
    """The form's keys contradict each other, or are none."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Invalid request: the parameter {key} cannot be read")
        self.key = key


def read_form(text: str, schema: Schema) -> dict[str, Any]:
    """This will decode a form or query into what `schema`, an object's JSON Schema, describes.

    Raises UnreadableForm.
    """
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        _put(tree, key, value)
    return {name: _typed(value, _property(schema, name, schema), schema) for name, value in tree.items()}


def _put(tree: dict[str, Any], key: str, value: str) -> None:
    if not _KEY.fullmatch(key):
        raise UnreadableForm(key)
    *path, last = _SEGMENT.findall(key)
    node = tree
    for segment in path:
        node = node.setdefault(segment or str(len(node)), {})
        if not isinstance(node, dict):
            raise UnreadableForm(key)
    last = last or str(len(node))
    if isinstance(node.get(last), dict):
        raise UnreadableForm(key)
    node[last] = value


def _typed(value: Any, schema: Schema, root: Schema) -> Any:
    schema = _choice(value, _resolved(schema, root), root)
    if isinstance(value, dict):
        if schema.get("type") == "array" and all(name.isdecimal() for name in value):
            return [_typed(value[name], schema.get("items", {}), root) for name in sorted(value, key=int)]
        return {name: _typed(part, _property(schema, name, root), root) for name, part in value.items()}
    return _typed_text(value, schema)


def _typed_text(text: str, schema: Schema) -> str | int | bool:
    if schema.get("type") == "integer" and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if schema.get("type") == "boolean" and text in {"true", "false"}:
        return text == "true"
    return text


def _choice(value: Any, schema: Schema, root: Schema) -> Schema:
    """Of alternatives, the first that what came can become."""
    for alternative in schema.get("anyOf", ()):
        resolved = _resolved(alternative, root)
        if _fits(value, resolved):
            return resolved
    return schema


def _fits(value: Any, schema: Schema) -> bool:
    kind = schema.get("type")
    if isinstance(value, dict):
        return kind in {"object", "array"}
    return kind == "string" or type(_typed_text(value, schema)) is not str


def _property(schema: Schema, name: str, root: Schema) -> Schema:
    described: Any = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return _resolved(described, root) if isinstance(described, Mapping) else {}


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself where it stands elsewhere in the same document."""
    reference = schema.get("$ref")
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference else schema
