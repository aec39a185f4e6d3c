"""The life of a trial: `active → expired | converted | ended`, once per platform account.

A trial is a half-open interval: it is over when `now >= ends_at` (contract §5).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from billing_core.domain.events import (
    Change,
    Fact,
    Origin,
    TrialConverted,
    TrialEnded,
    TrialExpired,
    TrialExpiring,
    TrialExtended,
    TrialRefused,
    TrialStarted,
    rfc3339,
)
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import TrialTerms
from billing_core.errors import InvalidTrialEnd, TrialNotRunning, TrialStillRunning


class TrialStatus(StrEnum):
    """Where a trial is in its life; `refused` is the record of one that was asked for in vain."""

    ACTIVE = "active"
    EXPIRED = "expired"
    CONVERTED = "converted"
    ENDED = "ended"
    REFUSED = "refused"


# Reminders, as most merchants know them: three days before the end of a trial that long, one day before a shorter
# one, none below a day (market.md §2.2, after Polar).
_REMINDERS = ((timedelta(days=3), timedelta(days=3)), (timedelta(days=1), timedelta(days=1)))
REMINDER_HORIZON = timedelta(days=3)
LONGEST_TRIAL = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A merchant's trial. `version` counts its changes."""

    trial_id: UUID
    merchant_id: str
    platform: str
    platform_account_id: str
    status: TrialStatus
    credits: int
    duration_days: int
    started_at: datetime
    ends_at: datetime
    converted_at: datetime | None = None
    ended_at: datetime | None = None
    reminded_at: datetime | None = None
    version: int = 0

    def __post_init__(self) -> None:
        if self.ends_at <= self.started_at and self.status is not TrialStatus.REFUSED:
            raise ValueError("a trial ends after it starts")
        if (self.status is TrialStatus.ACTIVE) != (self.ended_at is None):
            raise ValueError("exactly the trials that are over have an ended_at")

    def is_running(self, now: datetime) -> bool:
        """Whether the trial is active and its end has not come."""
        return self.status is TrialStatus.ACTIVE and now < self.ends_at

    def status_at(self, now: datetime) -> TrialStatus:
        """The status people should read: a trial past its end is over, even before the job has written it down."""
        due = self.status is TrialStatus.ACTIVE and now >= self.ends_at
        return TrialStatus.EXPIRED if due else self.status

    def expire(self, now: datetime, by: Origin) -> "TrialDecision":
        """This will expire an active trial whose end has come, and leave any other alone."""
        if self.status is not TrialStatus.ACTIVE or now < self.ends_at:
            return TrialDecision(self)
        fact = TrialExpired(**self._identity(), credits=self.credits, expired_at=now)
        return self._changed("expired", now, by, fact, status=TrialStatus.EXPIRED, ended_at=now)

    def note_purchase(self, purchase_id: UUID, terms: TrialTerms, now: datetime, by: Origin) -> "TrialDecision":
        """This will note the first purchase made while the trial runs, and end it where the terms say so."""
        if not self.is_running(now) or self.converted_at is not None:
            return TrialDecision(self)
        ends = terms.on_purchase == "convert"
        fact = TrialConverted(**self._identity(), converted_at=now, purchase_id=purchase_id, trial_ended=ends)
        over: dict[str, Any] = {"status": TrialStatus.CONVERTED, "ended_at": now} if ends else {}
        return self._changed("converted", now, by, fact, converted_at=now, **over)

    def remind(self, now: datetime, by: Origin) -> "TrialDecision":
        """This will announce, once, that the end is near."""
        length, left = self.ends_at - self.started_at, self.ends_at - now
        near = next((before for at_least, before in _REMINDERS if length >= at_least), None)
        if not self.is_running(now) or self.reminded_at is not None or near is None or left > near:
            return TrialDecision(self)
        fact = TrialExpiring(**self._identity(), ends_at=self.ends_at)
        return self._changed("expiring", now, by, fact, reminded_at=now)

    def extend(self, ends_at: datetime, now: datetime, by: Origin) -> "TrialDecision":
        """This will move the end of a running trial to a later moment, and leave any other trial alone."""
        if not self.is_running(now) or ends_at <= self.ends_at:
            return TrialDecision(self)
        fact = TrialExtended(**self._identity(), ends_at=ends_at, reason=by.reason)
        return self._changed("extended", now, by, fact, ends_at=ends_at, reminded_at=None)

    def end_after(self, longer: timedelta | datetime) -> datetime:
        """The end an extension leads to: so much after the present one, or that moment. Raises InvalidTrialEnd where
        it is no later one, or the trial would be longer than LONGEST_TRIAL."""
        ends_at = self.ends_at + min(longer, LONGEST_TRIAL) if isinstance(longer, timedelta) else longer
        if ends_at <= self.ends_at:
            raise InvalidTrialEnd(f"The trial runs until {rfc3339(self.ends_at)} already; give it a later end.")
        if ends_at > self.started_at + LONGEST_TRIAL:
            raise InvalidTrialEnd(f"A trial lasts {LONGEST_TRIAL.days} days at most, counted from its start.")
        return ends_at

    def end(self, now: datetime, by: Origin) -> "TrialDecision":
        """This will end a running trial before its time, and leave any other alone."""
        if not self.is_running(now):
            return TrialDecision(self)
        fact = TrialEnded(**self._identity(), ended_at=now, reason=by.reason)
        return self._changed("ended", now, by, fact, status=TrialStatus.ENDED, ended_at=now)

    def _identity(self) -> dict[str, Any]:
        return {"merchant_id": self.merchant_id, "platform": self.platform, "trial_id": self.trial_id}

    def _changed(self, what: str, now: datetime, by: Origin, fact: Fact, **values: Any) -> "TrialDecision":
        after = replace(self, version=self.version + 1, **values)
        change = Change(
            merchant_id=self.merchant_id,
            subject="trial",
            subject_id=self.trial_id,
            number=after.version,
            what=what,
            status_before=self.status if self.version else None,
            status_after=after.status,
            at=now,
            by=by,
            reason=by.reason,
            fact=fact,
        )
        return TrialDecision(after, (change,))


