"""Everything that is held about one merchant, read page by page, so that never more than a page of it is in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord
from billing_core.domain.merchants import Merchant
from billing_core.domain.redaction import Identity
from billing_core.domain.trials import Trial
from billing_core.ports.privacy import KeptEvent, MerchantData, RecordedEntry
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import ParkedMessage

PAGE = 500
# Their bodies may be as large as the broker lets them be.
PARKED_PAGE = 20
Row = TypeVar("Row")
Key = TypeVar("Key")


class MerchantPages:
    """Pages of at most `page` rows each."""

    def __init__(self, data: MerchantData, page: int = PAGE) -> None:
        self._data, self._page = data, page

    async def trials(self, merchant_id: str) -> AsyncIterator[Sequence[Trial]]:
        """All of its trials, oldest first, on one page: there are few."""
        yield await self._data.trials(merchant_id)

    def purchases(self, merchant_id: str) -> AsyncIterator[Sequence[StoredPurchase]]:
        """Its purchases, live and archived, by id."""
        return _pages(
            lambda after: self._data.purchases(merchant_id, after, self._page),
            lambda last: last.purchase.purchase_id,
            None,
            self._page,
        )

    def history(self, merchant_id: str) -> AsyncIterator[Sequence[RecordedEntry]]:
        """Its history, by subject and number."""
        return _pages(
            lambda after: self._data.history(merchant_id, after, self._page),
            lambda last: (last.subject_id, last.entry.number),
            None,
            self._page,
        )

    def grants(self, merchant_id: str) -> AsyncIterator[Sequence[CreditGrant]]:
        """Goodwill credits it was given, by id."""
        return _pages(
            lambda after: self._data.grants(merchant_id, after, self._page),
            lambda last: last.grant_id,
            None,
            self._page,
        )

    def events(self, merchant_id: str) -> AsyncIterator[Sequence[KeptEvent]]:
        """Its events that are still kept, by number."""
        return _pages(
            lambda after: self._data.events(merchant_id, after, self._page),
            lambda last: last.event.sequence,
            0,
            self._page,
        )

    def keys(self, merchant_id: str) -> AsyncIterator[Sequence[KeyRecord]]:
        """Its idempotency keys, by route and key."""
        return _pages(
            lambda after: self._data.keys(merchant_id, after, self._page), lambda last: last.key, None, self._page
        )

    async def parked(self, merchant: Merchant) -> AsyncIterator[Sequence[ParkedMessage]]:
        """Parked messages that speak of it, by id."""
        identity = Identity.of(merchant)
        found = _pages(
            lambda after: self._data.parked(identity.words, after, PARKED_PAGE),
            lambda last: last.parked_id,
            None,
            PARKED_PAGE,
        )
        async for page in found:
            yield [each for each in page if speaks_of(each, identity)]


def speaks_of(message: ParkedMessage, identity: Identity) -> bool:
    """Whether a parked message names the merchant anywhere."""
    texts = (message.message_id, message.reason, message.dropped.reason if message.dropped else "")
    return identity.is_named_in(message.body) or any(
        identity.is_named_in(text) for text in (*texts, *message.headers, *message.headers.values())
    )


async def _pages(
    read: Callable[[Key], Awaitable[Sequence[Row]]], key_of: Callable[[Row], Key], first: Key, page: int
) -> AsyncIterator[Sequence[Row]]:
    after = first
    while rows := await read(after):
        yield rows
        if len(rows) < page:
            return
        after = key_of(rows[-1])
