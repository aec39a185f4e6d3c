"""Follow refunds that neither notices nor the platform's own look-up tell of (Shopify's Partner API)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from billing_core.domain.events import Origin
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.pseudonyms import Pseudonyms, is_same_account
from billing_core.domain.purchases import PAID, Purchase, PurchaseStatus
from billing_core.errors import PlatformError, PlatformFault
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import Refund, RefundSource
from billing_core.ports.storage import JobRuns, OpenUnitOfWork, Owner
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.jobs import JobReport, job_origin
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases, settle_apart

BATCH = 200
# A platform's accounts are closed late: what was entered up to three days ago may show only now. The sums are
# cumulative, so reading the same refund again changes nothing.
OVERLAP = timedelta(days=3)
FIRST_LOOK_BACK = timedelta(days=90)


class FollowRefunds:
    """The job `follow-refunds`."""

    name = "follow-refunds"

    def __init__(
        self,
        *,
        sources: Sequence[RefundSource],
        units: OpenUnitOfWork,
        ask: AskPlatforms,
        settle: SettlePurchases,
        runs: JobRuns,
        clock: Clock,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._sources, self._units, self._ask, self._settle = sources, units, ask, settle
        self._runs, self._clock, self._pseudonyms = runs, clock, pseudonyms

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will read what was refunded since the last run, and settle each payment by what its platform says and
        all that was ever refunded of it. Raises a PlatformError where a source cannot be read: then the next run
        reads the same time again."""
        now = now or self._clock.now()
        last = await self._runs.last_run(self.name)
        since = (last - OVERLAP) if last is not None else now - FIRST_LOOK_BACK
        figures: Counter[str] = Counter()
        faults: list[Exception] = []
        for source in self._sources:
            asked_at = await self._moment()  # before it is read: a slow reading must not pass for a newer one
            refunds = await source.refunds(since)
            for start in range(0, len(refunds), BATCH):
                part = refunds[start : start + BATCH]
                faults += await self._follow(source.platform, part, now, asked_at, figures)
        return JobReport(done=figures["changed"], figures=figures, faults=tuple(faults))

    async def _moment(self) -> datetime:
        async with self._units() as uow:
            return await uow.now()

    async def _follow(
        self, platform: str, refunds: Sequence[Refund], now: datetime, asked_at: datetime, figures: Counter[str]
    ) -> Sequence[Exception]:
        async with self._units() as uow:
            owners = await uow.purchases.owners([(platform, each.platform_reference) for each in refunds])
        ours = [
            (each, owner)
            for each in refunds
            if (owner := owners.get((platform, each.platform_reference))) is not None
            and is_same_account(self._pseudonyms, platform, owner.account.platform_account_id, each.platform_account_id)
        ]
        answers = await self._ask([_question(platform, each, owner) for each, owner in ours], asked_at)
        by = job_origin(self.name, now)
        settlements = [
            settlement
            for (refund, owner), answer in zip(ours, answers, strict=True)
            if (settlement := await self._settlement(refund, owner, answer, asked_at, by)) is not None
        ]
        apart = await settle_apart(self._settle, settlements, told_now=now)
        changes = {change for settled in apart for change in settled.changes if change.subject == "purchase"}
        figures["read"] += len(refunds)
        figures["not_ours"] += len(refunds) - len(ours)
        figures["platform_errors"] += sum(not isinstance(answer, PaymentReport) for answer in answers)
        figures["changed"] += sum(PurchaseStatus(change.status_after) in PAID for change in changes)
        faults = [settled.fault for settled in apart if settled.fault is not None]
        return [*faults, *(answer for answer in answers if isinstance(answer, PlatformFault))]

    async def _settlement(
        self, refund: Refund, owner: Owner, answer: PlatformAnswer, asked_at: datetime, by: Origin
    ) -> Settlement | None:
        """The platform's report with what was refunded. Where it cannot be asked, the refund of a paid purchase counts
        all the same; where it refuses for good (the app was uninstalled), so does an unpaid one's, for a person to
        look at. None where it denies the payment, or may tell the next time."""
        if answer is None:
            return None
        paid_in: str | None
        if isinstance(answer, PlatformError):
            purchase = await self._purchase(owner)
            if answer.retryable and not purchase.is_paid:
                return None
            report, paid_in = _proof(refund, asked_at), purchase.offer.price.currency
        else:
            report, paid_in = answer, answer.price.currency if answer.price is not None else None
        same = paid_in == refund.refunded.currency
        return Settlement(
            merchant_id=owner.merchant_id,
            purchase_id=owner.purchase_id,
            report=replace(report, refunded_minor=refund.refunded.amount_minor) if same else report,
            by=by,
            finding=None if same else f"{refund.refunded} were given back, in another currency than was paid",
        )

    async def _purchase(self, owner: Owner) -> Purchase:
        async with self._units() as uow:
            purchase = await uow.purchases.get(owner.merchant_id, owner.purchase_id)
        if purchase is None:
            raise AssertionError("a purchase is never removed")
        return purchase


def _question(platform: str, refund: Refund, owner: Owner) -> Question:
    return Question(platform=platform, platform_reference=refund.platform_reference, account=owner.account)


def _proof(refund: Refund, asked_at: datetime) -> PaymentReport:
    return PaymentReport(
        platform_reference=refund.platform_reference,
        status=PaymentStatus.PAID,
        observed_at=asked_at,
        platform_account_id=refund.platform_account_id,
        refunded_minor=None,
        dispute=None,
    )
