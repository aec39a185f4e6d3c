"""Time and ids that tests decide."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

MOMENT = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)


class FixedClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, now: datetime = MOMENT) -> None:
        self._now = now

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """This will move on and return the new moment. Raises ValueError for a step back."""
        return self.set(self._now + by)

    def set(self, now: datetime) -> datetime:
        """This will move to a later moment and return it. Raises ValueError for an earlier or naive one."""
        if now.tzinfo is None or now < self._now:
            raise ValueError("a clock never runs backwards, and is aware of its time zone")
        self._now = now.astimezone(UTC)
        return self._now


class SequentialIds:
    """Ids shaped like UUIDv7, in order and the same in every run. Several may share their `numbers`."""

    def __init__(self, clock: FixedClock | None = None, numbers: Iterator[int] | None = None) -> None:
        self._clock, self._numbers = clock or FixedClock(), numbers or count(1)

    def __call__(self) -> UUID:
        """The next id, stamped with the clock's time."""
        return uuid7(self._clock.now(), next(self._numbers))


def uuid7(at: datetime, number: int) -> UUID:
    """The UUIDv7 (RFC 9562) of the millisecond `at`, with `number` (below 2**62) in place of the random part."""
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | number)
