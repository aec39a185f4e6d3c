"""Look after open purchases: settle what webhooks lost, and expire what nobody paid, after asking the platform."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from billing_core.domain.events import Change
from billing_core.domain.purchases import PAID, Purchase, PurchaseStatus
from billing_core.errors import PlatformError
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PaymentPlatform, PlatformAccount
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.jobs import JobReport, job_origin
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

BATCH = 200
MAX_BATCHES = 1_000


class CheckPurchases:
    """Asks the platforms about open purchases and settles the answers: what both jobs below share."""

    def __init__(self, *, units: OpenUnitOfWork, ask: AskPlatforms, settle: SettlePurchases) -> None:
        self._units, self._ask, self._settle = units, ask, settle

    async def __call__(self, job: str, purchases: Sequence[Purchase], now: datetime, *, overdue: bool) -> Counter[str]:
        """This will settle each purchase by what its platform says, and with `overdue` end those it says are unpaid.
        A purchase whose platform is in trouble is left for the next run. Returns figures by name."""
        accounts = await self._accounts(purchases)
        answers = await self._ask([_question(each, accounts[each.merchant_id]) for each in purchases])
        by = job_origin(job, now)
        settlements = [
            Settlement(
                merchant_id=purchase.merchant_id,
                purchase_id=purchase.purchase_id,
                report=None if isinstance(answer, PlatformError) else answer,
                by=by,
                overdue=overdue and not isinstance(answer, PlatformError),
            )
            for purchase, answer in zip(purchases, answers, strict=True)
        ]
        return _figures(answers, await self._settle(settlements, told_now=now))

    async def _accounts(self, purchases: Sequence[Purchase]) -> Mapping[str, PlatformAccount]:
        async with self._units() as uow:
            merchants = await uow.merchants.get_many(sorted({each.merchant_id for each in purchases}))
        return {
            key: PlatformAccount(
                platform_account_id=merchant.platform_account_id, platform_domain=merchant.platform_domain
            )
            for key, merchant in merchants.items()
        }


class ReconcilePurchases:
    """The job `reconcile-purchases`."""

    name = "reconcile-purchases"

    def __init__(self, *, units: OpenUnitOfWork, check: CheckPurchases, clock: Clock, batch: int = BATCH) -> None:
        self._units, self._check, self._clock, self._batch = units, check, clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will ask about open purchases whose check time has come, by age with back-off, and settle them."""
        now = now or self._clock.now()
        figures: Counter[str] = Counter()
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                due = await uow.purchases.due_for_check(now, self._batch)
            figures += await self._check(self.name, due, now, overdue=False)
            if len(due) < self._batch:
                break
        return JobReport(done=figures["completed"] + figures["ended"], figures=figures)


class ExpirePurchases:
    """The job `expire-purchases`."""

    name = "expire-purchases"

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        check: CheckPurchases,
        platforms: Mapping[str, PaymentPlatform],
        clock: Clock,
        batch: int = BATCH,
    ) -> None:
        self._units, self._check, self._platforms = units, check, platforms
        self._clock, self._batch = clock, batch

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will end open purchases past their platform's deadline and grace, after asking; paid ones complete,
        and those that need review wait for a person."""
        now = now or self._clock.now()
        figures: Counter[str] = Counter()
        after: UUID | None = None
        for _ in range(MAX_BATCHES):
            async with self._units() as uow:
                past = await uow.purchases.past_deadline(now, self._batch, after)
            overdue = [each for each in past if not each.needs_review and self._grace_is_over(each, now)]
            figures += await self._check(self.name, overdue, now, overdue=True)
            if len(past) < self._batch:
                break
            after = past[-1].purchase_id  # so one that cannot be settled never stands in the way of the next
        return JobReport(done=figures["completed"] + figures["ended"], figures=figures)

    def _grace_is_over(self, purchase: Purchase, now: datetime) -> bool:
        platform = self._platforms.get(purchase.platform)
        return platform is not None and purchase.expires_at + platform.expiry_grace <= now


def _question(purchase: Purchase, account: PlatformAccount) -> Question:
    return Question(
        platform=purchase.platform,
        account=account,
        platform_reference=purchase.platform_reference,
        unanswered=purchase if purchase.platform_reference is None else None,
    )


def _figures(answers: Sequence[PlatformAnswer], changes: Sequence[Change]) -> Counter[str]:
    figures = Counter(asked=len(answers))
    figures["platform_errors"] = sum(isinstance(answer, PlatformError) for answer in answers)
    for change in changes:
        if change.subject == "purchase" and change.what == "needs_review":
            figures["needs_review"] += 1
        elif change.subject == "purchase":
            paid = PurchaseStatus(change.status_after) in PAID
            figures["completed" if paid else "ended"] += 1
    return figures
