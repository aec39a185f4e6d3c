"""The system's clock and ids."""

import time
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils
import uuid_utils.compat


class SystemClock:
    """Tells UTC from the operating system."""

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The present moment; never before one told earlier, should the system's clock be set back."""
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest


def monotonic_us() -> int:
    """Microseconds of a clock that never runs backwards, and tells no time of day."""
    return time.monotonic_ns() // 1000


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of milliseconds, then a counter and randomness."""
    return uuid_utils.compat.uuid7()


def new_correlation_id() -> str:
    """A new id for a request that brought none."""
    return str(uuid_utils.uuid7())
