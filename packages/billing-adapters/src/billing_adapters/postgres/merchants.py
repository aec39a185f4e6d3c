"""The merchants that were announced."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Column, Text, any_, bindparam, exists, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.rows import MERCHANT_COLUMNS, Values, merchant_of, merchant_values
from billing_adapters.postgres.statements import RowsWrite, Statement, arrays, given
from billing_adapters.postgres.tables import merchants, trial_claims
from billing_adapters.postgres.wire import Record, Transaction
from billing_core.domain.merchants import Merchant
from billing_core.errors import StorageConflict

_READ = select(*MERCHANT_COLUMNS)
_ID = merchants.c.merchant_id
_IDS = any_(bindparam("merchant_ids", type_=ARRAY(_ID.type)))
_GIVEN = given(MERCHANT_COLUMNS)

# `for no key update` lets rows that refer to the merchant be stored meanwhile.
_LOCK: Final = Statement(
    _READ.add_columns(merchants.c.event_sequence).where(bindparam("merchant_id") == _ID).with_for_update(key_share=True)
)
_GET_MANY: Final = Statement(_READ.where(_IDS == _ID))
_LOCK_MANY: Final = Statement(_READ.where(_IDS == _ID).order_by(_ID).with_for_update(key_share=True))
_ADD: Final = Statement(
    insert(merchants)
    .from_select([column.name for column in MERCHANT_COLUMNS], select(*_GIVEN.c).order_by(_GIVEN.c.merchant_id))
    .on_conflict_do_nothing()
    .returning(_ID)
)
# The same, and where a shop comes back that was redacted, its trial is claimed under its name again.
_RECOGNIZED = (*MERCHANT_COLUMNS, Column("pseudonym", Text))
_KNOWN_AGAIN = given(_RECOGNIZED)
_other = trial_claims.alias("other")
_added = (
    insert(merchants)
    .from_select(
        [column.name for column in MERCHANT_COLUMNS],
        select(*[_KNOWN_AGAIN.c[each.name] for each in MERCHANT_COLUMNS]).order_by(_KNOWN_AGAIN.c.merchant_id),
    )
    .on_conflict_do_nothing()
    .returning(_ID)
    .cte("added")
)
_returned = (
    update(trial_claims)
    .values(platform_account_id=_KNOWN_AGAIN.c.platform_account_id)
    .where(_KNOWN_AGAIN.c.merchant_id == _added.c.merchant_id)
    .where(trial_claims.c.platform == _KNOWN_AGAIN.c.platform)
    .where(trial_claims.c.platform_account_id == _KNOWN_AGAIN.c.pseudonym)
    .where(
        # Nobody has two; if it came to that all the same, the one under the name stays.
        ~exists()
        .where(_other.c.platform == _KNOWN_AGAIN.c.platform)
        .where(_other.c.platform_account_id == _KNOWN_AGAIN.c.platform_account_id)
    )
    .cte("returned")
)
_ADD_KNOWN_AGAIN: Final = Statement(select(_added.c.merchant_id).add_cte(_returned))
_SAVE: Final = RowsWrite(
    MERCHANT_COLUMNS,
    lambda given: (
        update(merchants)
        .values({name: given.c[name] for name in ("platform_account_id", "platform_domain", "currency")})
        .where(given.c.merchant_id == _ID)
    ),
)


class PostgresMerchants:
    """Merchants inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock(self, merchant_id: str) -> Merchant | None:
        """The merchant, held until the transaction ends."""
        row = await self._transaction.row(_LOCK, merchant_id=merchant_id)
        if row is None:
            return None
        self._transaction.sequences.setdefault(merchant_id, row["event_sequence"])
        return merchant_of(row)

    async def get_many(self, merchant_ids: Sequence[str]) -> Mapping[str, Merchant]:
        """Those of the merchants that exist, by id; not held."""
        return await self._by_id(_GET_MANY, merchant_ids)

    async def add(
        self, new: Sequence[Merchant], *, pseudonyms: Mapping[str, str] | None = None
    ) -> Mapping[str, Merchant]:
        """This will store those not known yet and return the ones that were known before, by id, held. Claims of
        trials under the `pseudonyms` of the accounts of those stored, by merchant id, are under their names again."""
        if not new:
            return {}
        by_id = {merchant.merchant_id: merchant for merchant in reversed(new)}  # the first announcement counts
        rows = [merchant_values(merchant) for merchant in by_id.values()]
        added = {row["merchant_id"] for row in await self._stored(rows, list(by_id), pseudonyms)}
        known = [merchant_id for merchant_id in by_id if merchant_id not in added]
        return await self._by_id(_LOCK_MANY, known) if known else {}

    async def save(self, changed: Sequence[Merchant]) -> None:
        """This will store what changed of known merchants: domain, currency and the name of the account."""
        if not changed:
            return
        rows = [merchant_values(merchant) for merchant in changed]
        await self._transaction.store(_SAVE, rows, rows=len(changed), otherwise=_not_there)

    async def _stored(
        self, rows: Sequence[Values], merchant_ids: Sequence[str], pseudonyms: Mapping[str, str] | None
    ) -> Sequence[Record]:
        if pseudonyms is None:
            return await self._transaction.rows(_ADD, **arrays(MERCHANT_COLUMNS, rows))
        known_again = [(*row, pseudonyms[each]) for row, each in zip(rows, merchant_ids, strict=True)]
        return await self._transaction.rows(_ADD_KNOWN_AGAIN, **arrays(_RECOGNIZED, known_again))

    async def _by_id(self, statement: Statement, merchant_ids: Sequence[str]) -> dict[str, Merchant]:
        rows = await self._transaction.rows(statement, merchant_ids=list(merchant_ids))
        return {row["merchant_id"]: merchant_of(row) for row in rows}


def _not_there() -> StorageConflict:
    return StorageConflict("a merchant to be changed is not there")
