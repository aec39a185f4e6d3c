"""The oracle finds nothing wrong where nothing is, and each of its rules can fail."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.faults.oracle import BookEntry, Evidence, Told, violations

from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.purchases import Purchase
from billing_core.domain.reviews import NO_REVIEW, ReviewFinding
from billing_core.messages import decode_event
from billing_core.ports.storage import ParkedMessage
from billing_core.testing import MOMENT, InMemoryBilling, a_merchant
from billing_core.testing.builders import an_id, an_origin


@dataclass(slots=True)
class Case:
    """Evidence of two purchases (one paid, refunded in part; one left to expire) and one trial, to be spoilt."""

    evidence: Evidence
    paid: Purchase
    expired: Purchase
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def with_purchase(self, spoilt: Purchase) -> Evidence:
        """The evidence with this purchase in the place of the one with its id."""
        others = [each for each in self.evidence.purchases if each.purchase_id != spoilt.purchase_id]
        return replace(self.evidence, purchases=[*others, spoilt])

    def with_entry(self, reference: str | None, **values: Any) -> Evidence:
        """The evidence with another entry in the platform's books."""
        assert reference is not None
        entry = replace(self.evidence.books[reference], **values)
        return replace(self.evidence, books={**self.evidence.books, reference: entry})

    def without_events(self, kind: str) -> Evidence:
        """The evidence without events of a kind; those after them close the gap."""
        kept = [each for each in self.evidence.published if not each.type.endswith(kind)]
        numbered = [each.model_copy(update={"sequence": place}) for place, each in enumerate(kept, 1)]
        return replace(self.evidence, published=numbered)

    def with_told(self, told: Told) -> Evidence:
        """The evidence with one answer more."""
        return replace(self.evidence, told=[*self.evidence.told, told])


@pytest.fixture
async def case() -> Case:
    """What one merchant's buying leaves behind."""
    billing = InMemoryBilling()
    caller = await billing.register(a_merchant("m-1", platform_account_id="shop-1"))
    trial = await billing.activate_trial(caller, "t-1")
    left, bought = await billing.buy(caller, "small", key="k-1"), await billing.buy(caller, "large", key="k-2")
    await billing.pay(bought)
    billing.platform.refund(str(bought.platform_reference), 100)
    await billing.notify(str(bought.platform_reference))
    billing.clock.advance(timedelta(days=3))
    await billing.expire_purchases()
    events = await billing.events()
    tables = billing.storage.tables
    documents = {each.key.key: json.loads(each.answer.document) for each in tables.keys.values() if each.answer}
    books = {
        reference: BookEntry(
            reference=reference,
            paid=each.status == "paid",
            price=each.price,
            refunded_minor=each.refunded_minor,
            dispute=each.dispute,
        )
        for reference, each in billing.platform.payments.items()
    }
    evidence = Evidence(
        purchases=list(tables.purchases.values()),
        trials=list(tables.trials.values()),
        shops={"m-1": "sandbox/shop-1"},
        published=events,
        books=books,
        told=[Told(merchant_id="m-1", key=key, status=201, document=each) for key, each in documents.items()],
        parked=[],
        poisoned=frozenset(),
        unpublished=0,
    )
    assert not trial.replayed
    return Case(evidence, tables.purchases[bought.id], tables.purchases[left.id], documents)


async def test_nothing_is_wrong_where_nothing_went_wrong(case: Case) -> None:
    """Evidence of a run in which all went well breaks no rule."""
    assert violations(case.evidence) == []


