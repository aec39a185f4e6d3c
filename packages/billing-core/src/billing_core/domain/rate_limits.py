"""How often a merchant may ask: so many requests a minute, and so many of them at once.

It is the generic cell rate algorithm (ITU-T I.371, a token bucket without tokens). All there is to know about a
merchant is what it owes: how long it must not ask until everything it used is earned again. Each request adds the time
one request earns itself in; one that would make it owe more than a burst is refused, and adds nothing. So in any span
of time a merchant is admitted at most a burst and what is earned in that span.

Times are whole microseconds: sums of them are exact.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

MINUTE_US: Final = 60_000_000
MOST_PER_MINUTE: Final = 1_000_000


class Admission(NamedTuple):
    """Whether a request is admitted, how many more could follow at once, and when there will be one more than that
    (where it is refused: when it would be admitted). No dataclass: every request makes one."""

    is_admitted: bool
    left: int
    wait_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`per_minute` requests, `burst` of them at once."""

    per_minute: int
    burst: int
    spacing_us: int = field(init=False)  # what one request adds to what a merchant owes
    most_owed_us: int = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.per_minute <= MOST_PER_MINUTE or not 1 <= self.burst <= MOST_PER_MINUTE:
            raise ValueError(f"a rate limit is of 1 to {MOST_PER_MINUTE} requests, at once and a minute")
        spacing_us = -(-MINUTE_US // self.per_minute)  # rounded up: never more than promised
        object.__setattr__(self, "spacing_us", spacing_us)
        object.__setattr__(self, "most_owed_us", spacing_us * self.burst)

    def admit(self, owed_us: int) -> Admission:
        """This will judge one request of a merchant that owes so much, admitted ones before it included."""
        earned_us = self.most_owed_us - owed_us
        if earned_us < self.spacing_us:
            return Admission(False, 0, self.spacing_us - earned_us)
        left, part_us = divmod(earned_us - self.spacing_us, self.spacing_us)
        return Admission(True, left, self.spacing_us - part_us)
