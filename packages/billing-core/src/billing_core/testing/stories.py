"""Hypothesis strategies for what a service that reads Billing's events may be sent.

A story is what happened to one merchant: the domain itself decided every step of it, so it is legal by construction,
and what it amounts to is counted from how trial, purchases and grants stand at its end, not from the events.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from billing_core.domain.events import Change, Price
from billing_core.domain.grants import CreditGrant
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import MAX_CREDITS
from billing_core.domain.purchases import Purchase, create_purchase
from billing_core.domain.trials import Trial, TrialDecision, TrialStatus, start_trial
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing.builders import a_merchant, an_origin
from billing_core.testing.clock import MOMENT, uuid7
from billing_core.testing.event_builders import EVENT_TYPES, an_event, announced
from billing_core.testing.strategies import merchant_ids, moneys, offers, payment_reports, texts, trial_terms

_BY = an_origin(reason="as the story goes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened to one merchant: `events` in the order of their sequence, and `credits`, how many are the
    merchant's after all of them (less than nothing never; a trial's count until it is over)."""

    merchant: Merchant
    events: tuple[OutboxEvent, ...]
    credits: int

    def __repr__(self) -> str:
        """The story in a line, as a failing example should be read."""
        told = ", ".join(each.type.removeprefix("evt.billing.") for each in self.events)
        return f"<{self.merchant.merchant_id}: {told or 'nothing'}: {self.credits} credits>"


@st.composite
def stories(draw: st.DrawFn, *, merchant: Merchant | None = None, max_steps: int = 12) -> Story:
    """Stories of up to `max_steps` steps: trials, purchases paid, refunded, disputed and reviewed, goodwill."""
    plot = _Plot(draw, merchant or a_merchant(draw(merchant_ids())))
    for _ in range(draw(st.integers(0, max_steps))):
        plot.go_on()
    changes = (change for change in plot.changes if change.fact is not None)
    events = tuple(announced(change, sequence) for sequence, change in enumerate(changes, 1))
    return Story(merchant=plot.merchant, events=events, credits=plot.credits)


def deliveries(events: Iterable[OutboxEvent]) -> st.SearchStrategy[list[OutboxEvent]]:
    """The events as a broker may deliver them: each at least once, some again, in any order."""
    once = list(events)
    if not once:
        return st.just([])
    again = st.lists(st.sampled_from(once), max_size=len(once))
    return again.flatmap(lambda more: st.permutations([*once, *more]))


def events(*types: str) -> st.SearchStrategy[OutboxEvent]:
    """Single events of these types (default: all there are), their figures and texts at their edges."""
    return st.sampled_from(types or EVENT_TYPES).flatmap(_event_of)


def _event_of(type_: str) -> st.SearchStrategy[OutboxEvent]:
    usual = an_event(type_)
    told: dict[str, st.SearchStrategy[Any]] = {
        "credits": st.integers(1, MAX_CREDITS),
        "bonus_credits": st.integers(0, MAX_CREDITS),
        "price": moneys(min_minor=1).map(Price.of),
        "refunded_minor": st.integers(0, 10**12),
        "test": st.booleans(),
        "late": st.booleans(),
        "trial_ended": st.booleans(),
        "reason": st.sampled_from(["refund", "dispute"]) if _takes_back(type_) else texts(),
    }
    fields = {name: strategy for name, strategy in told.items() if f'"{name}":'.encode() in usual.body}
    sequences, merchants = st.integers(1, 10**6), merchant_ids().map(a_merchant)
    return st.builds(an_event, st.just(type_), merchants, sequence=sequences, **fields)


def _takes_back(type_: str) -> bool:
    return type_ in ("evt.billing.credits.reversed", "evt.billing.credits.restored")


