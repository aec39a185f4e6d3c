"""The history of every change, and the outbox of what is announced."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import BigInteger, Column, Text, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.rows import HISTORY_COLUMNS, OUTBOX_COLUMNS, Values, history_values
from billing_adapters.postgres.statements import Statement, arrays, given
from billing_adapters.postgres.tables import history, merchants, outbox
from billing_adapters.postgres.wire import Wire
from billing_core.domain.events import Change
from billing_core.errors import MerchantNotFound
from billing_core.messages import encode_event

# Told once a transaction however many events it has; only a hint, see `outbox.OutboxBell`.
CHANNEL: Final = "billing_outbox"

_COUNT_COLUMNS = (Column("counted_id", Text), Column("many", BigInteger))
_COUNTS = given(_COUNT_COLUMNS, name="counted")
_HISTORY = given(HISTORY_COLUMNS)
_OUTBOX = given(OUTBOX_COLUMNS)

_note = insert(history).from_select([column.name for column in HISTORY_COLUMNS], select(*_HISTORY.c))
_NOTE: Final = Statement(_note)
# The rows are locked in order first: an update alone takes them in whatever order the planner likes.
_held = (
    select(merchants.c.merchant_id)
    .join(_COUNTS, _COUNTS.c.counted_id == merchants.c.merchant_id)
    .order_by(merchants.c.merchant_id)
    .with_for_update(of=merchants, key_share=True)
    .cte("held")
)
_NOTE_AND_ADVANCE: Final = Statement(
    update(merchants)
    .values(event_sequence=merchants.c.event_sequence + _COUNTS.c.many)
    .where(merchants.c.merchant_id == _held.c.merchant_id, _COUNTS.c.counted_id == _held.c.merchant_id)
    .returning(merchants.c.merchant_id, merchants.c.event_sequence)
    .add_cte(_note.cte("noted"))
)
_announce = insert(outbox).from_select([column.name for column in OUTBOX_COLUMNS], select(*_OUTBOX.c))
# Notifications of one transaction that say the same are sent once, when it commits.
_ANNOUNCE: Final = Statement(
    select(func.pg_notify(literal_column(f"'{CHANNEL}'"), literal_column("''"))).add_cte(_announce.cte("announced"))
)


class PostgresJournal:
    """History and outbox inside one transaction."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def record(self, changes: Sequence[Change]) -> None:
        """This will append each change to its subject's history and, where it announces a fact, put the encoded
        event into the outbox under the merchant's next sequence number, in the order given.

        Raises StorageConflict where a subject already has a change of that number, MerchantNotFound where the
        merchant of an event is not known.
        """
        if not changes:
            return
        entries = arrays(HISTORY_COLUMNS, [history_values(change) for change in changes])
        counts = Counter(change.merchant_id for change in changes if change.fact is not None)
        if not counts:
            await self._wire.run(_NOTE, **entries)
            return
        rows = await self._wire.rows(_NOTE_AND_ADVANCE, **entries, **arrays(_COUNT_COLUMNS, list(counts.items())))
        if len(rows) != len(counts):
            raise MerchantNotFound
        before = {row["merchant_id"]: row["event_sequence"] - counts[row["merchant_id"]] for row in rows}
        await self._wire.rows(_ANNOUNCE, **arrays(OUTBOX_COLUMNS, _events(changes, before)))


def _events(changes: Sequence[Change], before: Mapping[str, int]) -> list[Values]:
    """The outbox rows in the order given; `before` is each merchant's last number before them."""
    events: list[Values] = []
    numbers = dict(before)
    for change in changes:
        if change.fact is None:
            continue
        numbers[change.merchant_id] += 1
        sequence = numbers[change.merchant_id]
        body = encode_event(change, sequence)
        events.append((change.merchant_id, sequence, change.event_id, change.fact.type, body))
    return events
