"""What operators do with a purchase: reconcile it, call it off, resolve its review.

Each asks the platform first and settles through the same path as a notice; nothing is decided here.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Literal, TypeVar
from uuid import UUID

from billing_core.domain.events import Change, Origin
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformError, PurchaseNotFound, ReferenceAlreadyClaimed, ResolutionRefused
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PaymentPlatform, PlatformAccount
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.ask_platforms import AskPlatforms, Question, in_time
from billing_core.use_cases.check_purchases import CheckPurchases, Finding
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

Verdict = Literal["accept", "dismiss"]
PurchaseKey = tuple[str, UUID]
Told = TypeVar("Told")


class OperatePurchases:
    """The operators' verbs. Every key is (merchant id, purchase id); `by` names who, and why."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        platforms: Mapping[str, PaymentPlatform],
        ask: AskPlatforms,
        check: CheckPurchases,
        settle: SettlePurchases,
        clock: Clock,
    ) -> None:
        self._units, self._platforms, self._ask = units, platforms, ask
        self._check, self._settle, self._clock = check, settle, clock

    async def reconcile(self, keys: Sequence[PurchaseKey], by: Origin, *, dry_run: bool = False) -> Sequence[Finding]:
        """This will ask about each purchase, open or not, and settle it; with `dry_run` only tell what would change.
        Raises PurchaseNotFound, StorageUnavailable."""
        purchases = [(await self._load(key))[0] for key in dict.fromkeys(keys)]
        return await self._check(purchases, self._clock.now(), by, dry_run=dry_run)

    async def cancel(self, key: PurchaseKey, by: Origin, *, dry_run: bool = False) -> Sequence[Change]:
        """This will call an open purchase off: end its checkout where the platform can, ask, and settle; one that
        turns out to be paid is completed instead. With `dry_run` nothing is ended or kept.

        Raises PurchaseNotFound, ResolutionRefused for a purchase that is over or whose money is under way, and a
        PlatformError, with nothing done here, where the platform is in trouble.
        """
        purchase, account = await self._load(key)
        if not purchase.is_open:
            raise ResolutionRefused(f"this purchase is {purchase.status}; only an open one is called off")
        if not dry_run:
            await self._end_checkout(purchase, account)
        report = await self._asked(Question.about(purchase, account))
        changes = await self._settle([Settlement.of(purchase, by, act="cancel", report=report)], dry_run=dry_run)
        if not changes:
            raise ResolutionRefused("it stays as it is: it was settled meanwhile, or its money is under way")
        return changes

    async def resolve(
        self, key: PurchaseKey, verdict: Verdict, by: Origin, *, dry_run: bool = False
    ) -> Sequence[Change]:
        """This will answer a purchase that needs review: `accept` takes the payment for the one that was offered and
        gives the credits, `dismiss` gives none and calls an open purchase off. With `dry_run` it only tells what
        would change.

        Raises PurchaseNotFound, ResolutionRefused, and a PlatformError where the platform cannot be asked.
        """
        purchase, account = await self._load(key)
        if verdict == "accept":
            report = await self._asked(_in_question(purchase, account))
            settlements = [Settlement.of(purchase, by, act=verdict, report=report)]
            if purchase.is_open and purchase.review.about not in (None, purchase.platform_reference):
                # Another payment takes the place of its own: that one must neither stay payable nor be missed.
                own = await self._last_word(purchase, account, dry_run=dry_run)
                settlements.append(Settlement.of(purchase, by, report=own))
            return await self._settle(settlements, dry_run=dry_run)
        report = None
        if purchase.needs_review and purchase.is_open:
            report = await self._last_word(purchase, account, dry_run=dry_run)
        try:
            return await self._settle([Settlement.of(purchase, by, act=verdict, report=report)], dry_run=dry_run)
        except ReferenceAlreadyClaimed:  # what the platform reports is another purchase's, which is why it was flagged
            return await self._settle([Settlement.of(purchase, by, act=verdict)], dry_run=dry_run)

    async def _load(self, key: PurchaseKey) -> tuple[Purchase, PlatformAccount]:
        async with self._units() as uow:
            purchase = await uow.purchases.get(*key)
            merchants = await uow.merchants.get_many([key[0]])
        if purchase is None:
            raise PurchaseNotFound
        return purchase, PlatformAccount.of(merchants[key[0]])

    async def _end_checkout(self, purchase: Purchase, account: PlatformAccount) -> None:
        platform = self._platforms.get(purchase.platform)
        if platform is None:
            return
        reference = purchase.platform_reference
        if reference is None:
            reference = await in_time(platform.name, platform.find_checkout(purchase, account))
        if reference is not None:
            await in_time(platform.name, platform.cancel_checkout(reference, account))

    async def _last_word(self, purchase: Purchase, account: PlatformAccount, *, dry_run: bool) -> PaymentReport | None:
        """How the purchase's own payment stands, once its checkout is ended; None where the platform refuses to say,
        which may be why a person was asked."""
        if not dry_run:
            await _unless_refused(self._end_checkout(purchase, account))
        return await _unless_refused(self._asked(Question.about(purchase, account)))

    async def _asked(self, question: Question) -> PaymentReport | None:
        async with self._units() as uow:
            asked_at = await uow.now()
        (answer,) = await self._ask([question], asked_at)
        if isinstance(answer, PlatformError):
            raise answer
        return answer


async def _unless_refused(answer: Awaitable[Told]) -> Told | None:
    """The answer; None where the platform refuses for good."""
    try:
        return await answer
    except PlatformError as trouble:
        if trouble.retryable:
            raise
        return None


def _in_question(purchase: Purchase, account: PlatformAccount) -> Question:
    """The payment a person was asked to look at; the purchase's own where the finding names none."""
    if purchase.review.about is None:
        return Question.about(purchase, account)
    return Question(platform=purchase.platform, account=account, platform_reference=purchase.review.about)
