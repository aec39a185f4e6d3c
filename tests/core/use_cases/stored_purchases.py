"""Purchases at a platform, and what is stored and told of them."""

import copy
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest

from billing_core.domain.money import Money
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformUnavailable
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_purchase_updated
from billing_core.use_cases.caller import Caller
from billing_core.views import PurchaseView

AWAY = PlatformUnavailable("sandbox", "no answer")


class NoCancelling(ScriptedPlatform):
    """A platform whose checkouts can be paid until they expire, whatever we wish (Shopify)."""

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will do nothing."""


async def a_bought_one(billing: InMemoryBilling, pack: str = "large") -> PurchaseView:
    """A purchase of a merchant of its own, waiting for its payment."""
    return await billing.buy(await billing.register(), pack)


async def a_never_answered_one(billing: InMemoryBilling, caller: Caller | None = None, *, made: bool) -> Purchase:
    """A purchase whose create call got no answer, with a checkout at the platform or without."""
    caller = caller or await billing.register()
    billing.platform.fail("create_checkout", AWAY, after_effect=made)
    with pytest.raises(PlatformUnavailable):
        await billing.buy(caller)
    return list(billing.storage.tables.purchases.values())[-1]


async def a_wrongly_paid_one(billing: InMemoryBilling, cents: int = 1) -> PurchaseView:
    """A purchase so many cents were paid for instead of its price, which waits for a person."""
    purchase = await a_bought_one(billing)
    billing.platform.pay(reference_of(purchase), price=Money(amount_minor=cents, currency="USD"))
    await billing.notify(reference_of(purchase))
    return purchase


async def an_otherwise_paid_one(billing: InMemoryBilling) -> tuple[PurchaseView, str]:
    """A purchase that waits for a person because another checkout of it was paid, and that one's reference."""
    purchase = await a_bought_one(billing)
    orphan = an_orphan_of(billing, purchase)
    billing.platform.pay(orphan)
    await tell(billing, purchase, orphan)
    return purchase, orphan


async def tell(billing: InMemoryBilling, purchase: PurchaseView, reference: str) -> None:
    """This will deliver a notice about any checkout of the purchase."""
    payload = {"reference": reference, "purchase": stored(billing, purchase).short_reference}
    await billing.handle_webhooks([a_purchase_updated(payload=payload)])


def an_orphan_of(billing: InMemoryBilling, purchase: PurchaseView) -> str:
    """The reference of another checkout of the same purchase, whose making was never answered."""
    platform, reference = billing.platform, f"{reference_of(purchase)}-orphan"
    payment = platform.payments[reference_of(purchase)]
    checkout = replace(payment.checkout, platform_reference=reference)
    platform.payments[reference] = replace(payment, checkout=checkout)
    return reference


def reference_of(purchase: PurchaseView) -> str:
    """The platform's reference of a purchase that has a checkout."""
    assert purchase.platform_reference is not None
    return purchase.platform_reference


def stored(billing: InMemoryBilling, purchase: PurchaseView) -> Purchase:
    """The purchase as it is committed."""
    return billing.storage.tables.purchases[purchase.id]


def key_of(purchase: PurchaseView) -> tuple[str, UUID]:
    """What operators name a purchase by."""
    return purchase.merchant_id, purchase.id


def told(billing: InMemoryBilling) -> list[str]:
    """What was announced, in order, without the opening of purchases."""
    kinds = [row.event.type for row in billing.storage.tables.outbox.values()]
    return [kind.removeprefix("evt.billing.") for kind in kinds if kind != "evt.billing.purchase.created"]


def everything_kept(billing: InMemoryBilling) -> dict[str, Any]:
    """A copy of every committed table, to see that nothing was kept."""
    tables = billing.storage.tables
    return {field.name: copy.copy(getattr(tables, field.name)) for field in fields(tables)}
