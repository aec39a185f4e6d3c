"""Markdown, put together: what the generated pages are written with."""

import json
from collections.abc import Iterable, Sequence
from typing import Any


def page(title: str, *parts: str) -> str:
    """A page: its title, then its parts with an empty line between them."""
    return "\n\n".join((f"# {title}", *(part.strip("\n") for part in parts if part.strip()))) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where there are no rows."""
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join((f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines))


def fenced(language: str, text: str) -> str:
    """A block of code. Raises ValueError where the text would end it early."""
    if "```" in text:
        raise ValueError("a block of code cannot hold another one")
    return f"```{language}\n{text.rstrip()}\n```"


def json_block(document: Any) -> str:
    """A document as JSON, in a block of code."""
    return fenced("json", json.dumps(document, indent=2, ensure_ascii=False))


def quoted(text: str) -> str:
    """The text as somebody says it."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def literal(text: str) -> str:
    """The text as code within a sentence."""
    return f"``{text}``" if "`" in text else f"`{text}`"


def sentence(docstring: str | None) -> str:
    """The first paragraph of a docstring, on one line. Raises ValueError where there is none to show."""
    if docstring is None or not docstring.strip():
        raise ValueError("everything that stands in the reference says what it is")
    return " ".join(docstring.strip().split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
