"""Docstrings as this project writes them, for autodoc: Markdown's backticks in plain sentences.

reStructuredText would take a single backtick for a role, and a star or a line for the beginning of something.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_MARKUP = re.compile(r"([\\*|]|(?<=\w)_(?=\W|$))")


def setup(app: Sphinx) -> dict[str, Any]:
    """This will have autodoc ask for each docstring."""
    app.connect("autodoc-process-docstring", _rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _rewrite(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    text = "\n".join(lines)
    lines[:] = to_restructured_text(text).split("\n")


def to_restructured_text(text: str) -> str:
    """The docstring with code as literals and nothing else as markup; what is typed at a prompt stays as it is."""
    return "\n\n".join(part if part.lstrip().startswith(">>>") else _rewritten(part) for part in text.split("\n\n"))


def _rewritten(text: str) -> str:
    # A literal may span a line's end.
    parts = _CODE.split(text)
    return "".join(_literal(part) if place % 2 else _MARKUP.sub(r"\\\1", part) for place, part in enumerate(parts))


def _literal(code: str) -> str:
    # The escaped spaces part it from letters beside it, as in the plural of a name.
    return rf"\ ``{' '.join(code.strip('`').split())}``\ "
