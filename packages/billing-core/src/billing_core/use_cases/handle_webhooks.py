"""Handle platforms' notices, many at once: read, ask the platform, settle.

A notice proves nothing. It names a payment; the platform is asked about it, and what it answers is settled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from billing_core.domain.events import Origin
from billing_core.errors import MalformedMessage, PlatformError
from billing_core.messages import Envelope, InboundMessage, PurchaseUpdated, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.platforms import PaymentPlatform
from billing_core.ports.storage import OpenUnitOfWork, Owner
from billing_core.use_cases.ask_platforms import AskPlatforms, PlatformAnswer, Question
from billing_core.use_cases.inbound import (
    UNKNOWN_REFERENCE_DELAYS_S,
    Done,
    Outcome,
    Parked,
    Retry,
    backoff_s,
    parked_messages,
    understand,
)
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases

SOURCE = "billing-purchase-updated"
# A platform that refuses us for good (a revoked token) is asked for some 20 minutes, for an operator may mend it; then
# the notice is parked, to be replayed, and the reconciler goes on asking.
HOPELESS_ATTEMPTS = 10

Reference = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Read:
    """A message as far as it is understood: what it points at, or already its outcome."""

    message: InboundMessage
    envelope: Envelope | None = None
    reference: Reference | None = None
    outcome: Outcome | None = None


class HandleWebhooks:
    """Handles `evt.webhook.app.purchase_updated`."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        platforms: Mapping[str, PaymentPlatform],
        ask: AskPlatforms,
        settle: SettlePurchases,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._units, self._platforms, self._ask, self._settle = units, platforms, ask, settle
        self._clock, self._new_id = clock, new_id

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will settle what the notices are about and say, message by message, what became of it.

        A message whose purchase is not known yet, or whose platform is in trouble, is to be delivered again later.
        Raises StorageUnavailable; then nothing is acknowledged and every message may come again.
        """
        read = [self._read(message) for message in messages]
        owners, seen = await self._load(read)
        read = [_known_before(each, owners, seen) for each in read]
        answers = await self._ask_once(read, owners)
        settlements = []
        for place, each in enumerate(read):
            if each.outcome is None and each.reference is not None and each.envelope is not None:
                outcome = _weigh(answers[each.reference], each)
                read[place] = replace(each, outcome=outcome)
                if isinstance(outcome, Done):
                    settlements.append(_settlement(each.envelope, owners[each.reference], answers[each.reference]))
        await self._settle(settlements, source=SOURCE)
        outcomes = [each.outcome or Done() for each in read]
        await self._park(read, outcomes)
        return outcomes

    def _read(self, message: InboundMessage) -> _Read:
        envelope = understand(message)
        if isinstance(envelope, Parked):
            return _Read(message, outcome=envelope)
        try:
            updated = read_data(PurchaseUpdated, envelope.data)
            platform = self._platforms.get(updated.platform)
            if platform is None:
                raise MalformedMessage(f"platform: {updated.platform!r} is not configured")
            notice = platform.read_notice(updated.payload)
        except MalformedMessage as wrong:
            return _Read(message, envelope, outcome=Parked(reason=str(wrong)))
        if notice is None:
            return _Read(message, envelope, outcome=Done())
        return _Read(message, envelope, (updated.platform, notice.platform_reference))

    async def _load(self, read: Sequence[_Read]) -> tuple[Mapping[Reference, Owner], frozenset[str]]:
        references = sorted({each.reference for each in read if each.reference is not None})
        message_ids = [each.envelope.message_id for each in read if each.envelope is not None]
        if not references:
            return {}, frozenset()
        async with self._units() as uow:
            return await uow.purchases.owners(references), await uow.inbox.seen(SOURCE, message_ids)

    async def _ask_once(
        self, read: Sequence[_Read], owners: Mapping[Reference, Owner]
    ) -> Mapping[Reference, PlatformAnswer]:
        wanted = {each.reference for each in read if each.outcome is None and each.reference is not None}
        references = sorted(wanted)
        questions = [
            Question(platform=reference[0], platform_reference=reference[1], account=owners[reference].account)
            for reference in references
        ]
        return dict(zip(references, await self._ask(questions), strict=True))

    async def _park(self, read: Sequence[_Read], outcomes: Sequence[Outcome]) -> None:
        ids = [each.envelope.message_id if each.envelope else None for each in read]
        messages = [each.message for each in read]
        now = self._clock.now()
        if kept := parked_messages(SOURCE, messages, outcomes, ids, at=now, new_id=self._new_id):
            async with self._units() as uow:
                await uow.parked.add(kept)
                await uow.commit()


def _known_before(read: _Read, owners: Mapping[Reference, Owner], seen: frozenset[str]) -> _Read:
    if read.outcome is not None or read.reference is None or read.envelope is None:
        return read
    if read.envelope.message_id in seen:
        return replace(read, outcome=Done())
    if read.reference in owners:
        return read
    attempt = read.message.attempt
    if attempt > len(UNKNOWN_REFERENCE_DELAYS_S):
        return replace(read, outcome=Parked(reason=f"no purchase has the reference {read.reference[1]!r}"))
    delay = UNKNOWN_REFERENCE_DELAYS_S[attempt - 1]
    return replace(read, outcome=Retry(delay_s=delay, reason="no purchase has this reference yet"))


def _weigh(answer: PlatformAnswer, read: _Read) -> Outcome:
    if isinstance(answer, PlatformError):
        if not answer.retryable and read.message.attempt >= HOPELESS_ATTEMPTS:
            return Parked(reason=str(answer))
        asked_for = int(answer.retry_after_s or 0)
        return Retry(delay_s=max(asked_for, backoff_s(read.message.attempt)), reason=str(answer))
    if answer is None:
        return Parked(reason="the platform knows no such payment of this account")
    return Done()


def _settlement(envelope: Envelope, owner: Owner, answer: PlatformAnswer) -> Settlement:
    origin = Origin(
        actor=SOURCE,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        reason=f"notice {envelope.message_id}",
    )
    return Settlement(
        merchant_id=owner.merchant_id,
        purchase_id=owner.purchase_id,
        report=None if isinstance(answer, PlatformError) else answer,
        by=origin,
        message_id=envelope.message_id,
    )
