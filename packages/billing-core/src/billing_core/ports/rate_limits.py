"""What all processes together let a merchant do. No truth: it may be away, and may forget."""

from collections.abc import Mapping
from typing import Protocol


class SharedUsage(Protocol):
    """What merchants owe (see `billing_core.domain.rate_limits`), the requests of every process counted.

    Time passes there by one clock for all processes: what is owed becomes less by a microsecond each microsecond, down
    to nothing. Whoever owes nothing takes no room.
    """

    async def charge(self, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        """This will add what each merchant used within the last `within_us` microseconds, as if it had used it all at
        their beginning, and tell what it owes now. 0 only asks; no merchant at all only asks whether it can be told.

        So it is never more than is truly owed, and less by no more than that time. Each merchant's sum is exact
        however many processes charge at once. Raises SharedUsageUnavailable where it cannot be told; then it is not
        known whether it was added.
        """
        ...
