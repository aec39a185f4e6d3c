"""How answers are printed: tables for people at a terminal, tabs for pipes, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Sequence[object]

_WIDEST_FIGURES = 200


def print_json(document: Mapping[str, Any]) -> None:
    """This will print one document on one line."""
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Row], *, nothing: str, figures: int = 0) -> None:
    """This will print rows under their columns; where there are none, say `nothing` on stderr. On a terminal the last
    `figures` columns are aligned as figures are."""
    if not rows:
        say(nothing)
    elif sys.stdout.isatty():
        _draw(columns, rows, figures)
    else:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(_text(cell) for cell in row) + "\n")


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """This will print a heading and named values beneath it."""
    width = max(len(name) for name in facts) if facts else 0
    sys.stdout.write(f"{title}\n")
    for name, value in facts.items():
        sys.stdout.write(f"  {name:<{width}}  {_text(value)}\n")


def print_lines(*lines: str) -> None:
    """This will print lines as they are, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def say(sentence: str) -> None:
    """This will tell the person something that is not part of the answer, on stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """The text with nothing in it that steers a terminal or breaks a row: other services' words are printed too."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def moment(at: datetime | None) -> str:
    """A moment as people read it, to the second, in UTC; `-` for none."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def interval(length: timedelta) -> str:
    """A length of time as people read it: `1 day`, `2 hours`, `90 seconds`."""
    seconds = int(length.total_seconds())
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    return f"{seconds // size} {unit}{'' if seconds == size else 's'}"


def _draw(columns: Sequence[str], rows: Sequence[Row], figures: int) -> None:
    from rich.console import Console, ConsoleDimensions
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place >= len(columns) - figures else "left")
    for row in rows:
        table.add_row(*(Text(_text(cell), overflow="fold") for cell in row))
    # A figure that goes on in the next line is none: a terminal too narrow for the whole row breaks the row instead.
    console = Console()
    if figures:
        console.size = ConsoleDimensions(max(console.width, _WIDEST_FIGURES), console.height)
    console.print(table)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return moment(cell)
    return plain(str(cell))
