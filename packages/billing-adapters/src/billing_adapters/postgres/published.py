"""Events that went out before, still kept, to be published again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.rows import OUTBOX_COLUMNS, outbox_event_of
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import outbox
from billing_core.ports.publishing import OutboxEvent

# Those not published yet are the relay's: sent by anyone else they might overtake the ones before them.
_IDS = select(outbox.c.event_id).where(outbox.c.published_at.is_not(None))
_OF_MERCHANT: Final = Statement(
    _IDS.where(outbox.c.merchant_id == bindparam("merchant_id"))
    .where(outbox.c.sequence.between(bindparam("first"), bindparam("last")))
    .order_by(outbox.c.sequence)
)
_SINCE: Final = Statement(
    _IDS.where(outbox.c.published_at >= bindparam("moment", type_=outbox.c.published_at.type)).order_by(
        outbox.c.position
    )
)
_EVENTS: Final = Statement(
    select(*OUTBOX_COLUMNS)
    .where(outbox.c.event_id == any_(bindparam("event_ids", type_=ARRAY(outbox.c.event_id.type))))
    .where(outbox.c.published_at.is_not(None))
    .order_by(outbox.c.position)
)


class PostgresPublishedEvents:
    """The part of the outbox that is with the broker. The order is always that of going out, which is each merchant's
    sequence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ids_of(self, merchant_id: str, first: int, last: int) -> Sequence[UUID]:
        """The ids of the merchant's events from sequence `first` to `last`."""
        rows = await self._database.rows(_OF_MERCHANT, merchant_id=merchant_id, first=first, last=last)
        return [row["event_id"] for row in rows]

    async def ids_since(self, moment: datetime) -> Sequence[UUID]:
        """The ids of all events published at the moment or later."""
        return [row["event_id"] for row in await self._database.rows(_SINCE, moment=moment)]

    async def events(self, event_ids: Sequence[UUID]) -> Sequence[OutboxEvent]:
        """Those of the events that are kept and were published."""
        return [outbox_event_of(row) for row in await self._database.rows(_EVENTS, event_ids=list(event_ids))]
