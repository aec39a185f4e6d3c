"""Forgetting what may be forgotten; each call is bounded and a transaction of its own."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Table, bindparam, delete, select, tuple_

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import idempotency_keys, inbox, outbox


def _purge(table: Table, moment: Column[object]) -> Statement:
    key = tuple(table.primary_key.columns)
    # Rows that someone holds are left for the next time; two purges at once share the work.
    old = (
        select(*key)
        .where(moment < bindparam("before", type_=DateTime(timezone=True)))
        .order_by(moment)
        .limit(bindparam("limit", type_=BigInteger()))
        .with_for_update(skip_locked=True)
    )
    return Statement(delete(table).where(tuple_(*key).in_(old)))


_PURGE_KEYS: Final = _purge(idempotency_keys, idempotency_keys.c.created_at)
_PURGE_EVENTS: Final = _purge(outbox, outbox.c.published_at)
_PURGE_INBOX: Final = _purge(inbox, inbox.c.received_at)


class PostgresHousekeeping:
    """Deletes old rows in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge_keys(self, created_before: datetime, limit: int) -> int:
        """This will forget idempotency keys older than the moment, and say how many."""
        return await self._database.run(_PURGE_KEYS, before=created_before, limit=limit)

    async def purge_events(self, published_before: datetime, limit: int) -> int:
        """This will forget outbox rows published before the moment, and say how many."""
        return await self._database.run(_PURGE_EVENTS, before=published_before, limit=limit)

    async def purge_inbox(self, received_before: datetime, limit: int) -> int:
        """This will forget handled message ids older than the moment, and say how many."""
        return await self._database.run(_PURGE_INBOX, before=received_before, limit=limit)
