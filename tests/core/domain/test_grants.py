"""Goodwill credits: what a grant is, what repeats it, and how much an operator may give within a day."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from billing_core.domain.events import CreditsGranted
from billing_core.domain.grants import LONGEST_REASON
from billing_core.domain.packs import MAX_CREDITS
from billing_core.errors import GrantCapExceeded, GrantIdReused
from billing_core.testing import a_merchant, an_origin
from billing_core.testing.builders import a_grant, an_id
from billing_core.testing.clock import MOMENT

BY = an_origin(actor="operator:ada", reason="sorry for the outage", correlation_id="c-9")


class TestCreditGrant:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"credits": 0},
            {"credits": -5},
            {"credits": MAX_CREDITS + 1},
            {"reason": ""},
            {"reason": "r" * (LONGEST_REASON + 1)},
            {"actor": ""},
        ],
        ids=str,
    )
    def test_cannot_be_built_against_its_own_rules(self, wrong: dict[str, Any]) -> None:
        """Some credits, from somebody, for a reason."""
        with pytest.raises(ValueError, match="grant"):
            a_grant(**wrong)

    def test_the_bounds_themselves_are_allowed(self) -> None:
        """One credit and the most there are; the longest reason."""
        assert a_grant(credits=1, reason="r").credits == 1
        assert len(a_grant(credits=MAX_CREDITS, reason="r" * LONGEST_REASON).reason) == LONGEST_REASON


class TestRepeats:
    def test_the_same_credits_for_the_same_merchant_repeat_it(self) -> None:
        """Whoever asks, whenever, and however they word it."""
        grant = a_grant()

        grant.must_be_repeated_by(replace(grant, actor="operator:bob", reason="again"))

    @pytest.mark.parametrize("other", [{"credits": 51}, {"merchant_id": "m-2"}], ids=str)
    def test_anything_else_under_its_id_is_refused(self, other: dict[str, Any]) -> None:
        """With what the id gave."""
        grant = a_grant(a_merchant("m-1"))

        with pytest.raises(GrantIdReused, match="gave 50 credits to m-1") as refused:
            grant.must_be_repeated_by(replace(grant, **other))

        assert (refused.value.merchant_id, refused.value.granted) == ("m-1", 50)


class TestCap:
    @pytest.mark.parametrize("granted", [50, 999, 1000])
    def test_a_grant_up_to_the_cap_is_allowed(self, granted: int) -> None:
        """The last credit of the day too."""
        a_grant().must_keep_within(1000, granted)

    @pytest.mark.parametrize(("granted", "left"), [(1001, 49), (1050, 0), (5000, 0)])
    def test_one_beyond_it_is_refused_with_what_is_left(self, granted: int, left: int) -> None:
        """Also where the cap was lowered since."""
        with pytest.raises(GrantCapExceeded, match=f"operator:ada may grant {left} more now") as refused:
            a_grant().must_keep_within(1000, granted)

        assert (refused.value.actor, refused.value.cap, refused.value.left) == ("operator:ada", 1000, left)

    def test_a_cap_of_none_lets_nobody_grant(self) -> None:
        """Goodwill is off."""
        with pytest.raises(GrantCapExceeded):
            a_grant(credits=1).must_keep_within(0, 1)


class TestChange:
    def test_tells_the_credits_and_who_gave_them(self) -> None:
        """The event has all a Credit Service needs, the history who and why."""
        grant = a_grant(a_merchant("m-1"), grant_id=UUID(int=7))

        change = grant.change(BY)

        assert change.fact == CreditsGranted(
            merchant_id="m-1",
            platform="sandbox",
            grant_id=UUID(int=7),
            credits=50,
            reason="sorry for the outage",
            actor="operator:ada",
        )
        assert (change.subject, change.subject_id, change.number, change.what) == ("grant", UUID(int=7), 1, "granted")
        assert (change.status_before, change.status_after, change.at, change.by) == (None, "granted", MOMENT, BY)
        assert change.reason == "sorry for the outage"

    def test_its_event_id_comes_from_the_grant_id_alone(self) -> None:
        """The same grant has one event for ever, another one another."""
        grant = a_grant()

        assert grant.change(BY).event_id == replace(grant, credits=1).change(an_origin()).event_id
        assert grant.change(BY).event_id != replace(grant, grant_id=an_id()).change(BY).event_id
