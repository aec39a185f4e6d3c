"""Answer what platforms ask about people's data: Shopify's compliance webhooks.

Billing holds nothing about the customers of a shop, which is recorded and all there is to do. A shop that is gone is
redacted, under every merchant id it was announced by.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from billing_core.domain.events import Origin
from billing_core.domain.pseudonyms import Pseudonyms, is_same_account
from billing_core.errors import MalformedMessage, RedactionNotConfigured
from billing_core.messages import Envelope, PurchaseUpdated
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.platforms import AsksForPrivacy, PaymentPlatform, PrivacyTopic
from billing_core.ports.privacy import PrivacyRecord
from billing_core.ports.storage import OpenUnitOfWork
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry
from billing_core.use_cases.redact_merchants import Account, Redaction, RedactMerchants

# A purchase that may still be paid puts a redaction off. It may be over sooner than its deadline.
LONGEST_DELAY: Final = timedelta(hours=1)
NOTHING_HELD: Final = "nothing held about customers"
_SHORTEST_DELAY: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRequest:
    """One thing that was asked: about a platform account, or about people nobody here knows."""

    topic: PrivacyTopic
    platform: str
    account: str | None
    envelope: Envelope


class AnswerPrivacyRequests:
    """Answers many requests, each once."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        platforms: Mapping[str, PaymentPlatform],
        redact: RedactMerchants,
        clock: Clock,
        new_id: NewId,
        pseudonyms: Pseudonyms | None,
    ) -> None:
        self._units, self._redact, self._clock, self._new_id = units, redact, clock, new_id
        self._pseudonyms = pseudonyms
        self._platforms = {name: each for name, each in platforms.items() if isinstance(each, AsksForPrivacy)}
        self._topics = {
            (name, topic): asks for name, each in self._platforms.items() for topic, asks in each.privacy_topics.items()
        }

    def is_asked_by(self, platform: str, topic: str | None) -> bool:
        """Whether a message of this topic asks about people's data."""
        return (platform, topic) in self._topics

    def read(self, updated: PurchaseUpdated, envelope: Envelope) -> PrivacyRequest:
        """This will read what a message asks. Of one about customers nothing but the shop is read, and nothing kept:
        it tells more of them than is ours to know. Raises MalformedMessage where a shop to be redacted is not named."""
        topic = self._topics[updated.platform, updated.topic or ""]
        platform, account = self._platforms[updated.platform], None
        if topic is PrivacyTopic.SHOP_REDACTION:
            account = platform.read_shop(updated.payload)
        else:
            with suppress(MalformedMessage):  # it is answered all the same, and must not be parked with its body
                account = platform.read_shop(updated.payload)
        return PrivacyRequest(topic=topic, platform=updated.platform, account=account, envelope=envelope)

    async def __call__(self, requests: Sequence[PrivacyRequest], *, source: str) -> Sequence[Outcome]:
        """This will do what is asked, record it, and say of each request what became of it. A repeat changes nothing.
        Raises StorageUnavailable with nothing acknowledged."""
        async with self._units() as uow:
            seen = await uow.inbox.seen(source, [each.envelope.message_id for each in requests])
        fresh = {each.envelope.message_id: each for each in requests if each.envelope.message_id not in seen}
        gone = await self._redacted(fresh.values(), source)
        outcomes = {
            key: gone[_shop(each)] if each.topic is PrivacyTopic.SHOP_REDACTION else Done(note=NOTHING_HELD)
            for key, each in fresh.items()
        }
        await self._record([fresh[key] for key, outcome in outcomes.items() if isinstance(outcome, Done)], source)
        return [outcomes.get(each.envelope.message_id, Done()) for each in requests]

    async def _redacted(self, requests: Collection[PrivacyRequest], source: str) -> Mapping[Account, Outcome]:
        asking = [each for each in requests if each.topic is PrivacyTopic.SHOP_REDACTION]
        if not asking:
            return {}
        shops = sorted({_shop(each) for each in asking})
        by = Origin(actor=source, correlation_id=asking[0].envelope.correlation_id, reason=PrivacyTopic.SHOP_REDACTION)
        try:
            redactions = await self._redact.shops(shops, by)
        except RedactionNotConfigured as lacking:
            return dict.fromkeys(shops, Parked(reason=str(lacking)))
        return {shop: self._outcome(shop, redactions) for shop in shops}

    def _outcome(self, shop: Account, redactions: Sequence[Redaction]) -> Outcome:
        platform, account = shop
        ours = [
            each
            for each in redactions
            if each.before.platform == platform
            and is_same_account(self._pseudonyms, platform, each.before.platform_account_id, account)
        ]
        payable = [each.payable_until for each in ours if each.payable_until is not None]
        if payable:
            left = min(max(max(payable) - self._clock.now(), _SHORTEST_DELAY), LONGEST_DELAY)
            return Retry(delay_s=int(left.total_seconds()), reason="the shop has a purchase that may still be paid")
        return Done(note=f"{len(ours)} merchant(s) of the shop redacted")

    async def _record(self, answered: Sequence[PrivacyRequest], source: str) -> None:
        if not answered:
            return
        async with self._units() as uow:
            now = self._clock.now()
            new = await uow.inbox.record(source, [each.envelope.message_id for each in answered], now)
            records = [
                PrivacyRecord(
                    record_id=self._new_id(),
                    at=now,
                    what=each.topic,
                    platform=each.platform,
                    account=self._pseudonym(each),
                    merchant_id=None,
                    actor=source,
                    reason="" if each.topic is PrivacyTopic.SHOP_REDACTION else NOTHING_HELD,
                )
                for each in answered
                if each.envelope.message_id in new
            ]
            await uow.redactions.record(records)
            await uow.commit()

    def _pseudonym(self, request: PrivacyRequest) -> str | None:
        if self._pseudonyms is None or request.account is None:
            return None
        return self._pseudonyms.of_account(request.platform, request.account)


def _shop(request: PrivacyRequest) -> Account:
    # One that names no shop was not let in.
    return request.platform, cast("str", request.account)
