"""A conflict that never passes (a history that is ahead of its purchase, as after a restore) stops nobody else."""

from datetime import timedelta

from tests.core.use_cases.stored_purchases import a_bought_one, reference_of, stored

from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import StorageConflict
from billing_core.testing import InMemoryBilling, an_origin


async def test_a_purchase_whose_history_is_ahead_of_it_leaves_the_others_to_be_settled(
    billing: InMemoryBilling,
) -> None:
    """It is told as a fault of the run, and the payment next to it completes."""
    ahead, other = await a_bought_one(billing), await a_bought_one(billing)
    for each in (ahead, other):
        billing.platform.pay(reference_of(each))
    (change,) = stored(billing, ahead).cancel(billing.clock.now(), an_origin()).changes
    billing.storage.tables.changes[ahead.id, change.number] = change
    billing.clock.advance(timedelta(minutes=1))

    report = await billing.reconcile_purchases()

    assert [type(fault) for fault in report.faults] == [StorageConflict]
    assert (stored(billing, ahead).status, stored(billing, other).status) == (
        PurchaseStatus.PENDING,
        PurchaseStatus.COMPLETED,
    )
