"""The settings, from the model that reads them."""

from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from billing_adapters.settings import PREFIX, Settings
from documentation.writing import literal, page, table

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`on` or `off`",
    Path: "path",
    SecretStr: "secret text",
}


def settings(root: Path) -> str:
    """This will write the page: each variable with its type, default and meaning."""
    del root  # the settings are code, not files
    return page(
        "Settings",
        "Every environment variable of the three apps, generated from the model that reads them. "
        "[`.env.example`](../../.env.example) is a file to begin with. Any value may come from a file instead: "
        "`BILLING_JWT_SECRET_FILE=/run/secrets/jwt`. `billing config show` tells what a process reads, and "
        "`billing doctor` whether it serves.",
        table(
            ("variable", "type", "default", "meaning"),
            (
                (literal(f"{PREFIX}{name.upper()}"), _type(field), _default(field.default), field.description or "")
                for name, field in Settings.model_fields.items()
            ),
        ),
    )


def _type(field: FieldInfo) -> str:
    word = _word(field.annotation)
    bounds = [
        f"{words} {getattr(each, name)}"
        for each in field.metadata
        for name, words in (("gt", "above"), ("ge", "from"), ("le", "to"), ("pattern", "like"))
        if getattr(each, name, None) is not None and name != "pattern"
    ]
    return f"{word}, {' '.join(bounds)}" if bounds else word


def _word(annotation: Any) -> str:
    """Raises ValueError for a type it has no word for."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_word(each) for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Literal:
        return ", ".join(literal(each) for each in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "comma list"
    if annotation in _WORDS:
        return _WORDS[annotation]
    raise ValueError(f"no word for {annotation}")


def _default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return literal("on" if value else "off")
    if isinstance(value, SecretStr):
        return literal(value.get_secret_value())
    if isinstance(value, tuple):
        return literal(",".join(value))
    return literal(str(value.value if isinstance(value, Enum) else value))
