"""A trial through any life: what must hold after every step."""

from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from billing_core.domain.events import Change, TrialConverted, TrialExpired, TrialStarted
from billing_core.domain.packs import TrialTerms
from billing_core.domain.trials import Trial, TrialDecision, TrialStatus, start_trial
from billing_core.testing import MOMENT, a_merchant, an_origin

MERCHANT, BY = a_merchant(), an_origin()
# Steps that hit the boundaries of trials of 1 to 4 days exactly, and miss them by one microsecond on either side.
STEPS = st.sampled_from(
    [
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(hours=24, microseconds=-1),
        timedelta(days=1),
        timedelta(days=3),
    ]
)


class TrialMachine(RuleBasedStateMachine):
    """One trial, its clock and everything that was ever recorded of it."""

    trial: Trial
    terms: TrialTerms

    def __init__(self) -> None:
        super().__init__()
        self.now, self.changes, self.extensions = MOMENT, list[Change](), timedelta(0)

    @initialize(days=st.integers(1, 4), ends=st.booleans())
    def start(self, days: int, ends: bool) -> None:
        """This will start the trial."""
        self.terms = TrialTerms(duration_days=days, on_purchase="convert" if ends else "keep")
        self._take(start_trial(UUID(int=1), MERCHANT, self.terms, self.now, BY))

    @rule(step=STEPS)
    def time_passes(self, step: timedelta) -> None:
        """This will move the clock."""
        self.now += step

    @rule()
    def expire(self) -> None:
        """This will let the job run: it ends exactly the active trials whose end has come."""
        due = self.trial.status is TrialStatus.ACTIVE and self.now >= self.trial.ends_at
        self._take(self.trial.expire(self.now, BY), expect_change=due)

    @rule(purchase=st.integers(1, 3))
    def purchase_completes(self, purchase: int) -> None:
        """This will note a purchase: the first one of a running trial counts."""
        first = self.trial.is_running(self.now) and self.trial.converted_at is None
        self._take(self.trial.note_purchase(UUID(int=purchase), self.terms, self.now, BY), expect_change=first)

    @rule()
    def remind(self) -> None:
        """This will let the reminder job run."""
        self._take(self.trial.remind(self.now, BY))

    @rule(by=st.sampled_from([timedelta(days=-1), timedelta(0), timedelta(days=1)]))
    def extend(self, by: timedelta) -> None:
        """This will let an operator extend: only a running trial, only to a later end."""
        wanted = self.trial.is_running(self.now) and by > timedelta(0)
        self._take(self.trial.extend(self.trial.ends_at + by, self.now, BY), expect_change=wanted)
        self.extensions += by if wanted else timedelta(0)

    @rule()
    def end(self) -> None:
        """This will let an operator end the trial: only a running one."""
        running = self.trial.is_running(self.now)
        self._take(self.trial.end(self.now, BY), expect_change=running)

    @invariant()
    def versions_have_no_gaps(self) -> None:
        """Changes are numbered 1, 2, 3 and the trial's version is the last of them."""
        numbers = [change.number for change in self.changes]
        assert numbers == list(range(1, len(numbers) + 1))
        assert self.trial.version == len(numbers)

    @invariant()
    def history_is_one_chain(self) -> None:
        """Each change starts where the one before ended."""
        befores = [change.status_before for change in self.changes]
        assert befores == [None, *(change.status_after for change in self.changes)][: len(befores)]

    @invariant()
    def once_only_facts_are_told_once(self) -> None:
        """Started, converted, expired and ended are true once; no two events share an id."""
        once = [change.fact.type for change in self.changes if change.fact is not None and change.fact.once]
        assert len(set(once)) == len(once)
        ids = [change.event_id for change in self.changes]
        assert len(set(ids)) == len(ids)

    @invariant()
    def it_ends_in_one_way(self) -> None:
        """A trial that was converted to its end never expires; an expired one was due."""
        facts = [change.fact for change in self.changes]
        ends = [fact for fact in facts if isinstance(fact, TrialConverted) and fact.trial_ended]
        expired = [fact for fact in facts if isinstance(fact, TrialExpired)]
        assert len(ends) + len(expired) <= 1
        assert all(fact.expired_at >= self.trial.ends_at for fact in expired)
        assert isinstance(facts[0], TrialStarted)

    @invariant()
    def its_end_moves_only_by_extensions(self) -> None:
        """Nothing but an operator changes how long a trial runs, and what people read follows its end exactly."""
        assert self.trial.ends_at == self.trial.started_at + self.terms.duration + self.extensions
        over = self.trial.status_at(self.now) is not TrialStatus.ACTIVE
        assert over == (not self.trial.is_running(self.now))
        assert over == (self.trial.ended_at is not None or self.now >= self.trial.ends_at)

    def _take(self, decision: TrialDecision, *, expect_change: bool | None = None) -> None:
        assert expect_change in (None, bool(decision.changes))
        if not decision.changes:
            assert decision.trial == self.trial
        self.trial = decision.trial
        self.changes.extend(decision.changes)


TrialMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestTrialMachine = TrialMachine.TestCase
