"""Settle purchases: bring them to what their platform says, many at once.

The one path by which a purchase is paid: notices, the reconciler, the expiry job and operators all end here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from billing_core.domain.events import Change, Origin
from billing_core.domain.packs import PriceBook, TrialTerms
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.pseudonyms import Pseudonyms, told_of
from billing_core.domain.purchases import Purchase, PurchaseDecision, PurchaseStatus
from billing_core.domain.trials import Trial
from billing_core.errors import ResolutionRefused, StorageConflict, StorageUnavailable
from billing_core.ports.clock import Clock
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork

Act = Literal["settle", "expire", "cancel", "accept", "dismiss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One platform answer about one purchase, and what to do with it.

    `report` is None where the platform knows of no checkout. `settle` brings the purchase to what the report says;
    `expire` and `cancel` then end it where it is still unpaid; `accept` and `dismiss` are an operator's two answers
    to a purchase that needs review, whose reason they saw as `answered`. `finding` is why a person must look, whatever
    the report says. `check_at` is when to ask again about one that stays open (default: by its age). `message_id`
    makes the settlement happen once for each message.
    """

    merchant_id: str
    purchase_id: UUID
    report: PaymentReport | None
    by: Origin
    act: Act = "settle"
    answered: str | None = None
    finding: str | None = None
    check_at: datetime | None = None
    message_id: str | None = None

    @classmethod
    def of(
        cls,
        purchase: Purchase,
        by: Origin,
        *,
        report: PaymentReport | None = None,
        act: Act = "settle",
        finding: str | None = None,
        check_at: datetime | None = None,
    ) -> "Settlement":
        """What to do with a purchase as somebody has just seen it."""
        return cls(
            merchant_id=purchase.merchant_id,
            purchase_id=purchase.purchase_id,
            report=report,
            by=by,
            act=act,
            answered=purchase.review.reason,
            finding=finding,
            check_at=check_at,
        )


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Purchases and trials as they stand while a batch is decided; `loaded` as they were before."""

    loaded: Mapping[UUID, Purchase]
    purchases: dict[UUID, Purchase]
    trials: dict[str, Trial]
    changes: list[Change] = field(default_factory=list)
    newly_claimed: list[Purchase] = field(default_factory=list)


class SettlePurchases:
    """Settles a batch in one transaction."""

    def __init__(
        self, *, units: OpenUnitOfWork, price_book: PriceBook, clock: Clock, pseudonyms: Pseudonyms | None = None
    ) -> None:
        self._units, self._price_book, self._clock, self._pseudonyms = units, price_book, clock, pseudonyms

    async def __call__(
        self,
        settlements: Sequence[Settlement],
        *,
        source: str = "billing",
        told_now: datetime | None = None,
        dry_run: bool = False,
    ) -> Sequence[Change]:
        """This will settle the batch and return what changed; repeats of a message (same `source` and message id)
        change nothing. A job that was told a later time passes it on as `told_now`; with `dry_run` nothing is kept.
        All or nothing: raises StorageUnavailable, ReferenceAlreadyClaimed or ResolutionRefused with nothing done.
        """
        if not settlements:
            return ()
        async with self._units() as uow:
            now = max(self._clock.now(), told_now or self._clock.now())
            fresh = await _not_handled_before(uow, settlements, source, now)
            batch = await _load(uow, fresh)
            terms = self._price_book.at(now).trial
            for settlement in fresh:
                decide(batch, _named_as_here(batch, settlement, self._pseudonyms), terms, now)
            await _save(uow, batch)
            await (uow.flush() if dry_run else uow.commit())
        return tuple(batch.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a settlement changed, or the fault that kept it from being settled."""

    changes: Sequence[Change] = ()
    fault: Exception | None = None


async def settle_apart(
    settle: SettlePurchases, settlements: Sequence[Settlement], *, told_now: datetime, dry_run: bool = False
) -> Sequence[Settled]:
    """This will settle a batch so that one that cannot be settled stands in nobody's way: together, and one by one
    where that fails. The changes of a batch stand with each of its settlements. Raises StorageUnavailable."""
    try:
        changes = await settle(settlements, told_now=told_now, dry_run=dry_run)
    except Exception as fault:
        if isinstance(fault, StorageUnavailable) and not isinstance(fault, StorageConflict):
            raise
        if len(settlements) == 1:
            return [Settled(fault=fault)]
        apart = [await settle_apart(settle, [each], told_now=told_now, dry_run=dry_run) for each in settlements]
        return [settled for alone in apart for settled in alone]
    return [Settled(changes=changes)] * len(settlements)


def _named_as_here(batch: _Batch, settlement: Settlement, pseudonyms: Pseudonyms | None) -> Settlement:
    """The settlement with its report under the name the purchase's account has here, which may be a pseudonym."""
    purchase, report = batch.purchases[settlement.purchase_id], settlement.report
    if report is None or report.platform_account_id == purchase.platform_account_id:
        return settlement
    told = told_of(pseudonyms, purchase.platform, purchase.platform_account_id, report)
    return settlement if told is report else replace(settlement, report=told)


