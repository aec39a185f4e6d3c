"""How far the schema is, as a number, without loading what migrates it."""

from functools import cache
from pathlib import Path
from typing import Final

_VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"


@cache
def newest_revision() -> int:
    """The newest revision this program knows: each is a file named `v` and its four digits."""
    return max(int(path.name[1:5]) for path in _VERSIONS.glob("v[0-9][0-9][0-9][0-9]_*.py"))
