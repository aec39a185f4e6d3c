"""Ways to forget to ask a platform, or to misunderstand its answer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.faults.defects.defect import Patch

from billing_core.domain.events import Origin
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.errors import PlatformError
from billing_core.messages import Envelope
from billing_core.ports.storage import Owner
from billing_core.testing.memory.purchases import InMemoryPurchases
from billing_core.use_cases import check_purchases, handle_webhooks
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.check_purchases import CheckPurchases, Finding
from billing_core.use_cases.settle_purchases import Settlement


def unguarded_expiry(patch: Patch) -> None:
    """purchases are expired at their deadline whatever their platform says"""
    settlement = CheckPurchases._settlement

    def unasked(self: CheckPurchases, asked: Finding, now: datetime, by: Origin) -> Settlement:
        over = self._over_at(asked.purchase) <= now
        return settlement(self, replace(asked, answer=None) if over else asked, now, by)

    patch(CheckPurchases, "_settlement", unasked)


def lost_answer_is_no(patch: Patch) -> None:
    """a platform that does not answer is taken to know of no such payment"""
    ask = AskPlatforms.__call__

    async def hear_no(
        self: AskPlatforms, questions: Sequence[Question], asked_at: datetime
    ) -> Sequence[PlatformAnswer]:
        answers = await ask(self, questions, asked_at)
        return [None if isinstance(each, PlatformError) else each for each in answers]

    patch(AskPlatforms, "__call__", hear_no)


def notice_is_proof(patch: Patch) -> None:
    """a notice about a payment is taken for the payment"""
    settlement = handle_webhooks._settlement

    def believe(envelope: Envelope, owner: Owner, answer: PlatformAnswer) -> Settlement:
        paid = replace(answer, status=PaymentStatus.PAID) if isinstance(answer, PaymentReport) else answer
        return settlement(envelope, owner, paid)

    patch(handle_webhooks, "_settlement", believe)


def answers_kept(patch: Patch) -> None:
    """what a platform once said of a payment is not asked again for a minute"""
    ask = AskPlatforms.__call__

    async def ask_once(
        self: AskPlatforms, questions: Sequence[Question], asked_at: datetime
    ) -> Sequence[PlatformAnswer]:
        kept: dict[Question, PaymentReport] = self.__dict__.setdefault("kept", {})
        told = []
        for question, answer in zip(questions, await ask(self, questions, asked_at), strict=True):
            known = kept.get(question)
            if known is not None and asked_at - known.observed_at < timedelta(minutes=1):
                answer = replace(known, observed_at=asked_at)
            elif isinstance(answer, PaymentReport):
                kept[question] = answer
            told.append(answer)
        return told

    patch(AskPlatforms, "__call__", ask_once)


def put_off_for_ever(patch: Patch) -> None:
    """a purchase whose platform was in trouble is not asked about again"""
    patch(check_purchases, "AFTER_TROUBLE", timedelta(days=10_000))


def archived_forgotten(patch: Patch) -> None:
    """a notice about a purchase that was archived finds nobody"""
    owner = InMemoryPurchases._owner

    def live_owner(self: InMemoryPurchases, reference: tuple[str, str]) -> Owner | None:
        found = owner(self, reference)
        return found if found is not None and self._tx.view.purchases.get(found.purchase_id) is not None else None

    patch(InMemoryPurchases, "_owner", live_owner)
