"""Purchases in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from billing_core.domain.purchases import Purchase
from billing_core.errors import ReferenceAlreadyClaimed
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.storage import Owner
from billing_core.testing.memory.locks import Row
from billing_core.testing.memory.transaction import Transaction


class InMemoryPurchases:
    """The purchases as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def get(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """See `Purchases.get`."""
        purchase = self._find(purchase_id)
        return purchase if purchase is not None and purchase.merchant_id == merchant_id else None

    async def open_of(self, merchant_id: str) -> Sequence[Purchase]:
        """See `Purchases.open_of`."""
        mine = self._open(lambda purchase: purchase.merchant_id == merchant_id)
        return sorted(mine, key=lambda each: each.purchase_id, reverse=True)

    async def lock(self, purchase_ids: Sequence[tuple[str, UUID]]) -> Mapping[UUID, Purchase]:
        """See `Purchases.lock`."""
        held = {}
        for merchant_id, purchase_id in sorted(set(purchase_ids), key=lambda each: each[1]):
            if await self.get(merchant_id, purchase_id) is not None:
                await self._tx.hold(_row(purchase_id))
                held[purchase_id] = self._bring_back(purchase_id)
        return held

    async def owners(self, references: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Owner]:
        """See `Purchases.owners`."""
        found = ((reference, self._owner(reference)) for reference in references)
        return {reference: owner for reference, owner in found if owner is not None}

    async def claim(self, purchases: Sequence[Purchase]) -> None:
        """See `Purchases.claim`."""
        for purchase in purchases:
            if purchase.platform_reference is None:
                raise ValueError("a purchase without a platform reference has nothing to claim")
            await self._claim(purchase, purchase.platform_reference)

    async def add(self, purchases: Sequence[Purchase]) -> None:
        """See `Purchases.add`."""
        for purchase in purchases:
            await self._tx.hold(_row(purchase.purchase_id))
            if self._find(purchase.purchase_id) is not None:
                raise self._tx.conflict(f"purchase {purchase.purchase_id} exists already")
            self._tx.view.purchases.put(purchase.purchase_id, purchase)
            await self._claim(purchase, purchase.short_reference)

    async def save(self, purchases: Sequence[Purchase]) -> None:
        """See `Purchases.save`. Raises RuntimeError for one that is not held: a fault of the caller."""
        for purchase in purchases:
            if not self._tx.holds(_row(purchase.purchase_id)):
                raise RuntimeError(f"purchase {purchase.purchase_id} must be held before it is saved")
            self._tx.view.purchases.put(purchase.purchase_id, purchase)

    async def due_for_check(self, now: datetime, limit: int) -> Sequence[Purchase]:
        """See `Purchases.due_for_check`."""
        live = self._tx.view.purchases.rows()
        due = [(each.check_at, each.purchase_id, each) for each in live if each.check_at is not None]
        return [each for check_at, _, each in sorted(due, key=lambda row: row[:2]) if check_at <= now][:limit]

    async def past_deadline(self, now: datetime, limit: int, after: UUID | None = None) -> Sequence[Purchase]:
        """See `Purchases.past_deadline`."""
        past = self._open(lambda each: each.expires_at <= now and (after is None or each.purchase_id > after))
        return sorted(past, key=lambda each: each.purchase_id)[:limit]

    async def archive(self, ended_before: datetime, limit: int) -> int:
        """See `Purchases.archive`."""
        moved = 0
        for purchase in self._archivable(ended_before):
            if moved == limit:
                break
            if self._tx.try_hold(_row(purchase.purchase_id)):
                self._tx.view.purchases.remove(purchase.purchase_id)
                self._tx.view.archive.put(purchase.purchase_id, purchase)
                moved += 1
        return moved

    def _archivable(self, ended_before: datetime) -> list[Purchase]:
        ended = [
            (each.ended_at, each.purchase_id, each)
            for each in self._tx.view.purchases.rows()
            if each.ended_at is not None and each.ended_at < ended_before and not each.needs_review
        ]
        return [each for _, _, each in sorted(ended, key=lambda row: row[:2])]

    async def _claim(self, purchase: Purchase, which: str) -> None:
        reference = (purchase.platform, which)
        await self._tx.hold(("payment claim", *reference))
        claimed_by = self._tx.view.payment_claims.get(reference)
        if claimed_by not in (None, purchase.purchase_id):
            self._tx.close("undone")
            raise ReferenceAlreadyClaimed(f"{reference[0]} {reference[1]} belongs to another purchase")
        self._tx.view.payment_claims.put(reference, purchase.purchase_id)

    def _find(self, purchase_id: UUID) -> Purchase | None:
        return self._tx.view.purchases.get(purchase_id) or self._tx.view.archive.get(purchase_id)

    def _bring_back(self, purchase_id: UUID) -> Purchase:
        """The held purchase as it is now, in the hot table whether it was there or not."""
        live = self._tx.view.purchases.get(purchase_id)
        if live is not None:
            return live
        archived = self._tx.view.archive.get(purchase_id)
        if archived is None:
            raise AssertionError("a purchase is never removed")
        self._tx.view.archive.remove(purchase_id)
        self._tx.view.purchases.put(purchase_id, archived)
        return archived

    def _owner(self, reference: tuple[str, str]) -> Owner | None:
        purchase_id = self._tx.view.payment_claims.get(reference)
        purchase = self._find(purchase_id) if purchase_id else None
        if purchase is None:
            return None
        merchant = self._tx.view.merchants.get(purchase.merchant_id)
        account = PlatformAccount(
            platform_account_id=merchant.platform_account_id if merchant else purchase.platform_account_id,
            platform_domain=merchant.platform_domain if merchant else None,
        )
        return Owner(merchant_id=purchase.merchant_id, purchase_id=purchase.purchase_id, account=account)

    def _open(self, wanted: Callable[[Purchase], bool] = lambda _: True) -> list[Purchase]:
        return [each for each in self._tx.view.purchases.rows() if each.is_open and wanted(each)]


def _row(purchase_id: UUID) -> Row:
    return ("purchase", purchase_id)
