"""Keep every merchant to its rate limit, in every process, without asking anybody while a request waits.

A process judges by what it knows: what was owed over all processes when it last heard, and what it admitted itself
since. Every now and then it tells the others what it admitted and hears what is owed (`settle`). Between two of these
processes do not see each other, so together they may admit more than the limit: each of the others a burst at most, and
every one what is earned meanwhile. That is owed all the same, and earned before anything more is admitted.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from billing_core.domain.rate_limits import Admission, RateLimit
from billing_core.ports.rate_limits import SharedUsage

# Whoever is forgotten while it owes something is known to the other processes, and heard of again when it next asks.
MOST_MERCHANTS: Final = 10_000


class LimitRequests:
    """The rate limit of one process. `now_us` tells microseconds of a clock that never runs backwards."""

    def __init__(
        self,
        *,
        limit: RateLimit,
        usage: SharedUsage,
        now_us: Callable[[], int],
        most_merchants: int = MOST_MERCHANTS,
    ) -> None:
        self.limit = limit
        self.is_shared = True
        self._usage, self._now_us, self._most_merchants = usage, now_us, most_merchants
        # When each merchant will owe nothing any more; whoever was admitted last is last.
        self._free_at_us: OrderedDict[str, int] = OrderedDict()
        # What the other processes have not heard of yet, since when; 0 where only their part is of interest.
        self._untold: dict[str, int] = {}
        self._settled_at_us = now_us()

    def __len__(self) -> int:
        """How many merchants are remembered."""
        return len(self._free_at_us)

    def admit(self, merchant_id: str) -> Admission:
        """This will judge one request, and count it where it is admitted. Never raises and asks nobody."""
        now_us, limit, untold = self._now_us(), self.limit, self._untold
        owed_us = self._free_at_us.get(merchant_id, now_us) - now_us
        if owed_us < 0:
            owed_us = 0
        admission = limit.admit(owed_us)
        if admission.is_admitted:
            self._remember(merchant_id, now_us + owed_us + limit.spacing_us)
            untold[merchant_id] = untold.get(merchant_id, 0) + 1
        elif merchant_id not in untold:
            untold[merchant_id] = 0
        return admission

    async def settle(self) -> None:
        """This will tell the other processes what was admitted since, and take over what they admitted.

        Raises SharedUsageUnavailable where they cannot be told; then this process goes on by itself. What it tried to
        tell is not told again, as it may have been heard: admitting too much is better than refusing what is due.
        """
        untold, self._untold = self._untold, {}
        asked_at_us = self._now_us()
        within_us, self._settled_at_us = asked_at_us - self._settled_at_us, asked_at_us
        self._forget_the_idle(asked_at_us)
        if not untold and self.is_shared:
            return
        spacing_us = self.limit.spacing_us
        try:
            used_us = {each: many * spacing_us for each, many in untold.items()}
            owed_us = await self._usage.charge(used_us, within_us)
        except BaseException:
            self.is_shared = False
            raise
        self.is_shared = True
        for merchant_id, then_us in owed_us.items():
            if untold[merchant_id]:
                # What others admitted at the same time they may tell a moment later: it is asked for once more.
                self._untold.setdefault(merchant_id, 0)
            # Counted from when it was asked, this is never more than is truly owed, nor is what is known here: so the
            # larger of the two is right, and whatever the others have forgotten is not forgotten here.
            free_at_us = asked_at_us + then_us + self._untold.get(merchant_id, 0) * spacing_us
            if then_us and free_at_us > self._free_at_us.get(merchant_id, 0):
                self._remember(merchant_id, free_at_us)

    def _remember(self, merchant_id: str, free_at_us: int) -> None:
        remembered = self._free_at_us
        remembered[merchant_id] = free_at_us
        remembered.move_to_end(merchant_id)
        if len(remembered) > self._most_merchants:
            remembered.popitem(last=False)

    def _forget_the_idle(self, now_us: int) -> None:
        """Whoever owes nothing is not distinguished from whoever never asked."""
        remembered = self._free_at_us
        while remembered and next(iter(remembered.values())) <= now_us:
            remembered.popitem(last=False)