@dataclass(frozen=True, slots=True)
class TrialDecision:
    """A trial as it is after a decision, and the changes that made it so (none: nothing happened)."""

    trial: Trial
    changes: tuple[Change, ...] = ()


def start_trial(trial_id: UUID, merchant: Merchant, terms: TrialTerms, now: datetime, by: Origin) -> TrialDecision:
    """This will start the trial of a merchant whose platform account has not had one."""
    trial = _draft(trial_id, merchant, terms, now, TrialStatus.ACTIVE)
    fact = TrialStarted(
        **trial._identity(),  # noqa: SLF001 - the same module's own value
        credits=trial.credits,
        started_at=now,
        ends_at=trial.ends_at,
    )
    return trial._changed("started", now, by, fact)  # noqa: SLF001


def must_run(trial: Trial | None, merchant_id: str, now: datetime) -> Trial:
    """The merchant's newest trial, which must be running. Raises TrialNotRunning."""
    if trial is None or not trial.is_running(now):
        raise TrialNotRunning(merchant_id, None if trial is None else trial.status_at(now))
    return trial


def make_room(trials: Iterable[Trial], now: datetime, by: Origin) -> tuple[TrialDecision, ...]:
    """This will expire the active trials of a platform account, so that it may have another one. Raises
    TrialStillRunning where the end of one has not come."""
    decisions = tuple(trial.expire(now, by) for trial in trials)
    for each in decisions:
        if each.trial.status is TrialStatus.ACTIVE:
            raise TrialStillRunning(each.trial.merchant_id)
    return decisions


def refuse_trial(trial_id: UUID, merchant: Merchant, terms: TrialTerms, now: datetime, by: Origin) -> TrialDecision:
    """This will record that a merchant asked for a trial its platform account has already had."""
    trial = _draft(trial_id, merchant, terms, now, TrialStatus.REFUSED)
    reason = "the platform account has had its trial under another merchant id"
    fact = TrialRefused(**trial._identity(), refused_at=now, reason=reason)  # noqa: SLF001
    return trial._changed("refused", now, by, fact)  # noqa: SLF001


def _draft(trial_id: UUID, merchant: Merchant, terms: TrialTerms, now: datetime, status: TrialStatus) -> Trial:
    return Trial(
        trial_id=trial_id,
        merchant_id=merchant.merchant_id,
        platform=merchant.platform,
        platform_account_id=merchant.platform_account_id,
        status=status,
        credits=terms.credits,
        duration_days=terms.duration_days,
        started_at=now,
        ends_at=now + terms.duration,
        ended_at=None if status is TrialStatus.ACTIVE else now,
    )
