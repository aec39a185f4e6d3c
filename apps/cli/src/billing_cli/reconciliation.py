"""Asking the platforms about many purchases, a batch after the other."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from billing_cli.container import CliContainer
from billing_cli.errors import NoDryRun, UnknownPurchases
from billing_cli.outcome_screen import Reconciliation
from billing_cli.progress import counting
from billing_core.domain.events import Origin
from billing_core.domain.purchases import Purchase
from billing_core.errors import BillingError, MerchantNotFound
from billing_core.ports.storage import Purchases
from billing_core.use_cases.check_purchases import ExpirePurchases, Finding, ReconcilePurchases
from billing_core.use_cases.jobs import job_origin
from billing_core.use_cases.operate_purchases import PurchaseKey

# Each batch is settled in one transaction; small ones, so that nobody waits long for it.
BATCH = 50
PAGE = 1_000
REHEARSED = (ReconcilePurchases.name, ExpirePurchases.name)

Asked = TypeVar("Asked")


async def reconcile(
    container: CliContainer, keys: Sequence[PurchaseKey], by: Origin, *, dry_run: bool
) -> Reconciliation:
    """This will ask about each purchase and settle it; what stops it halfway is told beside what was done."""

    async def ask(batch: Sequence[PurchaseKey]) -> Sequence[Finding]:
        return await container.operate().reconcile(batch, by, dry_run=dry_run)

    return await _in_batches(keys, ask)


async def rehearse_job(container: CliContainer, name: str, told_now: datetime | None) -> Reconciliation:
    """This will ask about everything the job would ask about, and change nothing. Raises NoDryRun."""
    if name not in REHEARSED:
        raise NoDryRun(f"{name} has no dry run; only {' and '.join(REHEARSED)} have one.")
    now = told_now or container.clock().now()
    by = job_origin(name, now)

    async def ask(batch: Sequence[Purchase]) -> Sequence[Finding]:
        return await container.check()(batch, now, by, dry_run=True)

    async with container.units()() as uow:
        due = await _due(uow.purchases, name, now)
    return await _in_batches(due, ask)


async def named(container: CliContainer, purchase_ids: Sequence[UUID]) -> Sequence[PurchaseKey]:
    """The keys of the purchases, each once. Raises UnknownPurchases."""
    wanted = list(dict.fromkeys(purchase_ids))
    found = [(each, await container.support().find_purchase(each)) for each in wanted]
    if unknown := [purchase_id for purchase_id, purchase in found if purchase is None]:
        raise UnknownPurchases(unknown)
    return [_key(purchase) for _, purchase in found if purchase is not None]


async def all_open(
    container: CliContainer, merchant_id: str | None, created_before: datetime | None
) -> Sequence[PurchaseKey]:
    """The keys of all open purchases, oldest first: of one merchant, and of an age, where asked for.
    Raises MerchantNotFound."""
    if merchant_id is not None and await container.records().merchant(merchant_id) is None:
        raise MerchantNotFound
    keys: list[PurchaseKey] = []
    while True:
        after = keys[-1][1] if keys else None
        page = await container.support().open_purchases(merchant_id, created_before, after, PAGE)
        keys += [_key(each) for each in page]
        if len(page) < PAGE:
            return keys


async def _due(purchases: Purchases, name: str, now: datetime) -> Sequence[Purchase]:
    if name == ReconcilePurchases.name:
        return await purchases.due_for_check(now, PAGE)
    return [each for each in await purchases.past_deadline(now, PAGE) if each.check_is_due(now)]


async def _in_batches(
    things: Sequence[Asked], ask: Callable[[Sequence[Asked]], Awaitable[Sequence[Finding]]]
) -> Reconciliation:
    findings: list[Finding] = []
    with counting("asking the platforms", len(things)) as done:
        for start in range(0, len(things), BATCH):
            batch = things[start : start + BATCH]
            try:
                findings += await ask(batch)
            except BillingError as stopped:
                return Reconciliation(findings=findings, stopped=stopped)
            done(len(batch))
    return Reconciliation(findings=findings)


def _key(purchase: Purchase) -> PurchaseKey:
    return purchase.merchant_id, purchase.purchase_id
