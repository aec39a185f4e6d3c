"""Handle platforms' notices, many at once: read, find whose they are, ask the platform, settle.

A notice proves nothing. It points at a payment; the platform is asked about it, and what it answers is settled. What
comes under a topic about people's data is no notice, and is answered apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing_core.domain.events import Origin
from billing_core.domain.pseudonyms import Pseudonyms, is_same_account
from billing_core.errors import MalformedMessage, PlatformError, PlatformFault
from billing_core.messages import Envelope, InboundMessage, PurchaseUpdated, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.platforms import Notice, PaymentPlatform, PlatformAccount
from billing_core.ports.storage import OpenUnitOfWork, Owner, UnitOfWork
from billing_core.use_cases.answer_privacy_requests import AnswerPrivacyRequests, PrivacyRequest
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


@dataclass(slots=True)
class _Read:
    """A message on its way to its outcome: what is known of it so far."""

    message: InboundMessage
    envelope: Envelope | None = None
    platform: str = ""
    notice: Notice | None = None
    platform_domain: str | None = None
    asked: PrivacyRequest | None = None
    owner: Owner | None = None
    question: Question | None = None
    outcome: Outcome | None = None

    @property
    def message_id(self) -> str | None:
        """The id the message is known by, where it could be read."""
        return self.envelope.message_id if self.envelope else None


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
        privacy: AnswerPrivacyRequests | None = None,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._units, self._platforms, self._ask, self._settle = units, platforms, ask, settle
        self._clock, self._new_id, self._privacy, self._pseudonyms = clock, new_id, privacy, pseudonyms

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will settle what the notices are about and say, message by message, what became of it.

        A message whose purchase is not known yet, or whose platform is in trouble, is to be delivered again later.
        Raises StorageUnavailable; then nothing is acknowledged and every message may come again.
        """
        read = [self._read(message) for message in messages]
        await self._trace(_undecided(read))
        asked_at = await self._find_owners(_undecided(read))
        asking = [each for each, _ in _undecided(read)]
        answers = await self._ask([each.question for each in asking if each.question], asked_at)
        settlements = []
        for each, answer in zip(asking, answers, strict=True):
            each.outcome = _weigh(answer, each)
            if each.envelope and each.owner and isinstance(each.outcome, Done):
                settlements.append(_settlement(each.envelope, each.owner, answer))
        await self._settle(settlements, source=SOURCE)
        await self._answer_privacy(read)
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
            if self._privacy is not None and self._privacy.is_asked_by(updated.platform, updated.topic):
                asked = self._privacy.read(updated, envelope)
                return _Read(message, envelope, updated.platform, asked=asked)
            notice = platform.read_notice(updated.payload)
        except MalformedMessage as wrong:
            return _Read(message, envelope, outcome=Parked(reason=str(wrong)))
        outcome = None if notice else Done()
        return _Read(message, envelope, updated.platform, notice, updated.platform_domain, outcome=outcome)

    async def _trace(self, undecided: Sequence[tuple[_Read, Notice]]) -> None:
        """Notices that name a payment alone get the reference of its checkout from their platform."""
        untraced = [(each, told, payment_id) for each, told in undecided if (payment_id := _untraced(told))]
        payments = sorted({(each.platform, payment_id) for each, _, payment_id in untraced})
        traced = dict(zip(payments, await self._ask.trace(payments), strict=True))
        for each, told, payment_id in untraced:
            reference = traced[each.platform, payment_id]
            if isinstance(reference, PlatformError):
                each.outcome = _trouble(reference, each)
            else:
                each.notice = replace(told, platform_reference=reference)

    async def _find_owners(self, undecided: Sequence[tuple[_Read, Notice]]) -> datetime:
        ids = [each.message_id for each, _ in undecided if each.message_id is not None]
        named = [_references(each.platform, told) for each, told in undecided]
        references = sorted({reference for some in named for reference in some})
        async with self._units() as uow:
            asked_at = await uow.now()
            seen = await uow.inbox.seen(SOURCE, ids) if ids else frozenset()
            owners = await uow.purchases.owners(references) if references else {}
            for (each, told), its_references in zip(undecided, named, strict=True):
                if each.message_id in seen:
                    each.outcome = Done()
                else:
                    owner = next((owners[its] for its in its_references if its in owners), None)
                    await self._own(uow, each, told, owner)
        return asked_at

    async def _own(self, uow: UnitOfWork, read: _Read, notice: Notice, owner: Owner | None) -> None:
        """This will note whose the payment is, and what to ask about it; or the outcome of one nobody here opened."""
        if owner is None:
            read.outcome = _unknown(read, notice)
            return
        told, known = notice.platform_account_id, owner.account.platform_account_id
        if told is not None and told != known:
            if not is_same_account(self._pseudonyms, read.platform, known, told):
                read.outcome = Parked(reason="the notice names another account than the payment's")
                return
            # It was redacted, and is asked about under the name the notice told, which is kept nowhere.
            owner = replace(
                owner, account=PlatformAccount(platform_account_id=told, platform_domain=read.platform_domain)
            )
        read.owner, read.question = owner, await _question(uow, read, notice, owner)

    async def _answer_privacy(self, read: Sequence[_Read]) -> None:
        asking = [(each, each.asked) for each in read if each.asked is not None]
        if self._privacy is not None and asking:
            outcomes = await self._privacy([asked for _, asked in asking], source=SOURCE)
            for (each, _), outcome in zip(asking, outcomes, strict=True):
                each.outcome = outcome

    async def _park(self, read: Sequence[_Read], outcomes: Sequence[Outcome]) -> None:
        ids, messages = [each.message_id for each in read], [each.message for each in read]
        now = self._clock.now()
        if kept := parked_messages(SOURCE, messages, outcomes, ids, at=now, new_id=self._new_id):
            async with self._units() as uow:
                await uow.parked.add(kept)
                await uow.commit()


def _undecided(read: Sequence[_Read]) -> list[tuple[_Read, Notice]]:
    """Those without an outcome, with the notice that each of them is."""
    return [(each, each.notice) for each in read if each.outcome is None and each.notice is not None]


def _untraced(notice: Notice) -> str | None:
    """The payment id of a notice that names no checkout."""
    return notice.payment_id if notice.platform_reference is None else None


def _references(platform: str, notice: Notice) -> list[tuple[str, str]]:
    """The references the payment may be claimed under, the surest first."""
    named = (notice.platform_reference, notice.purchase_reference)
    return [(platform, each) for each in named if each is not None]


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
