"""The short way of a request for a purchase, in memory."""

from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.errors import ReferenceAlreadyClaimed, StorageConflict
from billing_core.ports.storage import OpenUnitOfWork, Standing
from billing_core.testing.memory.tables import Tables


class InMemoryPurchaseRequests:
    """Looks at once, and stores at once if nothing has changed."""

    def __init__(self, tables: Tables, units: OpenUnitOfWork) -> None:
        self._tables, self._units = tables, units

    async def look(self, key: RequestKey) -> Standing | None:
        """See `PurchaseRequests.look`."""
        merchant = self._tables.merchants.get(key.merchant_id)
        if merchant is None:
            return None
        async with self._units(key.merchant_id) as uow:
            open_purchases = await uow.purchases.open_of(key.merchant_id)
        return Standing(
            merchant=merchant,
            sequence=self._sequence(key.merchant_id),
            record=self._tables.keys.get(key),
            open_purchases=open_purchases,
        )

    async def open(self, standing: Standing, opened: PurchaseDecision, record: KeyRecord) -> None:
        """See `PurchaseRequests.open`."""
        merchant_id = standing.merchant.merchant_id
        async with self._units(merchant_id) as uow:
            held = await uow.merchants.lock(merchant_id)
            same = held is not None and held.platform_account_id == standing.merchant.platform_account_id
            if not same or self._sequence(merchant_id) != standing.sequence or record.key in self._tables.keys:
                raise StorageConflict("the merchant has done something else meanwhile")
            await uow.purchases.add([opened.purchase])
            await uow.journal.record(opened.changes)
            await uow.keys.save(record)
            await uow.commit()

    async def hand_out(self, before: Purchase, taken: PurchaseDecision, held: KeyRecord, answered: KeyRecord) -> None:
        """See `PurchaseRequests.hand_out`."""
        async with self._units(before.merchant_id) as uow:
            stored = await uow.purchases.lock([(before.merchant_id, before.purchase_id)])
            if stored.get(before.purchase_id) != before or await uow.keys.lock(held.key) != held:
                raise StorageConflict("the purchase or its key was changed meanwhile")
            try:
                await uow.purchases.claim([taken.purchase])
            except ReferenceAlreadyClaimed as claimed:
                raise StorageConflict("the reference is another's") from claimed
            await uow.purchases.save([taken.purchase])
            await uow.journal.record(taken.changes)
            await uow.keys.save(answered)
            await uow.commit()

    def _sequence(self, merchant_id: str) -> int:
        return self._tables.sequences.get(merchant_id, 0)