class _Plot:
    """A story while it is made up: how things stand, and what came of it."""

    def __init__(self, draw: st.DrawFn, merchant: Merchant) -> None:
        self._draw, self.merchant, self.now = draw, merchant, MOMENT
        self.terms = draw(trial_terms())
        self.trial: Trial | None = None
        self.purchases: dict[UUID, Purchase] = {}
        self.granted = 0
        self.changes: list[Change] = []

    @property
    def credits(self) -> int:
        """What is the merchant's, counted from how things stand."""
        paid = (each for each in self.purchases.values() if each.is_paid)
        bought = sum(each.offer.total_credits - each.credits_reversed for each in paid)
        trial = self.trial.credits if self.trial and self.trial.status is TrialStatus.ACTIVE else 0
        return bought + self.granted + trial

    def go_on(self) -> None:
        """This will let some time pass, and something happen."""
        self.now += self._draw(st.timedeltas(timedelta(seconds=1), timedelta(days=8)))
        steps: list[Callable[[], None]] = [self._begin_trial, self._buy, self._grant]
        steps += [self._move_trial] if self.trial else []
        steps += [self._settle, self._settle] if self.purchases else []
        self._draw(st.sampled_from(steps))()

    def _begin_trial(self) -> None:
        if self.trial is None:
            self._decided(start_trial(self._id(), self.merchant, self.terms, self.now, _BY))

    def _move_trial(self) -> None:
        trial = self.trial
        if trial is None:
            return
        way = self._draw(st.sampled_from(["expire", "extend", "remind", "end"]))
        if way == "expire":
            self.now = max(self.now, trial.ends_at)
        if way == "remind":
            self.now = max(self.now, trial.ends_at - timedelta(hours=1))
        longer = trial.ends_at + timedelta(days=self._draw(st.integers(1, 30)))
        ways: dict[str, Callable[[], TrialDecision]] = {
            "expire": lambda: trial.expire(self.now, _BY),
            "extend": lambda: trial.extend(longer, self.now, _BY),
            "remind": lambda: trial.remind(self.now, _BY),
            "end": lambda: trial.end(self.now, _BY),
        }
        self._decided(ways[way]())

    def _buy(self) -> None:
        created = create_purchase(
            self._id(),
            self.merchant,
            self._draw(offers()),
            return_url="https://shop.example/billing",
            lifetime=timedelta(hours=48),
            test=False,
            now=self.now,
            by=_BY,
        )
        reference = f"pay-{created.purchase.purchase_id}"
        opened = created.then(lambda new: new.checkout_made(reference, "https://pay.example", self.now, _BY))
        self._bought(opened.purchase, opened.changes)

    def _settle(self) -> None:
        purchase = self._draw(st.sampled_from(list(self.purchases.values())))
        matching = self._draw(st.sampled_from([True, True, True, False]))
        report = replace(self._draw(payment_reports(purchase, matching=matching)), observed_at=self.now)
        settled = purchase.settle(report, self.now, _BY)
        self._bought(settled.purchase, settled.changes)
        if self.trial and settled.purchase.is_paid and not purchase.is_paid and not settled.purchase.test:
            self._decided(self.trial.note_purchase(purchase.purchase_id, self.terms, self.now, _BY))

    def _grant(self) -> None:
        grant = CreditGrant(
            grant_id=self._id(),
            merchant_id=self.merchant.merchant_id,
            platform=self.merchant.platform,
            credits=self._draw(st.integers(1, 1000)),
            reason="sorry for the outage",
            actor="operator:ada",
            granted_at=self.now,
        )
        self.granted += grant.credits
        self.changes.append(grant.change(_BY))

    def _decided(self, decision: TrialDecision) -> None:
        self.trial = decision.trial
        self.changes += decision.changes

    def _bought(self, purchase: Purchase, changes: Sequence[Change]) -> None:
        self.purchases[purchase.purchase_id] = purchase
        self.changes += changes

    def _id(self) -> UUID:
        return uuid7(self.now, self._draw(st.integers(0, 2**62 - 1)))
