"""Ways to take what a platform says of a payment for something else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from tests.faults.defects.defect import Patch

from billing_core.domain import purchases
from billing_core.domain.events import Change, Origin
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import UNPAID_ENDS, Purchase, PurchaseDecision
from billing_core.testing.memory.journal import InMemoryJournal
from billing_core.testing.memory.merchants import merchant_row
from billing_core.testing.memory.purchases import InMemoryPurchases
from billing_core.testing.memory.transaction import Transaction

# --- payment ---------------------------------------------------------------------------------------------------------


def late_payment_ignored(patch: Patch) -> None:
    """a payment that comes after the purchase was ended is not looked at"""
    settle = Purchase.settle

    def too_late(self: Purchase, report: PaymentReport, now: datetime, by: Origin) -> PurchaseDecision:
        return PurchaseDecision(self) if self.status in UNPAID_ENDS else settle(self, report, now, by)

    patch(Purchase, "settle", too_late)


def amount_not_compared(patch: Patch) -> None:
    """whatever was paid is taken for the price that was offered"""
    mismatch = Purchase._mismatch

    def content(self: Purchase, report: PaymentReport) -> str | None:
        return mismatch(self, replace(report, price=self.offer.price))

    patch(Purchase, "_mismatch", content)


def paid_again(patch: Patch) -> None:
    """a payment that is told once more is counted once more"""
    settle = Purchase.settle

    def count(self: Purchase, report: PaymentReport, now: datetime, by: Origin) -> PurchaseDecision:
        if self.is_paid and report.status is PaymentStatus.PAID:
            return self._complete(report, now, by)
        return settle(self, report, now, by)

    patch(Purchase, "settle", count)


def no_row_locks(patch: Patch) -> None:
    """a purchase is read, decided on and written without being held, and a change's number may be taken twice"""

    async def read(self: InMemoryPurchases, purchase_ids: Sequence[tuple[str, UUID]]) -> Mapping[UUID, Purchase]:
        return {each: self._bring_back(each) for _, each in purchase_ids if self._find(each) is not None}

    async def record(self: InMemoryJournal, changes: Sequence[Change]) -> None:
        for change in changes:
            await self._tx.hold(merchant_row(change.merchant_id))
            self._tx.view.changes.put((change.subject_id, change.number), change)
            if change.fact is not None:
                self._announce(change, change.fact.type)

    patch(InMemoryPurchases, "lock", read)
    patch(Transaction, "holds", lambda *_: True)
    patch(InMemoryJournal, "record", record)


# --- refunds and disputes --------------------------------------------------------------------------------------------


def refund_as_delta(patch: Patch) -> None:
    """what a platform says was given back in all is taken for what was given back just now"""
    follow = Purchase._follow_refunds

    def add(self: Purchase, report: PaymentReport, now: datetime, by: Origin) -> PurchaseDecision:
        told = None if report.refunded_minor is None else self.refunded_minor + report.refunded_minor
        return follow(self, replace(report, refunded_minor=told), now, by)

    patch(Purchase, "_follow_refunds", add)


def refund_rounded_down(patch: Patch) -> None:
    """credits for a part that was given back are rounded in the merchant's favour"""
    reverse = purchases._credits_to_reverse

    def round_down(total: int, refunded_minor: int, paid_minor: int, dispute: DisputeStatus) -> int:
        if dispute in (DisputeStatus.OPEN, DisputeStatus.LOST):
            return reverse(total, refunded_minor, paid_minor, dispute)
        return total * refunded_minor // paid_minor

    patch(purchases, "_credits_to_reverse", round_down)


def won_dispute_restores_nothing(patch: Patch) -> None:
    """credits taken back for a dispute stay away when the merchant wins it"""
    reverse = purchases._credits_to_reverse

    def keep(total: int, refunded_minor: int, paid_minor: int, dispute: DisputeStatus) -> int:
        won = dispute is DisputeStatus.WON
        return reverse(total, refunded_minor, paid_minor, DisputeStatus.LOST if won else dispute)

    patch(purchases, "_credits_to_reverse", keep)
