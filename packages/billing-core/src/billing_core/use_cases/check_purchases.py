"""Look after purchases: settle what webhooks lost, and expire what nobody paid, after asking the platform."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from billing_core.domain.events import Change, Origin, TrialConverted
from billing_core.domain.purchases import PAID, Purchase, PurchaseStatus
from billing_core.errors import PlatformError, PlatformFault, ReferenceAlreadyClaimed
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PaymentPlatform, PlatformAccount
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.jobs import JobReport, job_origin
from billing_core.use_cases.settle_purchases import Act, Settlement, SettlePurchases, settle_apart

BATCH = 200
MAX_BATCHES = 1_000
# A platform in trouble is asked again about the same purchase after this, or as much later as it says.
AFTER_TROUBLE = timedelta(minutes=5)
# One that refuses us (the app was uninstalled, a token revoked) is asked seldom, and in the end a person is.
AFTER_REFUSAL = timedelta(hours=1)
REFUSED_TOO_LONG = timedelta(days=7)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of asking about one purchase: the platform's answer, what it changed, and the fault that kept it from
    being settled."""

    purchase: Purchase
    answer: PlatformAnswer
    changes: tuple[Change, ...] = ()
    fault: Exception | None = None


@dataclass(slots=True)
class _Run:
    """The findings of one run of a job, in figures."""

    figures: Counter[str] = field(default_factory=Counter)
    faults: list[Exception] = field(default_factory=list)

    def note(self, findings: Sequence[Finding]) -> None:
        """This will count what was found."""
        for finding in findings:
            self.figures["asked"] += 1
            self.figures["platform_errors"] += isinstance(finding.answer, PlatformError)
            fault = finding.fault or (finding.answer if isinstance(finding.answer, PlatformFault) else None)
            if fault is not None:
                self.figures["faults"] += 1
                self.faults.append(fault)
            for change in finding.changes:
                if kind := _kind(change):
                    self.figures[kind] += 1

    def report(self) -> JobReport:
        """What the job did."""
        done = self.figures["completed"] + self.figures["ended"]
        return JobReport(done=done, figures=self.figures, faults=tuple(self.faults))


class CheckPurchases:
    """Asks the platforms about purchases and settles the answers: what both jobs below, and operators, share."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        ask: AskPlatforms,
        settle: SettlePurchases,
        platforms: Mapping[str, PaymentPlatform],
    ) -> None:
        self._units, self._ask, self._settle, self._platforms = units, ask, settle, platforms

    async def __call__(
        self, purchases: Sequence[Purchase], now: datetime, by: Origin, *, dry_run: bool = False
    ) -> Sequence[Finding]:
        """This will settle each purchase by what its platform says, and end those past their deadline and grace that
        it says are unpaid. A purchase whose platform is in trouble is left for the next time; one that cannot be
        settled stands in nobody's way. With `dry_run` nothing is kept. Raises StorageUnavailable."""
        if not purchases:
            return ()
        async with self._units() as uow:
            merchants = await uow.merchants.get_many(sorted({each.merchant_id for each in purchases}))
            asked_at = await uow.now()
        accounts = {key: PlatformAccount.of(merchant) for key, merchant in merchants.items()}
        questions = [Question.about(each, accounts[each.merchant_id]) for each in purchases]
        answers = await self._ask(questions, asked_at)
        asked = [Finding(purchase=each, answer=answer) for each, answer in zip(purchases, answers, strict=True)]
        return await self._settle_all(asked, now, by, dry_run=dry_run)

    async def _settle_all(
        self, asked: Sequence[Finding], now: datetime, by: Origin, *, dry_run: bool
    ) -> Sequence[Finding]:
        settlements = [self._settlement(each, now, by) for each in asked]
        apart = await settle_apart(self._settle, settlements, told_now=now, dry_run=dry_run)
        return [
            await self._set_aside(replace(each, fault=settled.fault), now, by, dry_run=dry_run)
            if settled.fault is not None
            else replace(each, changes=tuple(change for change in settled.changes if _is_about(change, each.purchase)))
            for each, settled in zip(asked, apart, strict=True)
        ]

    def _settlement(self, asked: Finding, now: datetime, by: Origin) -> Settlement:
        purchase, over_at = asked.purchase, self._over_at(asked.purchase)
        if isinstance(asked.answer, PlatformError):
            return _put_off(purchase, asked.answer, now, by)
        waits_for_a_person = purchase.is_open and purchase.needs_review
        act: Act = "expire" if over_at <= now and not waits_for_a_person else "settle"
        return Settlement.of(purchase, by, report=asked.answer, act=act, check_at=purchase.next_check(now, over_at))

    async def _set_aside(self, found: Finding, now: datetime, by: Origin, *, dry_run: bool) -> Finding:
        """A purchase that cannot be settled is looked at again later, and by a person where a person can help."""
        taken = isinstance(found.fault, ReferenceAlreadyClaimed)
        finding = "the platform reports a payment that is another purchase's" if taken else None
        given_up = taken or found.purchase.expires_at + REFUSED_TOO_LONG <= now
        act: Act = "expire" if given_up and not found.purchase.is_open else "settle"
        aside = Settlement.of(found.purchase, by, finding=finding, act=act)
        (settled,) = await settle_apart(self._settle, [aside], told_now=now, dry_run=dry_run)
        return replace(found, changes=tuple(settled.changes))

    def _over_at(self, purchase: Purchase) -> datetime:
        """When a purchase is given up; never, where there is nobody to ask."""
        platform = self._platforms.get(purchase.platform)
        return _NEVER if platform is None else purchase.expires_at + platform.expiry_grace


