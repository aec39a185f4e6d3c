"""Handle platforms' notices, many at once: read, find whose they are, ask the platform, settle.

A notice proves nothing. It points at a payment; the platform is asked about it, and what it answers is settled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing_core.domain.events import Origin
from billing_core.errors import MalformedMessage, PlatformError, PlatformFault
from billing_core.messages import Envelope, InboundMessage, PurchaseUpdated, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.platforms import Notice, PaymentPlatform
from billing_core.ports.storage import OpenUnitOfWork, Owner, UnitOfWork
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


@dataclass(frozen=True, slots=True)
class _Read:
    """A message as far as it is understood: whose payment to ask about, or already its outcome."""

    message: InboundMessage
    envelope: Envelope | None = None
    platform: str = ""
    notice: Notice | None = None
    owner: Owner | None = None
    question: Question | None = None
    outcome: Outcome | None = None

    @property
    def message_id(self) -> str | None:
        """The id the message is known by, where it could be read."""
        return self.envelope.message_id if self.envelope else None

    @property
    def references(self) -> list[tuple[str, str]]:
        """The references the payment may be claimed under, the surest first."""
        if self.outcome is not None or self.notice is None:
            return []
        named = (self.notice.platform_reference, self.notice.purchase_reference)
        return [(self.platform, each) for each in named if each is not None]


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
        understood = await self._trace([self._read(message) for message in messages])
        read, asked_at = await self._find_owners(understood)
        answers = await self._ask_once(read, asked_at)
        settlements = []
        for place, each in enumerate(read):
            if each.outcome is None and each.envelope and each.owner and each.question:
                answer = answers[each.question]
                outcome = _weigh(answer, each)
                read[place] = replace(each, outcome=outcome)
                if isinstance(outcome, Done):
                    settlements.append(_settlement(each.envelope, each.owner, answer))
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
        return _Read(message, envelope, updated.platform, notice, outcome=None if notice else Done())

    async def _trace(self, read: Sequence[_Read]) -> Sequence[_Read]:
        """Notices that name a payment alone get the reference of its checkout from their platform."""
        payments = sorted({(each.platform, payment_id) for each in read if (payment_id := _untraced(each))})
        traced = dict(zip(payments, await self._ask.trace(payments), strict=True))
        return [
            _traced(each, each.notice, traced[each.platform, payment_id])
            if each.notice and (payment_id := _untraced(each))
            else each
            for each in read
        ]

    async def _find_owners(self, read: Sequence[_Read]) -> tuple[list[_Read], datetime]:
        ids = [each.message_id for each in read if each.outcome is None and each.message_id is not None]
        references = sorted({reference for each in read for reference in each.references})
        async with self._units() as uow:
            asked_at = await uow.now()
            seen = await uow.inbox.seen(SOURCE, ids) if ids else frozenset()
            owners = await uow.purchases.owners(references) if references else {}
            return [await _owned(uow, each, owners, seen) for each in read], asked_at

    async def _ask_once(self, read: Sequence[_Read], asked_at: datetime) -> Mapping[Question, PlatformAnswer]:
        wanted = list(dict.fromkeys(each.question for each in read if each.outcome is None and each.question))
        return dict(zip(wanted, await self._ask(wanted, asked_at), strict=True))

    async def _park(self, read: Sequence[_Read], outcomes: Sequence[Outcome]) -> None:
        ids, messages = [each.message_id for each in read], [each.message for each in read]
        now = self._clock.now()
        if kept := parked_messages(SOURCE, messages, outcomes, ids, at=now, new_id=self._new_id):
            async with self._units() as uow:
                await uow.parked.add(kept)
                await uow.commit()


def _untraced(read: _Read) -> str | None:
    """The payment id of a notice that names no checkout."""
    if read.outcome is not None or read.notice is None or read.notice.platform_reference is not None:
        return None
    return read.notice.payment_id


def _traced(read: _Read, notice: Notice, reference: str | PlatformError | None) -> _Read:
    if isinstance(reference, PlatformError):
        return replace(read, outcome=_trouble(reference, read))
    return replace(read, notice=replace(notice, platform_reference=reference))


async def _owned(uow: UnitOfWork, read: _Read, owners: Mapping[tuple[str, str], Owner], seen: frozenset[str]) -> _Read:
    """Whose the payment is, and what to ask about it; or the outcome of a repeat, or of one nobody here opened."""
    if read.outcome is not None or read.notice is None:
        return read
    if read.message_id in seen:
        return replace(read, outcome=Done())
    owner = next((owners[each] for each in read.references if each in owners), None)
    if owner is None:
        return replace(read, outcome=_unknown(read, read.notice))
    if read.notice.platform_account_id not in (None, owner.account.platform_account_id):
        return replace(read, outcome=Parked(reason="the notice names another account than the payment's"))
    return replace(read, owner=owner, question=await _question(uow, read, read.notice, owner))


async def _question(uow: UnitOfWork, read: _Read, notice: Notice, owner: Owner) -> Question:
    """What to ask: how the checkout stands that the notice names, else the one our purchase was given."""
    if notice.platform_reference is not None:
        return Question(platform=read.platform, platform_reference=notice.platform_reference, account=owner.account)
    purchase = await uow.purchases.get(owner.merchant_id, owner.purchase_id)
    if purchase is None:
        raise AssertionError("a purchase is never removed")
    return Question.about(purchase, owner.account)


def _unknown(read: _Read, notice: Notice) -> Outcome:
    attempt = read.message.attempt
    if attempt > len(UNKNOWN_REFERENCE_DELAYS_S):
        named = notice.platform_reference or notice.purchase_reference or notice.payment_id
        return Parked(reason=f"no purchase has the reference {named!r}")
    return Retry(delay_s=UNKNOWN_REFERENCE_DELAYS_S[attempt - 1], reason="no purchase has this reference yet")


def _weigh(answer: PlatformAnswer, read: _Read) -> Outcome:
    if isinstance(answer, PlatformError):
        return _trouble(answer, read)
    if answer is None:
        return Parked(reason="the platform knows no such payment of this account")
    return Done()


def _trouble(trouble: PlatformError, read: _Read) -> Outcome:
    fault = trouble if isinstance(trouble, PlatformFault) else None
    if not trouble.retryable and read.message.attempt >= HOPELESS_ATTEMPTS:
        return Parked(reason=str(trouble), fault=fault)
    asked_for = int(trouble.retry_after_s or 0)
    return Retry(delay_s=max(asked_for, backoff_s(read.message.attempt)), reason=str(trouble), fault=fault)


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
