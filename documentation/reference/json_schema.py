"""JSON Schema in words: what a field may hold, as a person reads it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from documentation.writing import literal, table

Schema = Mapping[str, Any]
# Where the schema of that name is described; None where it is nowhere.
Link = Callable[[str], str | None]

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} characters or more",
    "maxLength": "at most {} characters",
}


def fields(schema: Schema, link: Link) -> str:
    """The fields of an object as a table: name, type, whether it is always there, what it means."""
    required = schema.get("required", ())
    return table(
        ("field", "type", "always there", "meaning"),
        (
            (literal(name), describe(field, link), "yes" if name in required else "no", _meaning(field))
            for name, field in schema.get("properties", {}).items()
        ),
    )


def describe(schema: Schema, link: Link) -> str:
    """The type of a value. Raises ValueError for a schema it has no words for."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        target = link(name)
        return literal(name) if target is None else f"[{literal(name)}]({target})"
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return describe(schema["allOf"][0], link)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(describe(each, link) for each in schema[several])
    if "const" in schema:
        return literal(str(schema["const"]))
    if "enum" in schema:
        return ", ".join(literal(str(each)) for each in schema["enum"])
    return _plain(schema, link)


def _plain(schema: Schema, link: Link) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"list of {describe(schema['items'], link)}" if "items" in schema else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {describe(schema['additionalProperties'], link)}"
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        return " or ".join(kind)
    if not isinstance(kind, str):
        if not schema.keys() - {"title", "description", "examples", "default"}:
            return "anything"
        raise ValueError(f"no words for {schema}")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _meaning(schema: Schema) -> str:
    said = [schema["description"]] if "description" in schema else []
    bounds = [text.format(schema[name]) for name, text in _BOUNDS.items() if name in schema]
    default = schema.get("default")
    if default is not None:
        bounds.append(f"default {literal(str(default))}")
    if bounds:
        said.append(f"({', '.join(bounds)})")
    return " ".join(said)
