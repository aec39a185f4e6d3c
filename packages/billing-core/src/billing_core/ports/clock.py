"""Time and identity, which the domain never makes itself."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, aware and in UTC; it never runs backwards within one process."""
        ...


class NewId(Protocol):
    """Makes ids."""

    def __call__(self) -> UUID:
        """A new UUIDv7; later ids sort after earlier ones of the same process."""
        ...