def decide(batch: _Batch, settlement: Settlement, terms: TrialTerms, now: datetime) -> None:
    """This will apply one settlement to the batch: the purchase first, then the trial it may convert."""
    before = batch.purchases[settlement.purchase_id]
    decision = _decide_purchase(before, settlement, now)
    purchase = decision.purchase
    if (check_at := _check_at(purchase, settlement, now)) != purchase.check_at:
        purchase = replace(purchase, check_at=check_at)
    batch.purchases[purchase.purchase_id] = purchase
    batch.changes.extend(decision.changes)
    if purchase.platform_reference != before.platform_reference:
        batch.newly_claimed.append(purchase)
    if purchase.is_paid and not before.is_paid and not purchase.test:
        _note_on_trial(batch, purchase, terms, now, settlement.by)


def _decide_purchase(purchase: Purchase, settlement: Settlement, now: datetime) -> PurchaseDecision:
    report, by = settlement.report, settlement.by
    if settlement.act == "accept":
        if report is None:
            raise ResolutionRefused("the platform knows no such payment; dismiss the review instead")
        return purchase.accept(report, now, by, reason=settlement.answered)
    decision = PurchaseDecision(purchase)
    if settlement.act == "dismiss":
        decision = purchase.dismiss(now, by, reason=settlement.answered)
    if report is not None:
        decision = decision.then(lambda found: found.settle(report, now, by))
    if (finding := settlement.finding) is not None:
        decision = decision.then(lambda settled: settled.flag(finding, now, by))
    if settlement.act == "settle" or _has_money(settlement):
        return decision
    return decision.then(lambda unpaid: _end(unpaid, settlement, now))


def _end(unpaid: Purchase, settlement: Settlement, now: datetime) -> PurchaseDecision:
    if settlement.act in ("cancel", "dismiss"):
        return unpaid.cancel(now, settlement.by)
    if unpaid.status is PurchaseStatus.CREATED:
        return unpaid.fail("no checkout was made", now, settlement.by)
    return unpaid.expire(now, settlement.by)


def _note_on_trial(batch: _Batch, purchase: Purchase, terms: TrialTerms, now: datetime, by: Origin) -> None:
    if trial := batch.trials.get(purchase.merchant_id):
        noted = trial.note_purchase(purchase.purchase_id, terms, now, by)
        batch.trials[purchase.merchant_id] = noted.trial
        batch.changes.extend(noted.changes)


def _has_money(settlement: Settlement) -> bool:
    """Whether money is under way, or was paid but does not match: neither is "not paid in time". A payment that was
    dismissed is as good as none."""
    if settlement.report is None:
        return False
    paid = settlement.report.status is PaymentStatus.PAID and settlement.act != "dismiss"
    return paid or settlement.report.status is PaymentStatus.PROCESSING


def _check_at(purchase: Purchase, settlement: Settlement, now: datetime) -> datetime | None:
    """When to ask again: an open purchase always, one that was called off until it cannot be paid any more."""
    report = settlement.report
    own = report is not None and purchase.platform_reference in (None, report.platform_reference)
    ended = settlement.act == "expire" or (report is not None and own and report.is_over)
    if not purchase.is_open and (purchase.check_at is None or (ended and not _has_money(settlement))):
        return None
    return settlement.check_at or purchase.next_check(now, purchase.expires_at)


async def _not_handled_before(
    uow: UnitOfWork, settlements: Sequence[Settlement], source: str, now: datetime
) -> Sequence[Settlement]:
    message_ids = [each.message_id for each in settlements if each.message_id is not None]
    new = set(await uow.inbox.record(source, message_ids, now)) if message_ids else set()
    fresh = []
    for settlement in settlements:
        if settlement.message_id is None:
            fresh.append(settlement)
        elif settlement.message_id in new:
            new.remove(settlement.message_id)  # the same message twice in one batch counts once
            fresh.append(settlement)
    return fresh


async def _load(uow: UnitOfWork, settlements: Sequence[Settlement]) -> _Batch:
    wanted = {(each.merchant_id, each.purchase_id) for each in settlements}
    purchases = await uow.purchases.lock(sorted(wanted))
    merchants = {purchase.merchant_id for purchase in purchases.values() if not purchase.is_paid}
    trials = await uow.trials.lock_running(sorted(merchants)) if merchants else {}
    return _Batch(loaded=purchases, purchases=dict(purchases), trials=dict(trials))


async def _save(uow: UnitOfWork, batch: _Batch) -> None:
    await uow.purchases.claim(batch.newly_claimed)
    changed = [each for purchase_id, each in batch.purchases.items() if each != batch.loaded[purchase_id]]
    await uow.purchases.save(changed)
    changed_trials = {change.subject_id for change in batch.changes if change.subject == "trial"}
    await uow.trials.save([trial for trial in batch.trials.values() if trial.trial_id in changed_trials])
    await uow.journal.record(batch.changes)
