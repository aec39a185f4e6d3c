"""What is held about a merchant, in memory: read whole, and redacted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar
from uuid import UUID

from billing_core.domain.events import Origin
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.ports.privacy import KeptEvent, PrivacyRecord, RecordedEntry, Renaming
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import ParkedMessage, TrialClaim
from billing_core.testing.memory.merchants import merchant_row
from billing_core.testing.memory.records import entry_of
from billing_core.testing.memory.tables import Tables
from billing_core.testing.memory.transaction import Transaction

Row = TypeVar("Row")


class InMemoryMerchantData:
    """Tells what is committed about one merchant."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """See `MerchantData.merchant`."""
        return self._tables.merchants.get(merchant_id)

    async def trial_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """See `MerchantData.trial_claim`."""
        return self._tables.trial_claims.get((platform, platform_account_id))

    async def trials(self, merchant_id: str) -> Sequence[Trial]:
        """See `MerchantData.trials`."""
        mine = [each for each in self._tables.trials.values() if each.merchant_id == merchant_id]
        return sorted(mine, key=lambda each: (each.started_at, each.trial_id))

    async def purchases(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """See `MerchantData.purchases`."""
        both = ((self._tables.purchases, False), (self._tables.archive, True))
        mine = [
            StoredPurchase(purchase=each, archived=archived)
            for table, archived in both
            for each in table.values()
            if each.merchant_id == merchant_id
        ]
        return _page(mine, lambda each: each.purchase.purchase_id, after, limit)

    async def history(self, merchant_id: str, after: tuple[UUID, int] | None, limit: int) -> Sequence[RecordedEntry]:
        """See `MerchantData.history`."""
        mine = [
            RecordedEntry(subject=each.subject, subject_id=each.subject_id, entry=entry_of(each))
            for each in self._tables.changes.values()
            if each.merchant_id == merchant_id
        ]
        return _page(mine, lambda each: (each.subject_id, each.entry.number), after, limit)

    async def grants(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[CreditGrant]:
        """See `MerchantData.grants`."""
        mine = [each for each in self._tables.grants.values() if each.merchant_id == merchant_id]
        return _page(mine, lambda each: each.grant_id, after, limit)

    async def events(self, merchant_id: str, after: int, limit: int) -> Sequence[KeptEvent]:
        """See `MerchantData.events`."""
        mine = [
            KeptEvent(event=row.event, published_at=row.published_at)
            for (whose, _), row in self._tables.outbox.items()
            if whose == merchant_id
        ]
        return _page(mine, lambda each: each.event.sequence, after, limit)

    async def keys(self, merchant_id: str, after: RequestKey | None, limit: int) -> Sequence[KeyRecord]:
        """See `MerchantData.keys`."""
        mine = [each for each in self._tables.keys.values() if each.key.merchant_id == merchant_id]
        return _page(mine, lambda each: _place_of(each.key), None if after is None else _place_of(after), limit)

    async def parked(self, words: Sequence[str], after: UUID | None, limit: int) -> Sequence[ParkedMessage]:
        """See `MerchantData.parked`."""
        found = [each for each in self._tables.parked.values() if _has_one_of(words, each)]
        return _page(found, lambda each: each.parked_id, after, limit)

    async def privacy_records(self, merchant_id: str) -> Sequence[PrivacyRecord]:
        """See `MerchantData.privacy_records`."""
        mine = [each for each in self._tables.privacy.values() if each.merchant_id == merchant_id]
        return sorted(mine, key=lambda each: (each.at, each.record_id))

    async def redaction_keys(self) -> frozenset[str]:
        """See `MerchantData.redaction_keys`."""
        return frozenset(each.key_id for each in self._tables.privacy.values() if each.key_id is not None)


class InMemoryRedactions:
    """Replaces what one transaction redacts."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def lock_accounts(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Merchant]:
        """See `Redactions.lock_accounts`."""
        wanted = set(accounts)
        for account in sorted(wanted):
            await self._tx.hold(("trial claim", *account))
        found = sorted(each.merchant_id for each in self._tx.view.merchants.rows() if _account_of(each) in wanted)
        for merchant_id in found:
            await self._tx.hold(merchant_row(merchant_id))
        now = [self._tx.view.merchants.get(merchant_id) for merchant_id in found]
        return [each for each in now if each is not None and _account_of(each) in wanted]

    async def rename_accounts(self, renamings: Sequence[Renaming]) -> None:
        """See `Redactions.rename_accounts`."""
        claims = self._tx.view.trial_claims
        for each in sorted(renamings, key=lambda each: (each.platform, each.before)):
            before, after = (each.platform, each.before), (each.platform, each.after)
            for name in sorted((before, after)):
                await self._tx.hold(("trial claim", *name))
            if (claim := claims.get(before)) is None:
                continue
            claims.remove(before)
            claims.put(after, claims.get(after) or claim)

    async def save_trials(self, trials: Sequence[Trial]) -> None:
        """See `Redactions.save_trials`."""
        for each in trials:
            await self._tx.hold(("trial", each.trial_id))
            before = self._tx.view.trials.get(each.trial_id)
            if before is not None:
                after = replace(before, platform_account_id=each.platform_account_id)
                self._tx.view.trials.put(each.trial_id, after)

    async def save_purchases(self, purchases: Sequence[Purchase]) -> None:
        """See `Redactions.save_purchases`."""
        for each in purchases:
            await self._tx.hold(("purchase", each.purchase_id))
            for table in (self._tx.view.purchases, self._tx.view.archive):
                if (before := table.get(each.purchase_id)) is not None:
                    names = ("platform_account_id", "return_url", "checkout_url")
                    table.put(each.purchase_id, replace(before, **{name: getattr(each, name) for name in names}))

    async def save_entries(self, merchant_id: str, entries: Sequence[RecordedEntry]) -> None:
        """See `Redactions.save_entries`."""
        for each in entries:
            key = (each.subject_id, each.entry.number)
            change = self._tx.view.changes.get(key)
            if change is not None and change.merchant_id == merchant_id:
                by = Origin(actor=each.entry.actor, correlation_id=each.entry.correlation_id)
                # The history keeps no fact: that is the event's.
                self._tx.view.changes.put(key, replace(change, by=by, reason=each.entry.reason, fact=None))

    async def save_grants(self, grants: Sequence[CreditGrant]) -> None:
        """See `Redactions.save_grants`."""
        for each in grants:
            await self._tx.hold(("grant", each.grant_id))
            if (before := self._tx.view.grants.get(each.grant_id)) is not None:
                self._tx.view.grants.put(each.grant_id, replace(before, reason=each.reason))

    async def save_events(self, events: Sequence[OutboxEvent]) -> None:
        """See `Redactions.save_events`."""
        for each in events:
            key = (each.merchant_id, each.sequence)
            if (row := self._tx.view.outbox.get(key)) is not None:
                self._tx.view.outbox.put(key, replace(row, event=replace(row.event, body=each.body)))

    async def save_parked(self, messages: Sequence[ParkedMessage]) -> None:
        """See `Redactions.save_parked`."""
        for each in messages:
            await self._tx.hold(("parked", each.source, each.message_id))
            if self._tx.view.parked.get(each.parked_id) is not None:
                self._tx.view.parked.put(each.parked_id, each)

    async def forget_keys(self, merchant_id: str, limit: int) -> Sequence[RequestKey]:
        """See `Redactions.forget_keys`."""
        mine = sorted(
            (each.key for each in self._tx.view.keys.rows() if each.key.merchant_id == merchant_id), key=_place_of
        )[:limit]
        for key in mine:
            await self._tx.hold(("key", key))
            self._tx.view.keys.remove(key)
        return mine

    async def record(self, records: Sequence[PrivacyRecord]) -> None:
        """See `Redactions.record`."""
        for each in records:
            self._tx.view.privacy.put(each.record_id, each)


def _page(rows: Iterable[Row], key_of: Callable[[Row], Any], after: Any, limit: int) -> list[Row]:
    return [each for each in sorted(rows, key=key_of) if after is None or key_of(each) > after][:limit]


def _place_of(key: RequestKey) -> tuple[str, str]:
    return key.route, key.key


def _account_of(merchant: Merchant) -> tuple[str, str]:
    return merchant.platform, merchant.platform_account_id


def _has_one_of(words: Sequence[str], message: ParkedMessage) -> bool:
    dropped = message.dropped.reason if message.dropped else ""
    texts = [message.message_id, message.reason, dropped, *chain.from_iterable(message.headers.items())]
    written = [message.body.lower(), *(text.lower().encode("utf-8", "surrogatepass") for text in texts)]
    return any(word.encode() in each for word in words for each in written)
