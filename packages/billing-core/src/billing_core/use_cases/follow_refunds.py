"""Follow refunds that neither notices nor the platform's own look-up tell of (Shopify's Partner API)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from billing_core.domain.events import Origin
from billing_core.domain.purchases import PAID, PurchaseStatus
from billing_core.errors import PlatformError
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import Refund, RefundSource
from billing_core.ports.storage import JobRuns, OpenUnitOfWork, Owner
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.jobs import JobReport, job_origin
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

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
    ) -> None:
        self._sources, self._units, self._ask, self._settle = sources, units, ask, settle
        self._runs, self._clock = runs, clock

    async def __call__(self, now: datetime | None = None) -> JobReport:
        """This will read what was refunded since the last run, and settle each payment by what its platform says and
        all that was ever refunded of it. Raises a PlatformError where a source cannot be read: then the next run
        reads the same time again."""
        now = now or self._clock.now()
        last = await self._runs.last_run(self.name)
        since = (last - OVERLAP) if last is not None else now - FIRST_LOOK_BACK
        figures: Counter[str] = Counter()
        for source in self._sources:
            refunds = await source.refunds(since)
            for start in range(0, len(refunds), BATCH):
                figures += await self._follow(source.platform, refunds[start : start + BATCH], now)
        return JobReport(done=figures["changed"], figures=figures)

    async def _follow(self, platform: str, refunds: Sequence[Refund], now: datetime) -> Counter[str]:
        async with self._units() as uow:
            owners = await uow.purchases.owners([(platform, each.platform_reference) for each in refunds])
            asked_at = await uow.now()
        ours = [
            (each, owner)
            for each in refunds
            if (owner := owners.get((platform, each.platform_reference))) is not None
            and owner.account.platform_account_id == each.platform_account_id
        ]
        answers = await self._ask([_question(platform, each, owner) for each, owner in ours], asked_at)
        by = job_origin(self.name, now)
        settlements = [
            settlement
            for (refund, owner), answer in zip(ours, answers, strict=True)
            if (settlement := _settlement(refund, owner, answer, by)) is not None
        ]
        changes = await self._settle(settlements, told_now=now)
        changed = [each for each in changes if each.subject == "purchase" and PurchaseStatus(each.status_after) in PAID]
        return Counter(
            read=len(refunds),
            not_ours=len(refunds) - len(ours),
            platform_errors=len(ours) - len(settlements),
            changed=len(changed),
        )


def _question(platform: str, refund: Refund, owner: Owner) -> Question:
    return Question(platform=platform, platform_reference=refund.platform_reference, account=owner.account)


def _settlement(refund: Refund, owner: Owner, answer: PlatformAnswer, by: Origin) -> Settlement | None:
    """None where the platform could not be asked: the next run reads the same refund again."""
    if answer is None or isinstance(answer, PlatformError):
        return None
    same_currency = answer.price is not None and answer.price.currency == refund.refunded.currency
    return Settlement(
        merchant_id=owner.merchant_id,
        purchase_id=owner.purchase_id,
        report=replace(answer, refunded_minor=refund.refunded.amount_minor) if same_currency else answer,
        by=by,
        finding=None if same_currency else f"{refund.refunded} were given back, in another currency than was paid",
    )
