"""The short way of a request for a purchase: one question, one statement."""

from typing import Final

from sqlalchemy import and_, bindparam, select

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.journal import PostgresJournal
from billing_adapters.postgres.keys import PostgresKeyRecords
from billing_adapters.postgres.purchases import PostgresPurchases
from billing_adapters.postgres.row_security import caller
from billing_adapters.postgres.rows import (
    KEY_COLUMNS,
    MERCHANT_COLUMNS,
    PURCHASE_COLUMNS,
    key_record_of,
    merchant_of,
    purchase_of,
)
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import idempotency_keys, is_open, merchants, purchases
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.ports.storage import Standing

# A row for each open purchase, or one without; in every row the merchant and what is remembered of the key.
_LOOK: Final = Statement(
    select(
        *[column.label(f"merchant_{column.name}") for column in (*MERCHANT_COLUMNS, merchants.c.event_sequence)],
        *[column.label(f"key_{column.name}") for column in KEY_COLUMNS],
        *[column.label(f"purchase_{column.name}") for column in PURCHASE_COLUMNS],
    )
    .outerjoin_from(
        merchants,
        idempotency_keys,
        and_(
            idempotency_keys.c.merchant_id == merchants.c.merchant_id,
            idempotency_keys.c.route == bindparam("route"),
            idempotency_keys.c.key == bindparam("key"),
        ),
    )
    .outerjoin(purchases, and_(purchases.c.merchant_id == merchants.c.merchant_id, is_open(purchases)))
    .where(merchants.c.merchant_id == caller())
    .order_by(purchases.c.purchase_id.desc())
)
_MERCHANT: Final = {f"merchant_{column.name}": column.name for column in MERCHANT_COLUMNS}
_KEY: Final = {f"key_{column.name}": column.name for column in KEY_COLUMNS}
_PURCHASE: Final = {f"purchase_{column.name}": column.name for column in PURCHASE_COLUMNS}


class PostgresPurchaseRequests:
    """Looks in one statement and stores in one; the unique keys and the versions notice who came between."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, key: RequestKey) -> Standing | None:
        """What the request under the key meets; None where the merchant is not known."""
        rows = await self._database.rows(_LOOK, merchant_id=key.merchant_id, route=key.route, key=key.key)
        if not rows:
            return None
        first = rows[0]
        found = [each for each in rows if each["purchase_purchase_id"] is not None]
        return Standing(
            merchant=merchant_of({name: first[label] for label, name in _MERCHANT.items()}),
            sequence=first["merchant_event_sequence"],
            record=None
            if first["key_key"] is None
            else key_record_of({name: first[label] for label, name in _KEY.items()}),
            open_purchases=[purchase_of({name: each[label] for label, name in _PURCHASE.items()}) for each in found],
        )

    async def open(self, standing: Standing, opened: PurchaseDecision, record: KeyRecord) -> None:
        """This will store a new purchase, its changes and its key. Raises StorageConflict where the merchant has had
        an event since, or was redacted, or the key is in use."""
        merchant = standing.merchant
        async with self._database.one_statement(merchant.merchant_id) as all_of_it:
            all_of_it.sequences[merchant.merchant_id] = standing.sequence
            all_of_it.accounts[merchant.merchant_id] = merchant.platform_account_id
            await PostgresPurchases(all_of_it).add([opened.purchase])
            await PostgresJournal(all_of_it).record(opened.changes)
            await PostgresKeyRecords(all_of_it).add(record)
            await all_of_it.commit()

    async def hand_out(self, before: Purchase, taken: PurchaseDecision, held: KeyRecord, answered: KeyRecord) -> None:
        """This will store the purchase with the checkout it took, and the answer under its key. Raises StorageConflict
        where the purchase or what is remembered of the key is not what it was, or the reference is another's."""
        async with self._database.one_statement(before.merchant_id) as all_of_it:
            # In the order of whoever settles it meanwhile: the purchase first, then the claim.
            await PostgresPurchases(all_of_it).replace(before, taken.purchase)
            await PostgresPurchases(all_of_it).claim([taken.purchase])
            await PostgresJournal(all_of_it).record(taken.changes)
            await PostgresKeyRecords(all_of_it).replace(held, answered)
            await all_of_it.commit()
