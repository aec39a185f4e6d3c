"""Idempotency keys and their answers."""

from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.rows import KEY_COLUMNS, key_record_of, key_values
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import idempotency_keys
from billing_adapters.postgres.wire import Wire
from billing_core.domain.idempotency import KeyRecord, RequestKey

_SCOPE = ("merchant_id", "route", "key")

_GET: Final = Statement(select(*KEY_COLUMNS).where(*[idempotency_keys.c[name] == bindparam(name) for name in _SCOPE]))
_new = insert(idempotency_keys).values({each.name: bindparam(each.name, type_=each.type) for each in KEY_COLUMNS})
_SAVE: Final = Statement(
    _new.on_conflict_do_update(
        index_elements=_SCOPE,
        set_={each.name: _new.excluded[each.name] for each in KEY_COLUMNS if each.name not in _SCOPE},
    )
)


class PostgresKeyRecords:
    """Idempotency keys inside one transaction."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def get(self, key: RequestKey) -> KeyRecord | None:
        """What is remembered of the key (hold the merchant first)."""
        row = await self._wire.row(_GET, merchant_id=key.merchant_id, route=key.route, key=key.key)
        return None if row is None else key_record_of(row)

    async def save(self, record: KeyRecord) -> None:
        """This will store the record, new or changed."""
        names = [each.name for each in KEY_COLUMNS]
        await self._wire.run(_SAVE, **dict(zip(names, key_values(record), strict=True)))
