"""Recorded events on their way out, and the bell that rings when there are new ones."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Select, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from billing_adapters.postgres.bell import CHANNEL
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.rows import OUTBOX_COLUMNS, outbox_event_of
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import outbox
from billing_core.errors import StorageUnavailable
from billing_core.ports.publishing import ONE_LANE, Lane, OutboxEvent

LISTEN_TIMEOUT_S: Final = 1.0

# By predicate, never by a cursor: a transaction that took an earlier position may commit later, and would be missed.
_WAITING: Final = (
    select(*OUTBOX_COLUMNS)
    .where(outbox.c.published_at.is_(None))
    .order_by(outbox.c.position)
    .limit(bindparam("limit", type_=BigInteger()))
)
_UNPUBLISHED: Final = Statement(_WAITING)


def _of_lane() -> Select[Any]:
    """Those of a lane among the first of all lanes. No index by lane, which every event would pay for."""
    seen = _WAITING.add_columns(outbox.c.position).subquery("seen")
    # Modulo before abs(): the least integer has no absolute value.
    lane_of = func.abs(func.hashtext(seen.c.merchant_id) % bindparam("lanes", type_=Integer()))
    return (
        select(*[seen.c[column.name] for column in OUTBOX_COLUMNS])
        .where(lane_of == bindparam("lane", type_=Integer()))
        .order_by(seen.c.position)
    )


_UNPUBLISHED_OF_LANE: Final = Statement(_of_lane())
# Found by their ids alone: asked for those not published as well, the planner would read all that wait to find these.
_MARK: Final = Statement(
    update(outbox)
    .values(published_at=func.coalesce(outbox.c.published_at, bindparam("at", type_=outbox.c.published_at.type)))
    .where(outbox.c.event_id == any_(bindparam("event_ids", type_=ARRAY(outbox.c.event_id.type))))
)


class PostgresOutbox:
    """The outbox; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unpublished(self, limit: int, lane: Lane = ONE_LANE) -> Sequence[OutboxEvent]:
        """See `Outbox.unpublished`."""
        if lane.of == 1:
            rows = await self._database.rows(_UNPUBLISHED, limit=limit)
        else:
            every = limit * lane.of
            rows = await self._database.rows(_UNPUBLISHED_OF_LANE, limit=every, lanes=lane.of, lane=lane.number)
        return [outbox_event_of(row) for row in rows[:limit]]

    async def mark_published(self, event_ids: Sequence[UUID], at: datetime) -> None:
        """This will note that the events are with the broker; one marked before keeps its first moment."""
        if event_ids:
            await self._database.run(_MARK, event_ids=list(event_ids), at=at)


class OutboxBell:
    """Rings when events were committed, so that a relay need not look all the time. Only a hint: a ring can be lost
    with the connection, so whoever waits must look after the time-out too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = asyncio.Event()
        self._listening = False
        self._attempt: asyncio.Task[None] | None = None

    async def wait(self, timeout_s: float) -> None:
        """This will return when events were committed since the last call, or after `timeout_s` seconds; at once
        where listening has just begun. Never raises, and waits its time where the database is away."""
        if not self._listening and (self._attempt is None or self._attempt.done()):
            # Beside the wait: making a connection may take longer than the caller has.
            self._attempt = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return  # nobody rang: that is what the time-out is for
        self._rung.clear()

    async def _listen(self) -> None:
        try:
            await self._database.listen(CHANNEL, heard=self._rung.set, ended=self._ended, timeout_s=LISTEN_TIMEOUT_S)
        except StorageUnavailable:
            return  # the database is away: the caller's time-out stands in for the bell, and the next wait tries again
        self._listening = True
        self._rung.set()  # something may have been committed before anyone listened

    def _ended(self) -> None:
        self._listening = False
        self._rung.set()
