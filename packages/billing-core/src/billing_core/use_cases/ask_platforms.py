"""Ask the platforms how payments stand: many at once, never inside a transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing_core.domain.purchases import PaymentReport, Purchase
from billing_core.errors import PlatformError
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PaymentPlatform, PlatformAccount

# Platforms answer in tens of milliseconds and limit calls per second; more at once only queue at their door.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which payment to ask about: by its reference, or by a purchase whose create was never answered."""

    platform: str
    account: PlatformAccount
    platform_reference: str | None = None
    unanswered: Purchase | None = None


PlatformAnswer = PaymentReport | PlatformError | None


class AskPlatforms:
    """Asks many questions, each once."""

    def __init__(self, *, platforms: Mapping[str, PaymentPlatform], clock: Clock) -> None:
        self._platforms, self._clock = platforms, clock

    async def __call__(self, questions: Sequence[Question]) -> Sequence[PlatformAnswer]:
        """The answer to each question: a report, None where the platform knows of no checkout, or the PlatformError
        it ended in. Never raises a PlatformError: one platform's trouble is not another purchase's."""
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def ask(question: Question) -> PlatformAnswer:
            async with at_once:
                try:
                    return await self._ask(question)
                except PlatformError as trouble:
                    return trouble

        return await asyncio.gather(*(ask(question) for question in questions))

    async def _ask(self, question: Question) -> PaymentReport | None:
        platform = self._platforms.get(question.platform)
        if platform is None:
            raise PlatformError(question.platform, "this platform is not configured; add it to BILLING_PLATFORMS")
        reference = question.platform_reference
        if reference is None and question.unanswered is not None:
            reference = await platform.find_checkout(question.unanswered, question.account)
        if reference is None:
            return None
        return await platform.look_up(reference, question.account, self._clock.now())
