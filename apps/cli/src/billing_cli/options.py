"""Options many commands share, and how their values are read."""

import getpass
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from billing_core.domain.sales import Period

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on; needed where nobody can be asked.")]
Actor = Annotated[str | None, typer.Option(help="Who asks, for the history. Default: the OS user.")]
From = Annotated[
    str | None, typer.Option("--from", help="Created then or later: a day, a moment (RFC 3339) or so long ago (30d).")
]
To = Annotated[str | None, typer.Option("--to", help="Created before: a day, a moment or so long ago. Default: now.")]
Reason = Annotated[str, typer.Option(help="Why, for the history: one line.")]

_LONGEST_ACTOR, _LONGEST_REASON = 100, 1000
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,6})([smhd]?)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)


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


def read_instant(text: str) -> datetime:
    """This will read a moment, or how long ago one was. Raises `typer.BadParameter`."""
    return datetime.now(UTC) - read_duration(text) if _DURATION.fullmatch(text) else read_moment(text)


def read_time(text: str) -> datetime:
    """This will read a day (its first moment in UTC), a moment, or how long ago one was. Raises BadParameter."""
    if not _DAY.fullmatch(text):
        return read_instant(text)
    return read_moment(f"{text}T00:00:00Z")


def read_period(since: str | None, until: str | None, *, default: timedelta | None = None) -> "Period":
    """This will read from when to when, without the end; until now where none is given, and from `default` before the
    end (None: since ever). Raises `typer.BadParameter`."""
    from billing_core.domain.sales import Period

    end = datetime.now(UTC) if until is None else read_time(until)
    start = _SINCE_EVER if default is None else end - default
    try:
        return Period(since=start if since is None else read_time(since), until=end)
    except ValueError:
        raise typer.BadParameter("it must be earlier than --to, and --to later than it", param_hint="--from") from None


def read_reason(text: str) -> str:
    """This will read why something is done, on one line. Raises `typer.BadParameter`."""
    return _read_line(text, _LONGEST_REASON, "--reason")


def read_actor(name: str | None) -> str:
    """This will read who asks; the OS user where nobody is named. Raises `typer.BadParameter`."""
    if name is not None:
        return _read_line(name, _LONGEST_ACTOR, "--actor")
    try:
        return _read_line(getpass.getuser(), _LONGEST_ACTOR, "--actor")
    except (KeyError, OSError):  # a container's user without a name
        return f"uid-{os.getuid()}"


def read_id(text: str) -> UUID:
    """This will read an id. Raises `typer.BadParameter`."""
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no id; ids look like 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a") from None


def _read_line(text: str, longest: int, option: str) -> str:
    line = text.strip()
    # What is not printable, half a character too, could not be kept or would steer who reads the history.
    if not line or len(line) > longest or not line.isprintable():
        raise typer.BadParameter(f"write one line of 1 to {longest} characters", param_hint=option)
    return line
