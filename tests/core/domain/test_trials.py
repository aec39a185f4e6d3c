"""The life of a trial: once, for its days, over at `ends_at` exactly."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from billing_core.domain.events import (
    Origin,
    TrialConverted,
    TrialEnded,
    TrialExpired,
    TrialExpiring,
    TrialExtended,
    TrialRefused,
    TrialStarted,
)
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import TrialTerms
from billing_core.domain.trials import (
    Trial,
    TrialDecision,
    TrialStatus,
    make_room,
    must_run,
    refuse_trial,
    start_trial,
)
from billing_core.errors import InvalidTrialEnd, TrialNotRunning, TrialStillRunning

NOW = datetime(2026, 3, 20, 9, 30, tzinfo=UTC)
TICK = timedelta(microseconds=1)
BY = Origin(actor="test", correlation_id="c-1", reason="a test")
TRIAL_ID, PURCHASE_ID = UUID(int=1), UUID(int=2)
MERCHANT = Merchant(merchant_id="m-1", platform="sandbox", platform_account_id="shop-1", registered_at=NOW)


def _running(days: int = 14, **terms: Any) -> Trial:
    return start_trial(TRIAL_ID, MERCHANT, TrialTerms(duration_days=days, **terms), NOW, BY).trial


class TestStartTrial:
    def test_starts_at_once_and_tells_credits_and_end(self) -> None:
        """The fact carries what the merchant has and until when."""
        decision = start_trial(TRIAL_ID, MERCHANT, TrialTerms(), NOW, BY)

        change = decision.changes[0]
        assert change.fact == TrialStarted(
            merchant_id="m-1",
            platform="sandbox",
            trial_id=TRIAL_ID,
            credits=500,
            started_at=NOW,
            ends_at=NOW + timedelta(days=14),
        )
        assert (change.number, change.status_before, change.status_after) == (1, None, "active")
        assert (change.what, change.at) == ("started", NOW)
        assert decision.trial.is_running(NOW)
        assert decision.trial.platform_account_id == "shop-1"

    def test_a_refused_trial_never_runs(self) -> None:
        """A second trial of a shop is recorded as refused, and is no trial."""
        decision = refuse_trial(TRIAL_ID, MERCHANT, TrialTerms(), NOW, BY)

        (change,) = decision.changes
        assert (change.what, change.at, change.status_after) == ("refused", NOW, "refused")
        assert isinstance(change.fact, TrialRefused)
        assert "another merchant id" in change.fact.reason
        assert decision.trial.status_at(NOW) is TrialStatus.REFUSED
        assert not decision.trial.is_running(NOW)
        assert decision.trial.expire(decision.trial.ends_at, BY).changes == ()


class TestExpire:
    def test_a_trial_runs_until_one_microsecond_before_its_end(self) -> None:
        """The interval is half open (market.md 28)."""
        trial = _running()

        assert trial.is_running(trial.ends_at - TICK)
        assert trial.status_at(trial.ends_at - TICK) is TrialStatus.ACTIVE
        assert trial.expire(trial.ends_at - TICK, BY).changes == ()

    def test_a_trial_is_over_exactly_at_its_end(self) -> None:
        """At `ends_at` it is expired, to readers even before the job has written it down (market.md 28)."""
        trial = _running()

        assert not trial.is_running(trial.ends_at)
        assert trial.status_at(trial.ends_at) is TrialStatus.EXPIRED
        decision = trial.expire(trial.ends_at, BY)
        assert decision.trial.status is TrialStatus.EXPIRED
        assert decision.changes[0].fact == TrialExpired(
            merchant_id="m-1", platform="sandbox", trial_id=TRIAL_ID, credits=500, expired_at=trial.ends_at
        )

    def test_a_day_of_clock_change_does_not_move_the_end(self) -> None:
        """Fourteen days are 14 × 24 hours, whatever local clocks do in between (market.md 28)."""
        winter, summer = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))
        trial = start_trial(TRIAL_ID, MERCHANT, TrialTerms(), NOW.astimezone(winter), BY).trial

        assert trial.ends_at - trial.started_at == timedelta(hours=14 * 24)
        assert trial.expire((trial.ends_at - TICK).astimezone(summer), BY).changes == ()
        assert trial.expire(trial.ends_at.astimezone(summer), BY).changes != ()

    def test_a_moment_in_another_zone_is_the_same_moment(self) -> None:
        """A storage session that is not in UTC expires nothing early."""
        elsewhere = timezone(timedelta(hours=14))
        trial = replace(_running(), ends_at=_running().ends_at.astimezone(elsewhere))

        assert trial.status_at(NOW + timedelta(days=14)) is TrialStatus.EXPIRED
        assert trial.status_at(NOW + timedelta(days=14) - TICK) is TrialStatus.ACTIVE

    def test_expiring_twice_tells_it_once(self) -> None:
        """A job that runs twice changes nothing the second time (market.md 29)."""
        expired = _running().expire(NOW + timedelta(days=17), BY).trial

        again = expired.expire(NOW + timedelta(days=18), BY)
        assert (again.trial, again.changes) == (expired, ())

    def test_a_trial_extended_in_the_meantime_is_left_alone(self) -> None:
        """What counts is the end as it is now, not as it was when the job looked (market.md 30)."""
        trial = _running()
        extended = trial.extend(trial.ends_at + timedelta(days=1), NOW, BY).trial

        assert extended.expire(trial.ends_at, BY).changes == ()


class TestNotePurchase:
    def test_the_first_purchase_is_noted_and_the_trial_runs_on(self) -> None:
        """By default a purchase does not take the trial's days away."""
        decision = _running().note_purchase(PURCHASE_ID, TrialTerms(), NOW, BY)

        assert decision.trial.status is TrialStatus.ACTIVE
        assert decision.trial.converted_at == NOW
        fact = decision.changes[0].fact
        assert isinstance(fact, TrialConverted)
        assert (fact.purchase_id, fact.trial_ended) == (PURCHASE_ID, False)

    def test_only_the_first_purchase_is_noted(self) -> None:
        """A merchant converts once."""
        noted = _running().note_purchase(PURCHASE_ID, TrialTerms(), NOW, BY).trial

        assert noted.note_purchase(UUID(int=3), TrialTerms(), NOW + TICK, BY).changes == ()

    def test_a_converted_trial_never_expires_where_the_terms_end_it(self) -> None:
        """With "convert" the purchase ends the trial, and no end date changes that later (market.md 30, 32)."""
        decision = _running().note_purchase(PURCHASE_ID, TrialTerms(on_purchase="convert"), NOW, BY)

        assert decision.trial.status is TrialStatus.CONVERTED
        assert decision.trial.status_at(NOW + timedelta(days=99)) is TrialStatus.CONVERTED
        assert decision.trial.expire(NOW + timedelta(days=99), BY).changes == ()
        fact = decision.changes[0].fact
        assert isinstance(fact, TrialConverted)
        assert fact.trial_ended is True

    def test_a_purchase_after_the_end_is_no_conversion(self) -> None:
        """Even before the job has run, a trial past its end is over."""
        trial = _running()

        assert trial.note_purchase(PURCHASE_ID, TrialTerms(), trial.ends_at, BY).changes == ()


