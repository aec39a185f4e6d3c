"""Idempotency keys and their answers."""

from typing import Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.rows import KEY_COLUMNS, key_record_of, key_values
from billing_adapters.postgres.statements import Statement, Write
from billing_adapters.postgres.tables import idempotency_keys
from billing_adapters.postgres.wire import Transaction
from billing_core.domain.idempotency import KeyRecord, RequestKey

_SCOPE = ("merchant_id", "route", "key")

_LOCK: Final = Statement(
    select(*KEY_COLUMNS).where(*[idempotency_keys.c[name] == bindparam(name) for name in _SCOPE]).with_for_update()
)
_new = insert(idempotency_keys).values({each.name: bindparam(each.name, type_=each.type) for each in KEY_COLUMNS})
_ADD: Final = Write(_new.on_conflict_do_nothing())
_REPLACE: Final = Write(
    update(idempotency_keys)
    .values({each.name: bindparam(each.name, type_=each.type) for each in KEY_COLUMNS if each.name not in _SCOPE})
    .where(*[idempotency_keys.c[name] == bindparam(name) for name in _SCOPE])
    .where(idempotency_keys.c.purchase_id.is_not_distinct_from(bindparam("since_purchase_id")))
    .where(idempotency_keys.c.locked_until.is_not_distinct_from(bindparam("since_locked_until")))
    .where(idempotency_keys.c.outcome.is_(None))
)
_SAVE: Final = Write(
    _new.on_conflict_do_update(
        index_elements=_SCOPE,
        set_={each.name: _new.excluded[each.name] for each in KEY_COLUMNS if each.name not in _SCOPE},
    )
)


class PostgresKeyRecords:
    """Idempotency keys inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self, key: RequestKey) -> KeyRecord | None:
        """What is remembered of the key, held until the transaction ends; where nothing is, nothing is held."""
        row = await self._transaction.row(_LOCK, merchant_id=key.merchant_id, route=key.route, key=key.key)
        return None if row is None else key_record_of(row)

    async def save(self, record: KeyRecord) -> None:
        """This will store the record, new or changed."""
        await self._transaction.write(_SAVE, _values(record), rows=1)

    async def add(self, record: KeyRecord) -> None:
        """This will store a new record. The commit raises StorageConflict where there is one."""
        await self._transaction.write(_ADD, _values(record), rows=1)

    async def replace(self, before: KeyRecord, after: KeyRecord) -> None:
        """This will store a record's answer. The commit raises StorageConflict where it is not as it was before."""
        since = {"since_purchase_id": before.purchase_id, "since_locked_until": before.locked_until}
        await self._transaction.write(_REPLACE, _values(after) | since, rows=1)


def _values(record: KeyRecord) -> dict[str, object]:
    return dict(zip([each.name for each in KEY_COLUMNS], key_values(record), strict=True))
