"""What merchants used over all processes, in memory."""

from collections.abc import Callable, Mapping

from billing_core.errors import SharedUsageUnavailable


class InMemoryUsage:
    """What merchants owe by the clock of `now_us`, for every process that is given this object. While `is_down` nothing
    can be told."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._free_at_us: dict[str, int] = {}
        self.is_down = False

    async def charge(self, used_us: Mapping[str, int], within_us: int) -> Mapping[str, int]:
        """See `SharedUsage.charge`."""
        if self.is_down:
            raise SharedUsageUnavailable("what was used cannot be told")
        now_us = self._now_us()
        self._free_at_us = {each: free_at_us for each, free_at_us in self._free_at_us.items() if free_at_us > now_us}
        began_us = now_us - within_us
        for merchant_id, used in used_us.items():
            if used:
                self._free_at_us[merchant_id] = max(self._free_at_us.get(merchant_id, began_us), began_us) + used
        return {each: max(self._free_at_us.get(each, now_us) - now_us, 0) for each in used_us}

    def lose_everything(self) -> None:
        """This will forget what everybody owes, as a cache may."""
        self._free_at_us.clear()

    def __len__(self) -> int:
        """How many merchants take room."""
        return len(self._free_at_us)