class TestRemind:
    @pytest.mark.parametrize(("days", "before"), [(14, 3), (3, 3), (2, 1), (1, 1)])
    def test_reminds_three_days_before_a_long_trials_end_and_one_before_a_short_ones(
        self, days: int, before: int
    ) -> None:
        """Exactly at that distance, not a moment sooner."""
        trial = _running(days)
        moment = trial.ends_at - timedelta(days=before)

        assert moment == NOW or trial.remind(moment - TICK, BY).changes == ()
        reminded = trial.remind(moment, BY)
        assert isinstance(reminded.changes[0].fact, TrialExpiring)
        assert reminded.trial.status is TrialStatus.ACTIVE

    def test_reminds_once(self) -> None:
        """The next run says nothing."""
        reminded = _running(1).remind(NOW, BY).trial

        assert reminded.remind(NOW + TICK, BY).changes == ()

    def test_never_reminds_of_a_trial_shorter_than_a_day(self) -> None:
        """It would be over before the mail is read."""
        short = replace(_running(1), ends_at=NOW + timedelta(hours=23))

        assert short.remind(NOW, BY).changes == ()

    def test_never_reminds_of_a_trial_that_is_over(self) -> None:
        """Past its end there is nothing to remind of."""
        trial = _running()

        assert trial.remind(trial.ends_at, BY).changes == ()
        assert trial.end(NOW, BY).trial.remind(trial.ends_at - TICK, BY).changes == ()

    def test_an_extended_trial_is_reminded_of_its_new_end(self) -> None:
        """The second reminder is another event than the first."""
        first = _running(3).remind(NOW, BY)
        later = NOW + timedelta(days=10)
        extended = first.trial.extend(later, NOW, BY)
        second = extended.trial.remind(later - timedelta(days=3), BY)

        assert second.changes[0].event_id != first.changes[0].event_id


class TestExtendAndEnd:
    def test_extends_to_a_later_end(self) -> None:
        """The new end is told with the operator's reason."""
        later = NOW + timedelta(days=20)

        decision = _running().extend(later, NOW, BY)

        assert decision.trial.ends_at == later
        assert decision.changes[0].fact == TrialExtended(
            merchant_id="m-1", platform="sandbox", trial_id=TRIAL_ID, ends_at=later, reason="a test"
        )

    def test_never_shortens(self) -> None:
        """An end that is not later changes nothing."""
        trial = _running()

        assert trial.extend(trial.ends_at, NOW, BY).changes == ()

    def test_never_wakes_a_trial_that_is_over(self) -> None:
        """Extending is for running trials only."""
        trial = _running()

        assert trial.extend(trial.ends_at + timedelta(days=9), trial.ends_at, BY).changes == ()

    def test_ends_a_running_trial_once(self) -> None:
        """An ended trial is ended for good."""
        ended = _running().end(NOW + TICK, BY)

        assert ended.trial.status is TrialStatus.ENDED
        assert ended.changes[0].fact == TrialEnded(
            merchant_id="m-1", platform="sandbox", trial_id=TRIAL_ID, ended_at=NOW + TICK, reason="a test"
        )
        assert ended.trial.end(NOW + 2 * TICK, BY).changes == ()


