"""What errors carry for whoever waits: a wait that can be believed."""

from math import inf, nan

import pytest

from billing_core.errors import LONGEST_RETRY_AFTER_S, PlatformThrottled


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("told", "taken"),
        [
            (None, None),
            (nan, None),
            (-1.0, 0.0),
            (-inf, 0.0),
            (0.0, 0.0),
            (2.5, 2.5),
            (LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
            (LONGEST_RETRY_AFTER_S + 1, LONGEST_RETRY_AFTER_S),
            (inf, LONGEST_RETRY_AFTER_S),
        ],
    )
    def test_a_platforms_wait_is_between_nothing_and_an_hour(self, told: float | None, taken: float | None) -> None:
        """Whatever a header said; what is no number was not told."""
        assert PlatformThrottled("sandbox", "slow down", retry_after_s=told).retry_after_s == taken
