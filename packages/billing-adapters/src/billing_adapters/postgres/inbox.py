"""Which messages were handled."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.statements import Statement, given
from billing_adapters.postgres.tables import inbox
from billing_adapters.postgres.wire import Transaction

_GIVEN = given([inbox.c.message_id])

_SEEN: Final = Statement(
    select(inbox.c.message_id).where(
        inbox.c.source == bindparam("source"),
        inbox.c.message_id == any_(bindparam("message_id", type_=ARRAY(inbox.c.message_id.type))),
    )
)
# In one order everywhere, so that two batches with the same messages wait for each other and never in a ring.
_RECORD: Final = Statement(
    insert(inbox)
    .from_select(
        ["source", "message_id", "received_at"],
        select(
            bindparam("source", type_=inbox.c.source.type),
            _GIVEN.c.message_id,
            bindparam("at", type_=inbox.c.received_at.type),
        ).order_by(_GIVEN.c.message_id),
    )
    .on_conflict_do_nothing()
    .returning(inbox.c.message_id)
)


class PostgresInbox:
    """The inbox inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def seen(self, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        """Those of the messages that were handled before."""
        rows = await self._transaction.rows(_SEEN, source=source, message_id=list(message_ids))
        return frozenset(row["message_id"] for row in rows)

    async def record(self, source: str, message_ids: Sequence[str], at: datetime) -> frozenset[str]:
        """This will note the messages as handled and return those that were not before. Of two transactions with
        the same message the second waits for the first."""
        if not message_ids:
            return frozenset()
        rows = await self._transaction.rows(_RECORD, source=source, message_id=sorted(set(message_ids)), at=at)
        return frozenset(row["message_id"] for row in rows)
