"""Ask the platforms how payments stand: many at once, never inside a transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeVar

from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformError, PlatformFault, PlatformUnavailable
from billing_core.ports.platforms import LooksUpMany, PaymentPlatform, PlatformAccount

# Platforms answer in tens of milliseconds and limit calls per second; more at once only queue at their door.
_AT_ONCE = 16
# The longest any platform is waited for, retries included: below the 20 s a key stays locked to its first attempt.
PATIENCE_S = 12.0

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which payment to ask about: by its reference, or by a purchase whose create was never answered."""

    platform: str
    account: PlatformAccount
    platform_reference: str | None = None
    unanswered: Purchase | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same question again; quicker to compare than the question."""
        unanswered = None if self.unanswered is None else self.unanswered.purchase_id
        return self.platform, self.platform_reference, self.account.platform_account_id, unanswered

    @classmethod
    def about(cls, purchase: Purchase, account: PlatformAccount) -> "Question":
        """How a purchase stands."""
        reference = purchase.platform_reference
        unanswered = purchase if reference is None else None
        return cls(platform=purchase.platform, account=account, platform_reference=reference, unanswered=unanswered)


PlatformAnswer = PaymentReport | PlatformError | None
_Answers = Sequence[tuple[Question, PlatformAnswer]]


class AskPlatforms:
    """Asks many questions, each once. Never raises: one platform's trouble is not another purchase's."""

    def __init__(self, *, platforms: Mapping[str, PaymentPlatform], patience_s: float = PATIENCE_S) -> None:
        self._platforms, self._patience_s = platforms, patience_s
        self._asked_together = {name: each for name, each in platforms.items() if isinstance(each, LooksUpMany)}

    async def __call__(self, questions: Sequence[Question], asked_at: datetime) -> Sequence[PlatformAnswer]:
        """The answer to each question: a report observed at `asked_at`, None where the platform knows of no
        checkout, or the PlatformError it ended in."""
        together: dict[str, list[tuple[Question, str]]] = {}
        apart = []
        keys = [question.key for question in questions]
        for question in dict(zip(keys, questions, strict=True)).values():  # each once
            if question.platform_reference is not None and question.platform in self._asked_together:
                together.setdefault(question.platform, []).append((question, question.platform_reference))
            else:
                apart.append(question)
        told = await asyncio.gather(
            self._ask_apart(apart, asked_at),
            *(self._ask_together(self._asked_together[name], asked, asked_at) for name, asked in together.items()),
        )
        answers = {question.key: answer for question, answer in chain.from_iterable(told)}
        return [answers[key] for key in keys]

    async def _ask_together(
        self, platform: LooksUpMany, asked: Sequence[tuple[Question, str]], asked_at: datetime
    ) -> _Answers:
        questions = [question for question, _ in asked]
        checkouts = [(reference, question.account) for question, reference in asked]
        try:
            reports = await in_time(platform.name, platform.look_up_many(checkouts, asked_at), self._patience_s)
            return list(zip(questions, reports, strict=True))
        except PlatformError as trouble:
            return [(question, trouble) for question in questions]
        except Exception:  # noqa: BLE001 - what an adapter did not foresee is found with its question, and told there
            return await self._ask_apart(questions, asked_at)

    async def _ask_apart(self, questions: Sequence[Question], asked_at: datetime) -> _Answers:
        async def ask(question: Question) -> PaymentReport | None:
            platform = self._platform(question.platform)
            reference = question.platform_reference
            if reference is None and question.unanswered is not None:
                found = platform.find_checkout(question.unanswered, question.account)
                reference = await in_time(platform.name, found, self._patience_s)
            if reference is None:
                return None
            report = platform.look_up(reference, question.account, asked_at)
            return await in_time(platform.name, report, self._patience_s)

        answers = await _ask_all(questions, ask, lambda question: question.platform)
        return list(zip(questions, answers, strict=True))

    async def trace(self, payments: Sequence[tuple[str, str]]) -> Sequence[str | PlatformError | None]:
        """The platform reference of the checkout each (platform, payment id) was paid at, None where the platform
        knows of none, or the PlatformError it ended in."""

        async def ask(payment: tuple[str, str]) -> str | None:
            reference = self._platform(payment[0]).trace_payment(payment[1])
            return await in_time(payment[0], reference, self._patience_s)

        return await _ask_all(payments, ask, lambda payment: payment[0])

    def _platform(self, name: str) -> PaymentPlatform:
        if platform := self._platforms.get(name):
            return platform
        raise PlatformError(name, "this platform is not configured; add it to BILLING_PLATFORMS")


async def in_time(platform: str, answer: Awaitable[Told], patience_s: float = PATIENCE_S) -> Told:
    """This will wait for a platform's answer. Raises PlatformUnavailable where it takes longer."""
    try:
        async with asyncio.timeout(patience_s):
            return await answer
    except TimeoutError as late:
        raise PlatformUnavailable(platform, "no answer in time") from late


async def _ask_all(
    questions: Sequence[Asked], ask: Callable[[Asked], Awaitable[Told]], platform_of: Callable[[Asked], str]
) -> Sequence[Told | PlatformError]:
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def answer(question: Asked) -> Told | PlatformError:
        async with at_once:
            try:
                return await ask(question)
            except PlatformError as trouble:
                return trouble
            except Exception as fault:  # noqa: BLE001 - what an adapter did not foresee stays with its question
                unforeseen = PlatformFault(platform_of(question), f"{type(fault).__name__} in its adapter")
                unforeseen.__cause__ = fault
                return unforeseen

    return await asyncio.gather(*(answer(question) for question in questions))
