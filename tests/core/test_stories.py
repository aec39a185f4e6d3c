"""Stories are legal, complete, and counted right: what other services' property tests stand on."""

from collections import Counter

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from billing_core.domain.events import (
    CreditsGranted,
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    TrialConverted,
    TrialEnded,
    TrialExpired,
    TrialStarted,
)
from billing_core.testing import assert_sequence, decode, event_faults
from billing_core.testing.event_builders import EVENT_TYPES
from billing_core.testing.stories import Story, deliveries, stories

# What no merchant's life leads to here: a trial is refused to a shop that has had one, payments fail before they are
# made, and nobody calls a purchase off.
SELDOM = {"evt.billing.trial.refused"}


@given(story=stories())
@settings(max_examples=100)
def test_a_story_is_what_billing_may_publish(story: Story) -> None:
    """Every event is faultless, and they follow each other without gaps."""
    assert [fault for each in story.events for fault in event_faults(each)] == []
    assert_sequence(story.events)
    assert {each.merchant_id for each in story.events} <= {story.merchant.merchant_id}


@given(story=stories(max_steps=20))
@settings(max_examples=100)
def test_its_credits_are_what_its_events_amount_to(story: Story) -> None:
    """Counted here from the events, there from how trial, purchases and grants stand."""
    trials: dict[object, int] = {}
    credits_ = 0
    for fact in (decode(each.body).data for each in story.events):
        match fact:
            case TrialStarted():
                trials[fact.trial_id] = fact.credits
            case TrialExpired() | TrialEnded() | TrialConverted(trial_ended=True):
                del trials[fact.trial_id]
            case CreditsPurchased():
                credits_ += fact.credits + fact.bonus_credits
            case CreditsRestored() | CreditsGranted():
                credits_ += fact.credits
            case CreditsReversed():
                credits_ -= fact.credits

    assert story.credits == credits_ + sum(trials.values())


@given(data=st.data(), story=stories())
@settings(max_examples=50)
def test_a_delivery_has_every_event_at_least_once_and_no_other(data: st.DataObject, story: Story) -> None:
    """In any order."""
    delivered = Counter(data.draw(deliveries(story.events)))

    assert set(delivered) == set(story.events)


@pytest.mark.parametrize("kind", sorted(set(EVENT_TYPES) - SELDOM))
def test_stories_tell_of_nearly_everything(kind: str) -> None:
    """Every kind of event comes up that can. A dispute that is won is the rarest: one story in some hundreds."""
    searched = settings(max_examples=5000, database=None, derandomize=True, phases=[Phase.generate])

    found = find(stories(), lambda story: any(each.type == kind for each in story.events), settings=searched)

    assert kind in [each.type for each in found.events]


@given(story=stories(max_steps=3))
@settings(max_examples=10)
def test_a_story_is_read_in_a_line(story: Story) -> None:
    """A failing example names the merchant, what happened, and the credits."""
    assert repr(story).startswith(f"<{story.merchant.merchant_id}: ")
    assert repr(story).endswith(f": {story.credits} credits>")
