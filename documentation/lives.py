"""What can become of a purchase and of a trial, found by trying: every act on every state that acts lead to.

Nothing of it is written down by hand, so the pictures and tables made of it are what the code does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final
from uuid import UUID

from billing_core.domain.events import Change, Origin
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import TrialTerms, default_catalog
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseDecision, create_purchase
from billing_core.domain.trials import Trial, TrialDecision, refuse_trial, start_trial
from billing_core.errors import ResolutionRefused

_START: Final = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
_BY: Final = Origin(actor="somebody", correlation_id="a-request", reason="a reason")
_AN_ID: Final = UUID("0199c3a8-6f02-7c31-8d55-3b1f0c9a7e21")
_MERCHANT: Final = Merchant(
    merchant_id="merchant-1", platform="sandbox", platform_account_id="account-1", registered_at=_START
)
_LIFETIME: Final = timedelta(hours=48)


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """One thing that can happen: the status before (empty: it begins) and after, what the history calls it, and the
    event that announces it (empty: none)."""

    before: str
    after: str
    what: str
    event: str


def purchase_moves() -> frozenset[Move]:
    """Everything that can happen to a purchase."""
    offer = default_catalog().offer("large", wanted_currency=None, home_currency=None)
    created = create_purchase(
        _AN_ID,
        _MERCHANT,
        offer,
        return_url="https://shop.example/billing",
        lifetime=_LIFETIME,
        test=False,
        now=_START,
        by=_BY,
    )
    moves, seen, waiting = set(map(_move, created.changes)), {_place(created.purchase)}, [created.purchase]
    while waiting:
        for decision in _whatever_happens(waiting.pop()):
            moves.update(map(_move, decision.changes))
            if _place(decision.purchase) not in seen:
                seen.add(_place(decision.purchase))
                waiting.append(decision.purchase)
    return frozenset(moves)


def trial_moves() -> frozenset[Move]:
    """Everything that can happen to a trial, whether a purchase ends it or not."""
    terms = default_catalog().trial
    begun = start_trial(_AN_ID, _MERCHANT, terms, _START, _BY)
    refused = refuse_trial(_AN_ID, _MERCHANT, terms, _START, _BY)
    moves = set(map(_move, begun.changes + refused.changes))
    waiting, seen = [begun.trial, refused.trial], set[tuple[object, ...]]()
    while waiting:
        trial = waiting.pop()
        for act in _trial_acts(terms):
            decision = act(trial)
            moves.update(map(_move, decision.changes))
            place = (decision.trial.status, decision.trial.converted_at is None, decision.trial.reminded_at is None)
            if place not in seen:
                seen.add(place)
                waiting.append(decision.trial)
    return frozenset(moves)


def _whatever_happens(purchase: Purchase) -> Iterator[PurchaseDecision]:
    now = _START + timedelta(hours=1 + purchase.version)
    acts: list[Callable[[], PurchaseDecision]] = [
        lambda: purchase.checkout_made("pay-1", "https://pay.example/1", now, _BY),
        lambda: purchase.fail("refused", now, _BY),
        lambda: purchase.expire(now + _LIFETIME, _BY),
        lambda: purchase.cancel(now, _BY),
        lambda: purchase.dismiss(now, _BY),
    ]
    for report in _reports(purchase, now):
        acts.append(lambda report=report: purchase.settle(report, now, _BY))  # type: ignore[misc]
        acts.append(lambda report=report: purchase.accept(report, now, _BY))  # type: ignore[misc]
    for act in acts:
        try:
            yield act()
        except ResolutionRefused:  # there is nothing a person could decide
            continue


def _reports(purchase: Purchase, now: datetime) -> Iterator[PaymentReport]:
    """Whatever a platform may say: of any payment, refunded not at all, in part or whole, disputed or not; and of one
    that was not the one offered."""
    price = purchase.offer.price
    refunds = (0, price.amount_minor // 2, price.amount_minor)
    for status, refunded_minor, dispute in product(PaymentStatus, refunds, DisputeStatus):
        yield PaymentReport(
            platform_reference=purchase.platform_reference or "pay-1",
            status=status,
            observed_at=now,
            price=price,
            platform_account_id=purchase.platform_account_id,
            refunded_minor=refunded_minor,
            dispute=dispute,
        )
    other = replace(price, amount_minor=price.amount_minor + 1)
    paid = PaymentReport(
        platform_reference="pay-2",
        status=PaymentStatus.PAID,
        observed_at=now,
        price=other,
        platform_account_id=purchase.platform_account_id,
    )
    yield paid
    yield replace(paid, platform_reference=purchase.platform_reference or "pay-1")


def _place(purchase: Purchase) -> tuple[object, ...]:
    """What the next act depends on; not how often something happened before, which has no end."""
    return (
        purchase.status,
        purchase.platform_reference is None,
        purchase.refunded_minor,
        purchase.dispute,
        bool(purchase.review.findings),
    )


def _trial_acts(terms: TrialTerms) -> tuple[Callable[[Trial], TrialDecision], ...]:
    soon, near_end, over = (
        _START + timedelta(days=1),
        _START + terms.duration - timedelta(days=1),
        _START + timedelta(days=3650),
    )
    return (
        lambda trial: trial.remind(near_end, _BY),
        lambda trial: trial.extend(trial.ends_at + timedelta(days=7), soon, _BY),
        lambda trial: trial.end(soon, _BY),
        lambda trial: trial.expire(over, _BY),
        lambda trial: trial.note_purchase(_AN_ID, replace(terms, on_purchase="keep"), soon, _BY),
        lambda trial: trial.note_purchase(_AN_ID, replace(terms, on_purchase="convert"), soon, _BY),
    )


def _move(change: Change) -> Move:
    return Move(
        before=str(change.status_before or ""),
        after=str(change.status_after),
        what=change.what,
        event="" if change.fact is None else change.fact.type,
    )
