"""The links of Markdown files as a repository's browser follows them: to files, folders, and headings by anchor."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Folders that are made, and not part of the repository.
_MADE: Final = frozenset({"build", "dist", "nightly", "node_modules"})
_HTML_ANCHOR: Final = re.compile(r"<[a-z][^>]*\s(?:id|name)=\"([^\"]+)\"")


def markdown_files(repository: Path) -> Sequence[Path]:
    """Every Markdown file of a repository, without what is hidden or made."""
    found = (path for path in sorted(repository.rglob("*.md")) if not _is_made(path.relative_to(repository)))
    return list(found)


def faults(repository: Path) -> Sequence[str]:
    """A line for each link of a Markdown file that leads nowhere in the repository."""
    return [
        f"{path.relative_to(repository).as_posix()}: {target}: {fault}"
        for path in markdown_files(repository)
        for target in _targets(_tokens(path))
        if (fault := _fault(path, target, repository))
    ]


def _is_made(path: Path) -> bool:
    return any(part in _MADE or part.startswith(".") for part in path.parts[:-1])


def _fault(path: Path, target: str, repository: Path) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not found.is_relative_to(repository.resolve()):
        return "leads out of the repository"
    if not found.exists():
        return "there is no such file"
    if parts.fragment and (found.suffix != ".md" or unquote(parts.fragment) not in _anchors(found)):
        return "there is no such heading"
    return None


@cache
def _anchors(path: Path) -> frozenset[str]:
    """The anchors a browser of repositories gives to the headings; of equal ones the later have a number."""
    tokens, seen, anchors = _tokens(path), dict[str, int](), set[str]()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            slug = _slug(token)
            times = seen.get(slug, 0)
            anchors.add(slug if times == 0 else f"{slug}-{times}")
            seen[slug] = times + 1
    return frozenset({*anchors, *_HTML_ANCHOR.findall(path.read_text("utf-8"))})


def _slug(heading: Token) -> str:
    words = "".join(child.content for child in heading.children or [])
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


@cache
def _tokens(path: Path) -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8"))


def _targets(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        for child in token.children or []:
            yield from (str(child.attrs[name]) for name in ("href", "src") if name in child.attrs)