class ReconcilePurchases:
    """The job `reconcile-purchases`."""

    name = "reconcile-purchases"

    def __init__(self, *, units: OpenUnitOfWork, check: CheckPurchases, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._check, self._clock, self._batch = units, check, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will ask about open purchases whose check time has come, by age with back-off, and settle them."""
        now = now or self._clock.now()
        by, run = job_origin(self.name, now), _Run()
        asked = set[UUID]()
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                due = await uow.purchases.due_for_check(now, self._batch)
            run.note(await self._check(due, now, by))
            new = {each.purchase_id for each in due} - asked
            asked |= new
            if len(due) < self._batch or (due and not new):  # what can be neither settled nor put off comes again
                break
        return run.report()


class ExpirePurchases:
    """The job `expire-purchases`."""

    name = "expire-purchases"

    def __init__(self, *, units: OpenUnitOfWork, check: CheckPurchases, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._check, self._clock, self._batch = units, check, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will end open purchases past their platform's deadline and grace, after asking; paid ones complete,
        and those that need review wait for a person."""
        now = now or self._clock.now()
        by, run = job_origin(self.name, now), _Run()
        after: UUID | None = None
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                past = await uow.purchases.past_deadline(now, self._batch, after)
            run.note(await self._check([each for each in past if each.check_is_due(now)], now, by))
            if len(past) < self._batch:
                break
            after = past[-1].purchase_id  # so one that cannot be settled never stands in the way of the next
        return run.report()


def _put_off(purchase: Purchase, trouble: PlatformError, now: datetime, by: Origin) -> Settlement:
    """Ask again later; where the platform has refused us for days past the deadline, a person must look."""
    asked_for = timedelta(seconds=trouble.retry_after_s or 0)
    too_long = purchase.expires_at + REFUSED_TOO_LONG <= now
    if too_long and not purchase.is_open:
        return Settlement.of(purchase, by, act="expire")
    if trouble.retryable:
        return Settlement.of(purchase, by, check_at=now + max(asked_for, AFTER_TROUBLE))
    check_at = now + max(asked_for, AFTER_REFUSAL)
    if not too_long:
        return Settlement.of(purchase, by, check_at=check_at)
    return Settlement.of(
        purchase, by, finding="its platform refuses to say, for days past the deadline", check_at=check_at
    )


def _is_about(change: Change, purchase: Purchase) -> bool:
    """Whether the change is the purchase's, or that of the trial it converted."""
    converted = change.fact.purchase_id if isinstance(change.fact, TrialConverted) else None
    return purchase.purchase_id in (change.subject_id, converted)


def _kind(change: Change) -> str | None:
    """What a change of a purchase counts as; None for a trial's."""
    if change.subject != "purchase":
        return None
    if change.what == "needs_review":
        return "needs_review"
    return "completed" if PurchaseStatus(change.status_after) in PAID else "ended"