class TestEndAfter:
    @pytest.mark.parametrize("longer", [timedelta(days=3), NOW + timedelta(days=17)])
    def test_is_counted_from_the_end_there_is_or_is_the_moment_itself(self, longer: timedelta | datetime) -> None:
        """Three days more are three days more, however much of the trial is over."""
        assert _running().end_after(longer) == NOW + timedelta(days=17)

    @pytest.mark.parametrize("longer", [timedelta(0), timedelta(days=-1), NOW + timedelta(days=14), NOW])
    def test_an_end_that_is_no_later_one_is_refused(self, longer: timedelta | datetime) -> None:
        """The refusal tells the end there is."""
        with pytest.raises(InvalidTrialEnd, match="until 2026-04-03T09:30:00"):
            _running().end_after(longer)

    @pytest.mark.parametrize(
        "longer",
        [
            timedelta.max,
            timedelta(days=3636) + TICK,
            NOW + timedelta(days=3650) + TICK,
            datetime.max.replace(tzinfo=UTC),
        ],
    )
    def test_no_trial_becomes_longer_than_the_longest(self, longer: timedelta | datetime) -> None:
        """However far away the end is that somebody typed."""
        with pytest.raises(InvalidTrialEnd, match="3650 days at most"):
            _running().end_after(longer)

    def test_the_longest_is_allowed(self) -> None:
        """To the microsecond, and from a start in any zone."""
        assert _running().end_after(timedelta(days=3636)) == _running().end_after(NOW + timedelta(days=3650))


class TestMustRun:
    def test_a_running_trial_is_given_back(self) -> None:
        """One microsecond before its end it still is one."""
        trial = _running()

        assert must_run(trial, "m-1", trial.ends_at - TICK) is trial

    @pytest.mark.parametrize(
        ("trial", "status", "remedy"),
        [
            (None, None, "which it does itself"),
            (_running(), "expired", "billing trials regrant m-1"),
            (_running().end(NOW, BY).trial, "ended", "is ended"),
            (refuse_trial(TRIAL_ID, MERCHANT, TrialTerms(), NOW, BY).trial, "refused", "is refused"),
        ],
        ids=["none", "past its end", "ended", "refused"],
    )
    def test_any_other_is_refused_with_how_it_stands(
        self, trial: Trial | None, status: str | None, remedy: str
    ) -> None:
        """And with what can be done."""
        with pytest.raises(TrialNotRunning, match=remedy) as refused:
            must_run(trial, "m-1", NOW + timedelta(days=14))

        assert (refused.value.merchant_id, refused.value.status) == ("m-1", status)


class TestMakeRoom:
    def test_what_is_over_is_written_down_as_expired(self) -> None:
        """The job may not have been there yet."""
        trial = _running()

        (decision,) = make_room([trial], trial.ends_at, BY)

        assert (decision.trial.status, [each.what for each in decision.changes]) == (TrialStatus.EXPIRED, ["expired"])

    def test_where_there_is_nothing_there_is_room(self) -> None:
        """Nothing is decided."""
        assert make_room([], NOW, BY) == ()

    def test_a_running_one_is_in_the_way(self) -> None:
        """Whoever else has it: the refusal names the merchant."""
        other = replace(_running(), merchant_id="m-2")

        with pytest.raises(TrialStillRunning, match="billing trials extend m-2") as refused:
            make_room([other], other.ends_at - TICK, BY)

        assert refused.value.merchant_id == "m-2"


class TestHistory:
    @pytest.mark.parametrize(
        ("what", "decide", "days"),
        [
            ("converted", lambda trial, now: trial.note_purchase(PURCHASE_ID, TrialTerms(), now, BY), 1),
            ("expiring", lambda trial, now: trial.remind(now, BY), 12),
            ("extended", lambda trial, now: trial.extend(now + timedelta(days=30), now, BY), 2),
            ("ended", lambda trial, now: trial.end(now, BY), 3),
            ("expired", lambda trial, now: trial.expire(now, BY), 14),
        ],
    )
    def test_names_what_happened_and_when(
        self, what: str, decide: Callable[[Trial, datetime], TrialDecision], days: int
    ) -> None:
        """Whoever reads it later sees the trial's life in these words."""
        now = NOW + timedelta(days=days)

        (change,) = decide(_running(), now).changes

        assert (change.what, change.at, change.reason, change.by) == (what, now, "a test", BY)


class TestTrial:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"ends_at": NOW},
            {"ends_at": NOW - TICK},
            {"ended_at": NOW},
            {"status": TrialStatus.EXPIRED},
            {"status": TrialStatus.CONVERTED},
        ],
    )
    def test_cannot_be_built_against_its_own_rules(self, wrong: dict[str, Any]) -> None:
        """A trial ends after it starts, and exactly those that are over have ended."""
        with pytest.raises(ValueError, match="trial"):
            replace(_running(), **wrong)
