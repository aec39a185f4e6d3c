"""The rate limit's arithmetic: a burst at once, then one after the other as they are earned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.rate_limits import MINUTE_US, MOST_PER_MINUTE, Admission, RateLimit

LIMITS = st.builds(
    RateLimit, per_minute=st.integers(1, 10_000) | st.just(MOST_PER_MINUTE), burst=st.integers(1, 50) | st.just(10_000)
)


class Merchant:
    """What one merchant owes, as whoever limits it keeps it."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit, self.now_us, self.free_at_us = limit, 1_000, 0

    def asks(self) -> Admission:
        """One request, now."""
        owed_us = max(self.free_at_us - self.now_us, 0)
        admission = self.limit.admit(owed_us)
        if admission.is_admitted:
            self.free_at_us = self.now_us + owed_us + self.limit.spacing_us
        return admission


def test_a_burst_is_admitted_and_nothing_more() -> None:
    """Each answer says how many are left and when there will be one more."""
    merchant = Merchant(RateLimit(per_minute=60, burst=3))

    told = [merchant.asks() for _ in range(5)]

    second = 1_000_000
    assert told == [
        Admission(True, 2, second),
        Admission(True, 1, second),
        Admission(True, 0, second),
        Admission(False, 0, second),
        Admission(False, 0, second),
    ]


def test_what_is_earned_is_told_to_the_microsecond() -> None:
    """A part of a request is no request; the wait is for the rest of it."""
    merchant = Merchant(RateLimit(per_minute=60, burst=3))
    merchant.asks()
    merchant.now_us += 400_000

    assert merchant.asks() == Admission(True, 1, 600_000)


def test_whoever_owes_more_than_a_burst_earns_it_first() -> None:
    """As where several processes admitted too much together."""
    limit = RateLimit(per_minute=60, burst=3)

    assert limit.admit(5_000_000) == Admission(False, 0, 3_000_000)
    assert limit.admit(2_000_000) == Admission(True, 0, 1_000_000)
    assert limit.admit(2_000_001) == Admission(False, 0, 1)


@pytest.mark.parametrize(
    ("per_minute", "spacing_us"), [(6000, 10_000), (1, MINUTE_US), (7, 8_571_429), (MOST_PER_MINUTE, 60)]
)
def test_requests_are_spaced_evenly(per_minute: int, spacing_us: int) -> None:
    """Rounded up, so that a minute never brings one more."""
    limit = RateLimit(per_minute=per_minute, burst=4)

    assert (limit.spacing_us, limit.most_owed_us) == (spacing_us, 4 * spacing_us)


@pytest.mark.parametrize(
    ("per_minute", "burst"), [(0, 1), (1, 0), (-1, 1), (MOST_PER_MINUTE + 1, 1), (1, MOST_PER_MINUTE + 1)]
)
def test_a_limit_that_is_none_is_refused(per_minute: int, burst: int) -> None:
    """None at all is not written as a limit of nothing."""
    with pytest.raises(ValueError, match="1 to 1000000"):
        RateLimit(per_minute=per_minute, burst=burst)


def test_the_largest_limit_is_one() -> None:
    """And the smallest."""
    assert RateLimit(per_minute=MOST_PER_MINUTE, burst=MOST_PER_MINUTE).burst == MOST_PER_MINUTE
    assert RateLimit(per_minute=1, burst=1).most_owed_us == MINUTE_US


@given(limit=LIMITS, pauses_us=st.lists(st.integers(0, 3 * MINUTE_US) | st.integers(0, 1000), max_size=60))
def test_no_span_of_time_admits_more_than_a_burst_and_what_is_earned_in_it(
    limit: RateLimit, pauses_us: list[int]
) -> None:
    """Between any two requests that were admitted, whatever came before."""
    merchant, admitted_at_us = Merchant(limit), list[int]()
    for pause_us in pauses_us:
        merchant.now_us += pause_us
        if merchant.asks().is_admitted:
            admitted_at_us.append(merchant.now_us)

    for first, begun_us in enumerate(admitted_at_us):
        for last in range(first, len(admitted_at_us)):
            earned = (admitted_at_us[last] - begun_us) // limit.spacing_us
            assert last - first + 1 <= limit.burst + earned


@given(limit=LIMITS, pauses_us=st.lists(st.integers(0, MINUTE_US), max_size=30))
def test_what_is_told_comes_true(limit: RateLimit, pauses_us: list[int]) -> None:
    """As many as are left follow at once, and the next one after the wait and no sooner."""
    merchant = Merchant(limit)
    for pause_us in pauses_us:
        merchant.now_us += pause_us
        told = merchant.asks()

        soon = Merchant(limit)
        soon.now_us, soon.free_at_us = merchant.now_us, merchant.free_at_us
        assert [soon.asks().is_admitted for _ in range(min(told.left, 60))] == [True] * min(told.left, 60)
        if told.left < 60:
            soon.now_us += told.wait_us - 1
            assert not soon.asks().is_admitted
            soon.now_us += 1
            assert soon.asks().is_admitted
