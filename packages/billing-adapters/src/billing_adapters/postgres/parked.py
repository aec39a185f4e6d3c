"""Messages that could not be handled."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.rows import PARKED_COLUMNS, parked_message_of, parked_values
from billing_adapters.postgres.statements import Statement, arrays, given
from billing_adapters.postgres.tables import is_waiting, parked_messages
from billing_adapters.postgres.wire import Transaction
from billing_core.errors import ParkedMessageNotFound
from billing_core.ports.storage import Dropped, ParkedMessage

_GIVEN = given(PARKED_COLUMNS)
_READ = select(*PARKED_COLUMNS)
_NEWEST = (parked_messages.c.parked_at.desc(), parked_messages.c.parked_id.desc())

_ADD: Final = Statement(
    insert(parked_messages)
    .from_select(
        [column.name for column in PARKED_COLUMNS], select(*_GIVEN.c).order_by(_GIVEN.c.source, _GIVEN.c.message_id)
    )
    .on_conflict_do_nothing(index_elements=["source", "message_id"], index_where=is_waiting)
)
_ONE = parked_messages.c.parked_id == bindparam("parked_id")
_GET: Final = Statement(_READ.where(_ONE))
_LIST: Final = Statement(_READ.order_by(*_NEWEST).limit(bindparam("limit", type_=BigInteger())))
_LIST_WAITING: Final = Statement(
    _READ.where(is_waiting).order_by(*_NEWEST).limit(bindparam("limit", type_=BigInteger()))
)
_AT = bindparam("at", type_=parked_messages.c.replayed_at.type)
_MARK_REPLAYED: Final = Statement(
    update(parked_messages).values(replayed_at=func.coalesce(_AT, parked_messages.c.dropped_at)).where(_ONE)
)
_DROP: Final = Statement(
    update(parked_messages)
    .values(
        replayed_at=_AT,
        dropped_at=_AT,
        dropped_by=bindparam("by", type_=parked_messages.c.dropped_by.type),
        drop_reason=bindparam("reason", type_=parked_messages.c.drop_reason.type),
    )
    .where(_ONE)
    .where(is_waiting)
)


class PostgresParkedMessages:
    """Parked messages inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, messages: Sequence[ParkedMessage]) -> None:
        """This will park messages; one with the same source and message id that still waits is not parked twice."""
        if messages:
            await self._transaction.run(_ADD, **arrays(PARKED_COLUMNS, [parked_values(each) for each in messages]))

    async def get(self, parked_id: UUID) -> ParkedMessage | None:
        """The parked message."""
        row = await self._transaction.row(_GET, parked_id=parked_id)
        return None if row is None else parked_message_of(row)

    async def list(self, limit: int, *, waiting_only: bool = True) -> Sequence[ParkedMessage]:
        """Up to `limit` parked messages, newest first; without those that wait no more, unless asked for."""
        rows = await self._transaction.rows(_LIST_WAITING if waiting_only else _LIST, limit=limit)
        return [parked_message_of(row) for row in rows]

    async def mark_replayed(self, parked_id: UUID, at: datetime | None) -> None:
        """This will note when the message was sent again; None: it was not.

        Raises ParkedMessageNotFound where there is none.
        """
        if not await self._transaction.run(_MARK_REPLAYED, parked_id=parked_id, at=at):
            raise ParkedMessageNotFound(f"there is no parked message {parked_id}")

    async def drop(self, parked_id: UUID, dropped: Dropped) -> bool:
        """This will note that the message is given up, and keep it whole. False, and nothing noted, where it does not
        wait; of any number of calls at once exactly one is True."""
        done = await self._transaction.run(
            _DROP, parked_id=parked_id, at=dropped.at, by=dropped.by, reason=dropped.reason
        )
        return done > 0
