"""The one judge of every fault run: what must be true once everything is healed and has come to rest (contract §5).

It reads what is recorded, what was published, the platforms' books and what clients were told; it knows no ports, so
the simulator, the crash-point sweep and the chaos harness all ask it the same questions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from billing_core.domain.events import (
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    Fact,
    Price,
    PurchaseCancelled,
    PurchaseCreated,
    PurchaseDeclined,
    PurchaseExpired,
    PurchaseFailed,
    TrialEnded,
    TrialExpired,
    TrialStarted,
)
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus
from billing_core.domain.pseudonyms import is_pseudonym
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import TrialAlreadyUsed
from billing_core.messages import Event
from billing_core.ports.storage import ParkedMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """A checkout in a platform's books. `price` is None where it does not say; a dispute or refund that a platform
    tells nobody of is none."""

    reference: str
    paid: bool
    price: Money | None
    refunded_minor: int
    dispute: DisputeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer a client received, by HTTP or from a use case: `key` is its idempotency key."""

    merchant_id: str
    key: str
    status: int
    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything there is to judge: purchases live and archived, `shops` as merchant → platform account (with the
    platform in it), `published` in stream order, `books` by reference, `parked` as far as it still waits, `poisoned`
    the ids of messages that were meant to be parked, `unpublished` the outbox rows left over, and `regrants` how many
    more trials than its one operators gave a platform account."""

    purchases: Sequence[Purchase]
    trials: Sequence[Trial]
    shops: Mapping[str, str]
    published: Sequence[Event[Fact]]
    books: Mapping[str, BookEntry]
    told: Sequence[Told]
    parked: Sequence[ParkedMessage]
    poisoned: frozenset[str]
    unpublished: int
    logs: Sequence[str] = ()
    canaries: Sequence[str] = ()
    regrants: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[str, Purchase]:
        """The purchases by their id as documents and events write it."""
        return {str(each.purchase_id): each for each in self.purchases}

    @cached_property
    def facts(self) -> Mapping[type[Fact], Sequence[Any]]:
        """The published facts by kind."""
        found: dict[type[Fact], list[Fact]] = defaultdict(list)
        for event in self.published:
            found[type(event.data)].append(event.data)
        return found


def violations(evidence: Evidence) -> list[str]:
    """Every broken rule in a sentence; empty where all hold."""
    return [broken for rule in _RULES for broken in rule(evidence)]


# --- what clients were told ------------------------------------------------------------------------------------------


def _acknowledged_requests_are_there(evidence: Evidence) -> Iterator[str]:
    trials = {str(each.trial_id): each for each in evidence.trials}
    for told in evidence.told:
        document = told.document
        if told.status >= 400:
            continue
        if "checkout_url" in document:
            purchase = evidence.by_id.get(document["id"])
            if purchase is None or _offered(purchase, told.merchant_id) != _as_told(document):
                yield f"{told.merchant_id} was told of purchase {document['id']}, which is not recorded like that"
        elif "ends_at" in document:
            trial = trials.get(document["id"])
            if trial is None or (trial.merchant_id, trial.credits) != (told.merchant_id, document["credits"]):
                yield f"{told.merchant_id} was told of trial {document['id']}, which is not recorded like that"


def _repeats_get_the_first_answer(evidence: Evidence) -> Iterator[str]:
    answers: dict[tuple[str, str, bool], list[Mapping[str, Any]]] = defaultdict(list)
    for told in evidence.told:
        given = answers[told.merchant_id, told.key, "checkout_url" in told.document]  # a key counts for each route
        if told.status < 400 and told.document not in given:
            given.append(told.document)
    for (merchant_id, key, _), given in answers.items():
        if len(given) > 1:
            yield f"{merchant_id} was told {len(given)} different answers under key {key}"


def _who_was_given_a_trial_is_not_refused_it(evidence: Evidence) -> Iterator[str]:
    given = {(each.merchant_id, each.key) for each in evidence.told if each.status < 400 and "ends_at" in each.document}
    refused = {(each.merchant_id, each.key) for each in evidence.told if _is_trial_refusal(each)}
    for merchant_id, key in sorted(given & refused):
        yield f"{merchant_id} was told under key {key} that its trial began, and that it has none"


def _one_url_is_told(evidence: Evidence) -> Iterator[str]:
    urls: dict[str, set[str]] = defaultdict(set)
    for told in evidence.told:
        if told.status < 400 and told.document.get("checkout_url"):
            urls[told.document["id"]].add(told.document["checkout_url"])
    for purchase_id, given in urls.items():
        recorded = evidence.by_id.get(purchase_id)
        if recorded is None or given == {recorded.checkout_url}:
            continue
        forgotten = is_pseudonym(recorded.platform_account_id)  # its page named its shop
        if not forgotten or len(given) > 1:
            yield f"purchase {purchase_id} has the URL {recorded.checkout_url}, clients were told {sorted(given)}"


def _who_was_refused_a_trial_had_one(evidence: Evidence) -> Iterator[str]:
    had = {evidence.shops.get(each.merchant_id) for each in _given_trials(evidence)}
    for merchant_id in sorted({each.merchant_id for each in evidence.told if _is_trial_refusal(each)}):
        if evidence.shops.get(merchant_id) not in had:
            yield f"{merchant_id} was told that its shop has had its trial, which is not so"


# --- money and credits -----------------------------------------------------------------------------------------------


def _paid_purchases_are_announced_once(evidence: Evidence) -> Iterator[str]:
    told: dict[str, list[CreditsPurchased]] = defaultdict(list)
    for fact in evidence.facts.get(CreditsPurchased, ()):
        told[str(fact.purchase_id)].append(fact)
    for purchase_id, purchase in evidence.by_id.items():
        facts = told.pop(purchase_id, [])
        if purchase.is_paid and len(facts) != 1:
            yield f"paid purchase {purchase_id} was announced {len(facts)} times"
        if not purchase.is_paid and facts:
            yield f"unpaid purchase {purchase_id} ({purchase.status}) was announced as paid"
        if purchase.is_paid and any(fact != _purchased(purchase) for fact in facts):
            yield f"credits.purchased of {purchase_id} does not tell what is recorded"
    for purchase_id in told:
        yield f"credits.purchased tells of purchase {purchase_id}, which is not recorded"


def _the_platforms_money_is_here(evidence: Evidence) -> Iterator[str]:
    ours = {each.platform_reference: each for each in evidence.purchases if each.platform_reference is not None}
    for reference, entry in evidence.books.items():
        purchase = ours.get(reference)
        if purchase is None:
            if entry.paid and not _is_reviewed(evidence, reference):
                yield f"payment {reference} is paid and nobody here knows of it"
        elif entry.paid and entry.price == purchase.offer.price and not purchase.is_paid:
            yield f"payment {reference} is paid, its purchase {purchase.purchase_id} is {purchase.status}"
        elif entry.paid and not purchase.is_paid and not _is_reviewed(evidence, reference):
            yield f"payment {reference} does not match its offer, and nobody was asked to look"


def _credits_have_their_payment(evidence: Evidence) -> Iterator[str]:
    paid = [each for each in evidence.purchases if each.is_paid]
    for purchase in paid:
        entry = evidence.books.get(purchase.platform_reference or "")
        if entry is None or not entry.paid:
            yield f"purchase {purchase.purchase_id} is {purchase.status}, its platform has no such payment"
        elif entry.price != purchase.offer.price and purchase.paid_minor is None:
            yield f"purchase {purchase.purchase_id} took {entry.price} for {purchase.offer.price}, nobody accepted that"
    payments = Counter((each.platform, each.platform_reference) for each in paid)
    for (_, reference), times in payments.items():
        if times > 1:
            yield f"payment {reference} gave credits {times} times"


def _refunds_are_followed(evidence: Evidence) -> Iterator[str]:
    for purchase in evidence.purchases:
        entry = evidence.books.get(purchase.platform_reference or "")
        if not purchase.is_paid or entry is None:
            continue
        refunded = min(entry.refunded_minor, _paid_minor(purchase))
        if purchase.refunded_minor != refunded:
            yield f"of {purchase.purchase_id} {refunded} was given back, {purchase.refunded_minor} is recorded"
        if purchase.dispute is not entry.dispute:
            yield f"the dispute about {purchase.purchase_id} stands {entry.dispute}, recorded is {purchase.dispute}"


def _reversed_credits_follow_refunds(evidence: Evidence) -> Iterator[str]:
    taken: Counter[str] = Counter()
    for fact in evidence.facts.get(CreditsReversed, ()):
        taken[str(fact.purchase_id)] += fact.credits
    for fact in evidence.facts.get(CreditsRestored, ()):
        taken[str(fact.purchase_id)] -= fact.credits
    for purchase_id, purchase in evidence.by_id.items():
        due = _credits_due(purchase)
        if not purchase.credits_reversed == taken[purchase_id] == due:
            yield (
                f"purchase {purchase_id} owes {due} credits back, {purchase.credits_reversed} are recorded,"
                f" {taken[purchase_id]} were announced"
            )


# --- what is announced -----------------------------------------------------------------------------------------------


def _each_purchase_is_announced_as_it_stands(evidence: Evidence) -> Iterator[str]:
    created = Counter(str(fact.purchase_id) for fact in evidence.facts.get(PurchaseCreated, ()))
    for purchase_id in created.keys() | evidence.by_id.keys():
        if created[purchase_id] != (purchase_id in evidence.by_id):
            yield f"purchase {purchase_id} was announced as created {created[purchase_id]} times"
    for status, kind in _UNPAID_ENDS.items():
        ended = Counter(str(fact.purchase_id) for fact in evidence.facts.get(kind, ()))
        for purchase_id, purchase in evidence.by_id.items():
            if ended[purchase_id] > 1 or (purchase.status is status and not ended[purchase_id]):
                yield f"purchase {purchase_id} is {purchase.status}, {kind.type} was told {ended[purchase_id]} times"


def _a_shop_has_one_trial(evidence: Evidence) -> Iterator[str]:
    given = Counter(evidence.shops.get(each.merchant_id) for each in _given_trials(evidence))
    for shop, trials in given.items():
        if trials > 1 + evidence.regrants.get(shop or "", 0):
            yield f"shop {shop} had {trials} trials"
    rows = {each.trial_id: each for each in _given_trials(evidence)}
    for kind, over in _TRIAL_FACTS.items():
        told = Counter(fact.trial_id for fact in evidence.facts.get(kind, ()))
        due = {trial_id for trial_id, each in rows.items() if over is None or each.status is over}
        for trial_id in told.keys() | due:
            if told[trial_id] != (trial_id in due):
                yield f"{kind.type} of trial {trial_id} was told {told[trial_id]} times"


def _sequences_have_no_gaps(evidence: Evidence) -> Iterator[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in evidence.published:
        numbers[event.subject].append(event.sequence)
    for merchant_id, each in numbers.items():
        if each != list(range(1, len(each) + 1)):
            yield f"the events of {merchant_id} are numbered {_abridged(each)}"
    ids: Counter[UUID] = Counter(event.id for event in evidence.published)
    for event_id, times in ids.items():
        if times > 1:
            yield f"event {event_id} was published {times} times"


# --- what is left over -----------------------------------------------------------------------------------------------


def _nothing_is_left_over(evidence: Evidence) -> Iterator[str]:
    if evidence.unpublished:
        yield f"{evidence.unpublished} events wait in the outbox"
    for message in evidence.parked:
        if message.message_id not in evidence.poisoned:
            yield f"message {message.message_id} is parked though nothing is wrong with it: {message.reason}"


def _no_secret_is_logged(evidence: Evidence) -> Iterator[str]:
    for place, canary in enumerate(evidence.canaries):
        if any(canary in line for line in evidence.logs):
            yield f"canary {place} stands in a log"


_RULES = (
    _acknowledged_requests_are_there,
    _repeats_get_the_first_answer,
    _who_was_given_a_trial_is_not_refused_it,
    _one_url_is_told,
    _who_was_refused_a_trial_had_one,
    _paid_purchases_are_announced_once,
    _the_platforms_money_is_here,
    _credits_have_their_payment,
    _refunds_are_followed,
    _reversed_credits_follow_refunds,
    _each_purchase_is_announced_as_it_stands,
    _a_shop_has_one_trial,
    _sequences_have_no_gaps,
    _nothing_is_left_over,
    _no_secret_is_logged,
)
_UNPAID_ENDS: Mapping[PurchaseStatus, type[Fact]] = {
    PurchaseStatus.DECLINED: PurchaseDeclined,
    PurchaseStatus.FAILED: PurchaseFailed,
    PurchaseStatus.EXPIRED: PurchaseExpired,
    PurchaseStatus.CANCELLED: PurchaseCancelled,
}
# Which trials each fact is told of: every one that was given, or those that are over in this way.
_TRIAL_FACTS: Mapping[type[Fact], TrialStatus | None] = {
    TrialStarted: None,
    TrialExpired: TrialStatus.EXPIRED,
    TrialEnded: TrialStatus.ENDED,
}


def _offered(purchase: Purchase, merchant_id: str) -> tuple[object, ...]:
    offer = purchase.offer
    price = Price.of(offer.price).model_dump()
    mine = purchase.merchant_id == merchant_id
    return mine, purchase.merchant_id, offer.pack, offer.credits, offer.bonus_credits, price


def _as_told(document: Mapping[str, Any]) -> tuple[object, ...]:
    return True, *(document[name] for name in ("merchant_id", "pack", "credits", "bonus_credits", "price"))


def _is_trial_refusal(told: Told) -> bool:
    return told.status >= 400 and told.document.get("code") == TrialAlreadyUsed.code


def _given_trials(evidence: Evidence) -> Iterable[Trial]:
    return (each for each in evidence.trials if each.status is not TrialStatus.REFUSED)


def _purchased(purchase: Purchase) -> CreditsPurchased:
    """What `credits.purchased` of this row must tell. Refunds come later and change none of it."""
    if purchase.completed_at is None:
        raise ValueError("an unpaid purchase announces no credits")
    return CreditsPurchased(
        merchant_id=purchase.merchant_id,
        platform=purchase.platform,
        purchase_id=purchase.purchase_id,
        pack=purchase.offer.pack,
        credits=purchase.offer.credits,
        bonus_credits=purchase.offer.bonus_credits,
        price=Price.of(purchase.offer.price),
        test=purchase.test,
        late=purchase.late,
        completed_at=purchase.completed_at,
    )


def _is_reviewed(evidence: Evidence, reference: str) -> bool:
    """Whether a person is asked to look at the payment, or has."""
    about = f"payment {reference}: "
    return any(
        each.review.about == reference or any(finding.startswith(about) for finding in each.review.dismissed)
        for each in evidence.purchases
    )


def _paid_minor(purchase: Purchase) -> int:
    return purchase.offer.price.amount_minor if purchase.paid_minor is None else purchase.paid_minor


def _credits_due(purchase: Purchase) -> int:
    """Contract §5 rules 5 and 6, said once more and differently from how the domain says it."""
    total, paid_minor = purchase.offer.total_credits, _paid_minor(purchase)
    if purchase.dispute in (DisputeStatus.OPEN, DisputeStatus.LOST):
        return total
    whole, rest = divmod(total * purchase.refunded_minor, paid_minor) if purchase.refunded_minor else (0, 0)
    return whole + (rest > 0)


def _abridged(numbers: Sequence[int]) -> str:
    told = ", ".join(str(each) for each in numbers[:30])
    return told if len(numbers) <= 30 else f"{told}, … ({len(numbers)} in all)"
