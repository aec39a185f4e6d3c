"""Advisories that somebody looked at: each with a reason, and a day on which it is looked at again."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FILE = Path(__file__).with_name("accepted.toml")
LONGEST_DAYS = 180
_FIELDS = {"id": str, "package": str, "reason": str, "until": date}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One advisory about one package that need not be acted upon until a day."""

    id: str
    package: str
    reason: str
    until: date


def read_accepted(today: date, path: Path = FILE) -> Sequence[Accepted]:
    """This will read what was accepted. Raises ValueError, naming every entry that is not whole, has run out, or
    reaches too far ahead."""
    entries = tomllib.loads(path.read_text("utf-8")).get("accepted", [])
    faults = [f"{path.name}, entry {number}: {fault}" for number, entry in enumerate(entries, 1)
              if (fault := _fault(entry, today))]  # fmt: skip
    if faults:
        raise ValueError("\n".join(faults))
    return [Accepted(**entry) for entry in entries]


def _fault(entry: dict[str, object], today: date) -> str | None:
    if entry.keys() != _FIELDS.keys():
        return f"has {', '.join(sorted(entry))}; it must have {', '.join(_FIELDS)}"
    wrong = [name for name, kind in _FIELDS.items() if type(entry[name]) is not kind or not entry[name]]
    if wrong:
        return f"{', '.join(wrong)} must be filled in (until is a date)"
    until = entry["until"]
    assert isinstance(until, date)  # noqa: S101 - looked at above; tells the type checker
    if until < today:
        return f"{entry['id']} ran out on {until}: mend it, or look again"
    if (until - today).days > LONGEST_DAYS:
        return f"{entry['id']} reaches too far: {LONGEST_DAYS} days at most"
    return None
