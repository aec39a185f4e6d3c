"""The history of every change, and the outbox of what is announced."""

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Final

from sqlalchemy import Column, Text, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.rows import HISTORY_COLUMNS, OUTBOX_COLUMNS, Values, history_values
from billing_adapters.postgres.statements import RowsWrite, Statement
from billing_adapters.postgres.tables import history, merchants, outbox
from billing_adapters.postgres.wire import Transaction
from billing_adapters.tracing import job_traceparent
from billing_core.domain.events import Change
from billing_core.errors import MerchantNotFound
from billing_core.messages import encode_event

_COUNT_COLUMNS = (merchants.c.merchant_id, merchants.c.event_sequence)
_ACCOUNT = Column("account", Text)
_HOLD: Final = Statement(
    select(*_COUNT_COLUMNS)
    .where(merchants.c.merchant_id == any_(bindparam("merchant_ids", type_=ARRAY(merchants.c.merchant_id.type))))
    .order_by(merchants.c.merchant_id)
    .with_for_update(key_share=True)
)
_NOTE: Final = RowsWrite(
    HISTORY_COLUMNS,
    lambda given: insert(history).from_select([each.name for each in HISTORY_COLUMNS], select(*given.c)),
)
_ADVANCE: Final = RowsWrite(
    (*_COUNT_COLUMNS, _ACCOUNT),
    lambda counted: (
        update(merchants)
        .values(event_sequence=counted.c.event_sequence)
        .where(merchants.c.merchant_id == counted.c.merchant_id)
        # Looked at again once whoever is redacting the merchant has committed: the row is theirs until then.
        .where(merchants.c.platform_account_id == func.coalesce(counted.c.account, merchants.c.platform_account_id))
    ),
    name="counted",
)
_ANNOUNCE: Final = RowsWrite(
    OUTBOX_COLUMNS,
    lambda given: insert(outbox).from_select([each.name for each in OUTBOX_COLUMNS], select(*given.c)),
)


class PostgresJournal:
    """History and outbox inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def record(self, changes: Sequence[Change]) -> None:
        """This will append each change to its subject's history and, where it announces a fact, put the encoded
        event into the outbox under the merchant's next sequence number, in the order given.

        Raises StorageConflict where a subject already has a change of that number, MerchantNotFound where the
        merchant of an event is not known.
        """
        if not changes:
            return
        await self._transaction.store(_NOTE, [history_values(each) for each in changes])
        announced = {change.merchant_id for change in changes if change.fact is not None}
        if not announced:
            return
        await self._hold(announced)
        sequences, accounts = self._transaction.sequences, self._transaction.accounts
        events = _events(changes, sequences)
        counted = [(each, sequences[each], accounts.get(each)) for each in sorted(announced)]
        await self._transaction.store(_ADVANCE, counted, rows=len(counted))
        await self._transaction.store(_ANNOUNCE, events)
        self._transaction.announces = True

    async def _hold(self, merchant_ids: Set[str]) -> None:
        """This will hold the merchants' rows, in order, so that nobody else counts their events meanwhile."""
        unknown = merchant_ids - self._transaction.sequences.keys()
        if unknown:
            rows = await self._transaction.rows(_HOLD, merchant_ids=list(unknown))
            self._transaction.sequences.update({row["merchant_id"]: row["event_sequence"] for row in rows})
        if not merchant_ids <= self._transaction.sequences.keys():
            raise MerchantNotFound


def _events(changes: Sequence[Change], sequences: dict[str, int]) -> list[Values]:
    """The outbox rows in the order given; `sequences` has each merchant's latest number, and is counted on."""
    events: list[Values] = []
    job = job_traceparent.get()
    for change in changes:
        if change.fact is None:
            continue
        if job is not None and change.by.traceparent is None:
            told = replace(change, by=replace(change.by, traceparent=job))
        else:
            told = change
        sequence = sequences[change.merchant_id] = sequences[change.merchant_id] + 1
        body = encode_event(told, sequence)
        events.append((change.merchant_id, sequence, change.event_id, change.fact.type, body))
    return events
