"""The pages people read, and what stands in them that a machine can follow: blocks of code, and code within sentences.

A test that runs blocks declares them in a tuple of its module, `CLAIMS`, and takes them from there and nowhere else; so
what is claimed is what is run. `test_every_block.py` holds that each block of every page is claimed once.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "docs/**/*.md",
    "packages/*/README.md",
    "apps/*/README.md",
    "examples/*/README.md",
)
PAGES = tuple(sorted({path.relative_to(ROOT).as_posix() for each in PATTERNS for path in ROOT.glob(each)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of code: where it stands, under which heading, and what it says."""

    page: str
    line: int
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"

    @property
    def commands(self) -> Sequence[str]:
        """What is typed, line by line: without comments, and with continued lines put together."""
        whole = self.text.replace("\\\n", " ")
        lines = [" ".join(shlex.split(line, comments=True, posix=False)) for line in whole.splitlines()]
        return [line for line in lines if line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """Code within a sentence."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} `{self.text}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The blocks of a page (or of all that the pattern fits) in these languages, under one heading or anywhere."""

    page: str
    languages: tuple[str, ...]
    heading: str | None = None

    def blocks(self) -> Sequence[Block]:
        """The blocks that are meant, in the order in which they stand."""
        return [block for page in PAGES if fnmatchcase(page, self.page) for block in blocks_of(page) if block in self]

    def __contains__(self, block: Block) -> bool:
        return (
            fnmatchcase(block.page, self.page)
            and block.language in self.languages
            and self.heading in (None, block.heading)
        )


@cache
def blocks_of(page: str) -> Sequence[Block]:
    """Every block of the page, fenced or indented."""
    return tuple(blocks_in(page, (ROOT / page).read_text("utf-8")))


def blocks_in(page: str, text: str) -> Iterator[Block]:
    """Every block of a text that stands at `page`."""
    heading = ""
    tokens = _parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[place + 1].content
        elif token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.split() else ""
            line = (token.map or [0])[0] + 1
            yield Block(page=page, line=line, heading=heading, language=language, text=token.content)


@cache
def inline_of(page: str) -> Sequence[Inline]:
    """Every piece of code within a sentence, a table or a heading of the page."""
    return tuple(inline_in(page, (ROOT / page).read_text("utf-8")))


def inline_in(page: str, text: str) -> Iterator[Inline]:
    """Every piece of code within the sentences of a text that stands at `page`."""
    for token in _parse(text):
        line = (token.map or [0])[0] + 1
        for child in token.children or []:
            if child.type == "code_inline":
                yield Inline(page=page, line=line, text=child.content)
            line += child.type in ("softbreak", "hardbreak")


def _parse(text: str) -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)
