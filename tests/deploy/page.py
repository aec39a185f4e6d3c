"""The commands of docs/deployment.md, as words."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "deployment.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One line that is typed: variables before it, its words, and the file that what it prints goes to."""

    variables: dict[str, str]
    words: Sequence[str]
    into: str | None = None

    def __str__(self) -> str:
        return shlex.join(self.words)

    def values(self, option: str) -> list[str]:
        """What is given to an option, each time it is: `--option value` or `--option=value`."""
        joined = [word.partition("=")[2] for word in self.words if word.startswith(f"{option}=")]
        return joined + [self.words[at + 1] for at, word in enumerate(self.words) if word == option]


def commands(*programs: str) -> list[Command]:
    """Every line of the page's shell blocks that runs one of these."""
    return [each for each in _commands() if each.words[0] in programs]


def languages() -> set[str]:
    """What its blocks are written in."""
    return {language for language, _ in _BLOCK.findall(PAGE.read_text("utf-8"))}


def programs_of_blocks() -> list[set[str]]:
    """The programs that each shell block runs."""
    return [{each.words[0] for each in _read(text)} for language, text in _blocks() if language == "sh"]


def _blocks() -> list[tuple[str, str]]:
    return _BLOCK.findall(PAGE.read_text("utf-8"))


def _commands() -> Iterator[Command]:
    for language, text in _blocks():
        if language == "sh":
            yield from _read(text)


def _read(text: str) -> Iterator[Command]:
    for line in text.splitlines():
        words = shlex.split(line)
        variables = {}
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, variables[name] = words.pop(0).partition("=")
        into = None
        if words[-2:-1] == [">"]:
            *words, _, into = words
        yield Command(variables=variables, words=words, into=into)
