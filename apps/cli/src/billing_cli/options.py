"""Options many commands share, and how their values are read."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,6})([smhd]?)")


def read_duration(text: str) -> timedelta:
    """This will read `90s`, `15m`, `1h` or `7d`; a bare number is seconds. Raises `typer.BadParameter`."""
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no duration; write for example 90s, 15m, 1h or 7d")
    return timedelta(**{_UNITS[found[2] or "s"]: int(found[1])})


def read_moment(text: str) -> datetime:
    """This will read an RFC 3339 moment with its offset. Raises `typer.BadParameter`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is no moment; write for example 2026-12-01T00:00:00Z")
    return moment.astimezone(UTC)


def read_id(text: str) -> UUID:
    """This will read an id. Raises `typer.BadParameter`."""
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no id; ids look like 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a") from None
