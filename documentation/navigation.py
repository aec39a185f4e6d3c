"""The navigation, from the lists of links in two documents that people read as well: docs/index.md and the decisions'.

So the committed Markdown needs no word of Sphinx', and a page that stands in no list is told of as an orphan.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from documentation.reference import SHOWN_AS

HOME = "docs/index.md"
DECISIONS = "docs/decisions/README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A page of the navigation: its name, and what its title is there."""

    docname: str
    title: str


def add_navigation(sources: Mapping[str, str]) -> Mapping[str, str]:
    """This will give the documents with the navigation behind the two that list pages."""
    added = dict(sources)
    for path, toctrees in ((HOME, _home), (DECISIONS, _decisions)):
        if path in sources:
            added[path] = "\n\n".join((sources[path], *toctrees(sources[path])))
    return added


def _home(text: str) -> Iterator[str]:
    """Each heading over a list is a part of the navigation."""
    parts: dict[str, list[Entry]] = {}
    heading, depth = "", 0
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in pairwise(tokens):
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        if token.type != "inline":
            continue
        if before.type == "heading_open":
            heading = token.content
        elif depth and (entry := _entry(token, posixpath.dirname(HOME))):
            parts.setdefault(heading, []).append(entry)
    for caption, entries in parts.items():
        yield _toctree(caption, entries)


def _decisions(text: str) -> Iterator[str]:
    inlines = (token for token in MarkdownIt("commonmark").enable("table").parse(text) if token.type == "inline")
    entries = (entry for token in inlines if (entry := _entry(token, posixpath.dirname(DECISIONS))))
    # By their own titles: those of the list are numbers.
    yield _toctree("", [Entry(docname=entry.docname, title="") for entry in entries])


def _entry(token: Token, folder: str) -> Entry | None:
    """The page that the first link of a line leads to, if the line begins with one."""
    children = token.children or []
    if not children or children[0].type != "link_open":
        return None
    path = posixpath.normpath(posixpath.join(folder, str(children[0].attrGet("href"))))
    end = next(place for place, child in enumerate(children) if child.type == "link_close")
    title = "".join(child.content for child in children[1:end])
    return Entry(docname=SHOWN_AS.get(path, path.removesuffix(".md")), title=title)


def _toctree(caption: str, entries: list[Entry]) -> str:
    lines = [f"{each.title} </{each.docname}>" if each.title else f"/{each.docname}" for each in entries]
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(("```{toctree}", *options, "", *lines, "```"))
