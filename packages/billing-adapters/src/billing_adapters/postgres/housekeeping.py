"""Forgetting what may be forgotten; each call is bounded and a transaction of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Delete, Table, bindparam, delete, func, select

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement, among
from billing_adapters.postgres.tables import idempotency_keys, inbox
from billing_core.domain.idempotency import RequestKey


def _delete(table: Table, moment: Column[object]) -> Delete:
    # Rows that someone holds are left for the next time; two purges at once share the work.
    old = (
        select(table)
        .where(moment < bindparam("before", type_=DateTime(timezone=True)))
        .order_by(moment)
        .limit(bindparam("limit", type_=BigInteger()))
        .with_for_update(skip_locked=True)
    )
    return delete(table).where(among(old))


_PURGE_KEYS: Final = Statement(
    _delete(idempotency_keys, idempotency_keys.c.created_at).returning(*idempotency_keys.primary_key.columns)
)
# By a function of the owner's: workers may delete no event, only have old ones that were published deleted.
_PURGE_EVENTS: Final = Statement(
    select(
        func.billing_purge_events(
            bindparam("before", type_=DateTime(timezone=True)), bindparam("limit", type_=BigInteger())
        ).label("purged")
    )
)
_PURGE_INBOX: Final = Statement(_delete(inbox, inbox.c.received_at))


class PostgresHousekeeping:
    """Deletes old rows in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge_keys(self, created_before: datetime, limit: int) -> Sequence[RequestKey]:
        """This will forget idempotency keys older than the moment, and say which."""
        rows = await self._database.rows(_PURGE_KEYS, before=created_before, limit=limit)
        return [RequestKey(merchant_id=row["merchant_id"], route=row["route"], key=row["key"]) for row in rows]

    async def purge_events(self, published_before: datetime, limit: int) -> int:
        """This will forget outbox rows published before the moment, and say how many."""
        row = await self._database.row(_PURGE_EVENTS, before=published_before, limit=limit)
        return int(row["purged"]) if row else 0

    async def purge_inbox(self, received_before: datetime, limit: int) -> int:
        """This will forget handled message ids older than the moment, and say how many."""
        return await self._database.run(_PURGE_INBOX, before=received_before, limit=limit)
