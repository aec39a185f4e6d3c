"""Hand out everything that is held about one merchant, piece by piece: the JSON text of a `MerchantFile`."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from billing_core.domain.events import rfc3339
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord
from billing_core.domain.merchants import Merchant
from billing_core.domain.trials import Trial
from billing_core.errors import MerchantNotFound
from billing_core.merchant_file import (
    FORMAT,
    VERSION,
    EventRecord,
    HistoryRecord,
    KeyRecordView,
    ParkedRecord,
    PrivacyRecordView,
    PurchaseRecord,
    TrialClaimRecord,
    document_in,
    text_of,
)
from billing_core.ports.clock import Clock
from billing_core.ports.privacy import KeptEvent, MerchantData, PrivacyRecord, RecordedEntry
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import ParkedMessage
from billing_core.use_cases.merchant_pages import PAGE, MerchantPages

Row = TypeVar("Row")


class ExportMerchant:
    """Writes what is held about a merchant; never more than a page of it is in memory."""

    def __init__(self, *, data: MerchantData, clock: Clock, page: int = PAGE) -> None:
        self._data, self._clock, self._page = data, clock, page

    async def __call__(self, merchant_id: str) -> AsyncIterator[bytes]:
        """This will give the document, UTF-8, in pieces that belong one after the other, with everything about the
        merchant as it is while they are read. Raises MerchantNotFound before the first one."""
        merchant = await self._data.merchant(merchant_id)
        if merchant is None:
            raise MerchantNotFound
        yield await self._head(merchant)
        pages = MerchantPages(self._data, self._page)
        sections: Sequence[tuple[str, type[Any], AsyncIterator[Sequence[Any]], Callable[[Any], Any]]] = (
            ("trials", Trial, pages.trials(merchant_id), _itself),
            ("purchases", PurchaseRecord, pages.purchases(merchant_id), _purchase),
            ("grants", CreditGrant, pages.grants(merchant_id), _itself),
            ("history", HistoryRecord, pages.history(merchant_id), _entry),
            ("events", EventRecord, pages.events(merchant_id), _event),
            ("idempotency_keys", KeyRecordView, pages.keys(merchant_id), _key),
            ("parked_messages", ParkedRecord, pages.parked(merchant), _parked),
            ("privacy", PrivacyRecordView, self._privacy(merchant_id), _privacy_record),
        )
        for name, kind, found, shown in sections:
            async for piece in _section(name, kind, found, shown):
                yield piece
        yield b"}\n"

    async def _head(self, merchant: Merchant) -> bytes:
        claim = await self._data.trial_claim(merchant.platform, merchant.platform_account_id)
        told = None if claim is None else TrialClaimRecord(merchant_id=claim.merchant_id, trial_id=claim.trial_id)
        return (
            f'{{"format": "{FORMAT}", "version": {VERSION}, "exported_at": "{rfc3339(self._clock.now())}", '
            f'"merchant": {_json(Merchant, merchant)}, '
            f'"trial_claim": {"null" if told is None else _json(TrialClaimRecord, told)}'
        ).encode()

    async def _privacy(self, merchant_id: str) -> AsyncIterator[Sequence[PrivacyRecord]]:
        yield await self._data.privacy_records(merchant_id)


async def _section(
    name: str, kind: type[Any], pages: AsyncIterator[Sequence[Row]], shown: Callable[[Row], Any]
) -> AsyncIterator[bytes]:
    yield f',\n"{name}": ['.encode()
    between = "\n"
    async for page in pages:
        rows = [_json(kind, shown(each)) for each in page]
        if rows:
            yield (between + ",\n".join(rows)).encode()
            between = ",\n"
    yield b"]"


def _json(kind: type[Any], value: Any) -> str:
    known = _ADAPTERS.get(kind)
    if known is None:
        known = _ADAPTERS[kind] = TypeAdapter(kind)
    return known.dump_json(value).decode()


# What writes each kind of row; made when it is first needed, for that takes milliseconds.
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}


# --- each kind of row as it is shown ---------------------------------------------------------------------------------


def _itself(row: Row) -> Row:
    return row


def _purchase(stored: StoredPurchase) -> PurchaseRecord:
    return PurchaseRecord(purchase=stored.purchase, archived=stored.archived)


def _entry(recorded: RecordedEntry) -> HistoryRecord:
    entry = recorded.entry
    return HistoryRecord(
        subject=recorded.subject,
        subject_id=recorded.subject_id,
        number=entry.number,
        at=entry.at,
        what=entry.what,
        status_before=entry.status_before,
        status_after=entry.status_after,
        actor=entry.actor,
        reason=entry.reason,
        correlation_id=entry.correlation_id,
    )


def _event(kept: KeptEvent) -> EventRecord:
    return EventRecord(
        sequence=kept.event.sequence,
        event_id=kept.event.event_id,
        type=kept.event.type,
        published_at=kept.published_at,
        event=document_in(kept.event.body),
    )


def _key(record: KeyRecord) -> KeyRecordView:
    answer = record.answer
    return KeyRecordView(
        route=record.key.route,
        key=record.key.key,
        created_at=record.created_at,
        purchase_id=record.purchase_id,
        outcome=None if answer is None else answer.outcome,
        answer=None if answer is None else document_in(answer.document),
    )


def _parked(message: ParkedMessage) -> ParkedRecord:
    body, encoding = text_of(message.body)
    return ParkedRecord(
        id=message.parked_id,
        subject=message.subject,
        message_id=message.message_id,
        parked_at=message.parked_at,
        reason=message.reason,
        headers=message.headers,
        body=body,
        body_encoding=encoding,
    )


def _privacy_record(record: PrivacyRecord) -> PrivacyRecordView:
    return PrivacyRecordView(at=record.at, what=record.what, actor=record.actor, reason=record.reason)
