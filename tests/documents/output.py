"""What a page shows of a command's output, held against what the command says."""

import re


def first_missing(shown: str, said: str) -> str | None:
    """The first line a page shows that the output does not have in that place; None where all are there.

    `…` stands for anything within a line, any spaces for one, and more lines may come between those shown.
    """
    rest = iter(said.splitlines())
    for line in filter(str.strip, shown.splitlines()):
        pattern = _pattern(line)
        if not any(pattern.fullmatch(" ".join(each.split())) for each in rest):
            return line
    return None


def _pattern(line: str) -> "re.Pattern[str]":
    return re.compile(".*".join(map(re.escape, " ".join(line.split()).split("…"))))