SPOILT: dict[str, tuple[Callable[[Case], Evidence], str]] = {
    "an acknowledged purchase is gone": (
        lambda case: replace(case.evidence, purchases=[case.paid]),
        "is not recorded like that",
    ),
    "a purchase is another one than was told": (
        lambda case: case.with_purchase(replace(case.expired, offer=replace(case.expired.offer, credits=1))),
        "is not recorded like that",
    ),
    "an acknowledged trial is gone": (
        lambda case: replace(case.evidence, trials=[]),
        "which is not recorded like that",
    ),
    "a repeat got another answer": (
        lambda case: case.with_told(
            Told(merchant_id="m-1", key="k-1", status=200, document=dict(case.documents["k-1"]) | {"late": True})
        ),
        "different answers under key k-1",
    ),
    "a second URL was told": (
        lambda case: case.with_told(
            Told(
                merchant_id="m-1",
                key="k-3",
                status=200,
                document=dict(case.documents["k-1"]) | {"checkout_url": "https://two.example"},
            )
        ),
        "clients were told",
    ),
    "a trial was refused to a shop that had none": (
        lambda case: replace(
            case.evidence,
            shops={"m-2": "sandbox/shop-2", **case.evidence.shops},
            told=[Told(merchant_id="m-2", key="t", status=409, document={"code": "TRIAL_ALREADY_USED"})],
        ),
        "m-2 was told that its shop has had its trial",
    ),
    "a trial was given and refused under one key": (
        lambda case: case.with_told(
            Told(merchant_id="m-1", key="t-1", status=409, document={"code": "TRIAL_ALREADY_USED"})
        ),
        "m-1 was told under key t-1 that its trial began, and that it has none",
    ),
    "a paid purchase was not announced": (lambda case: case.without_events("credits.purchased"), "announced 0 times"),
    "a paid purchase was announced twice": (
        lambda case: replace(case.evidence, published=[*case.evidence.published, *case.evidence.published]),
        "announced 2 times",
    ),
    "an unpaid purchase was announced as paid": (
        lambda case: case.with_purchase(replace(case.expired, purchase_id=case.paid.purchase_id)),
        "was announced as paid",
    ),
    "the announcement differs from the row": (
        lambda case: case.with_purchase(replace(case.paid, late=True)),
        "does not tell what is recorded",
    ),
    "an announced purchase is not recorded": (
        lambda case: replace(case.evidence, purchases=[case.expired]),
        "tells of purchase",
    ),
    "a payment was lost": (lambda case: case.with_entry(case.expired.platform_reference, paid=True), "is expired"),
    "a payment that does not match went unseen": (
        lambda case: case.with_entry(case.expired.platform_reference, paid=True, price=None),
        "nobody was asked to look",
    ),
    "a payment nobody knows": (
        lambda case: replace(
            case.evidence,
            books={
                **case.evidence.books,
                "pay-x": replace(case.evidence.books[str(case.paid.platform_reference)], reference="pay-x"),
            },
        ),
        "nobody here knows of it",
    ),
    "credits without payment": (
        lambda case: case.with_entry(case.paid.platform_reference, paid=False),
        "has no such payment",
    ),
    "credits for another amount": (
        lambda case: case.with_entry(case.paid.platform_reference, price=Money(amount_minor=1, currency="USD")),
        "nobody accepted that",
    ),
    "one payment, credits twice": (
        lambda case: replace(
            case.evidence, purchases=[*case.evidence.purchases, replace(case.paid, purchase_id=an_id())]
        ),
        "gave credits 2 times",
    ),
    "a refund was missed": (
        lambda case: case.with_entry(case.paid.platform_reference, refunded_minor=200),
        "was given back",
    ),
    "a dispute was missed": (
        lambda case: case.with_entry(case.paid.platform_reference, dispute=DisputeStatus.OPEN),
        "the dispute about",
    ),
    "a reversal was not announced": (lambda case: case.without_events("credits.reversed"), "0 were announced"),
    "too little was taken back": (
        lambda case: case.with_purchase(replace(case.paid, credits_reversed=0)),
        "0 are recorded",
    ),
    "a creation was not announced": (
        lambda case: case.without_events("purchase.created"),
        "announced as created 0 times",
    ),
    "an end was not announced": (
        lambda case: case.without_events("purchase.expired"),
        "evt.billing.purchase.expired was told 0 times",
    ),
    "a shop had two trials": (
        lambda case: replace(
            case.evidence,
            trials=[*case.evidence.trials, replace(case.evidence.trials[0], merchant_id="m-2", trial_id=an_id())],
            shops={"m-1": "one", "m-2": "one"},
        ),
        "shop one had 2 trials",
    ),
    "a trial's start was not announced": (
        lambda case: case.without_events("trial.started"),
        "trial.started of trial",
    ),
    "events are out of order": (
        lambda case: replace(case.evidence, published=list(reversed(case.evidence.published))),
        "are numbered",
    ),
    "an event is missing": (lambda case: replace(case.evidence, published=case.evidence.published[1:]), "are numbered"),
    "an event came twice": (
        lambda case: replace(case.evidence, published=[*case.evidence.published, case.evidence.published[-1]]),
        "was published 2 times",
    ),
    "an event waits": (lambda case: replace(case.evidence, unpublished=1), "1 events wait in the outbox"),
    "a good message is parked": (lambda case: replace(case.evidence, parked=[_parked("m-9")]), "m-9 is parked"),
    "a secret is logged": (
        lambda case: replace(case.evidence, logs=["a line with s3cr3t in it"], canaries=["s3cr3t"]),
        "canary 0 stands in a log",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
async def test_each_rule_can_fail(case: Case, spoil: str) -> None:
    """Evidence that was spoilt in one way breaks the rule about it."""
    how, sentence = SPOILT[spoil]

    broken = violations(how(case))

    assert any(sentence in each for each in broken), broken


async def test_a_poisoned_message_may_be_parked(case: Case) -> None:
    """What was meant to be parked breaks no rule."""
    evidence = replace(case.evidence, parked=[_parked("poison-1")], poisoned=frozenset({"poison-1"}))

    assert violations(evidence) == []


async def test_a_payment_for_a_person_to_look_at_is_not_lost(case: Case) -> None:
    """A payment that does not match breaks no rule once a person is asked, or has dismissed it."""
    reference = str(case.expired.platform_reference)
    entry = case.with_entry(reference, paid=True, price=None).books
    finding = f"payment {reference}: it is of no amount, the offer was 10.99 USD"
    asked = replace(case.expired, review=NO_REVIEW.adding(ReviewFinding(reason=finding, about=reference)))
    dismissed = asked.dismiss(MOMENT, an_origin()).purchase

    for purchase in (asked, dismissed):
        assert violations(replace(case.with_purchase(purchase), books=entry)) == []


async def test_events_are_decoded_as_they_were_published(case: Case) -> None:
    """Evidence from a stream is what the wire says: decoding an encoded event gives the same event."""
    event = case.evidence.published[0]

    assert decode_event(event.model_dump_json().encode()) == event


def _parked(message_id: str) -> ParkedMessage:
    return ParkedMessage(
        parked_id=an_id(),
        source="tests",
        message_id=message_id,
        subject="evt.x",
        body=b"{}",
        reason="it is broken",
        parked_at=MOMENT,
    )
