"""What is recorded and announced, read through the ports alone: in memory and on PostgreSQL alike."""

import json
from typing import Any
from uuid import UUID

from billing_core.domain.purchases import Purchase
from billing_core.messages import InboundMessage
from billing_core.testing import InMemoryBilling, a_purchase_updated
from billing_core.views import PurchaseView

_EVERYTHING = 1000


async def facts(billing: InMemoryBilling, kind: str) -> list[dict[str, Any]]:
    """The data of every event of a kind that waits in the outbox."""
    events = await billing.storage.outbox.unpublished(_EVERYTHING)
    return [json.loads(event.body)["data"] for event in events if event.type == f"evt.billing.{kind}"]


async def told(billing: InMemoryBilling) -> list[str]:
    """The kinds of the events that wait in the outbox, in order, without the opening of purchases."""
    kinds = [event.type.removeprefix("evt.billing.") for event in await billing.storage.outbox.unpublished(_EVERYTHING)]
    return [kind for kind in kinds if kind != "purchase.created"]


async def net_credits(billing: InMemoryBilling) -> int:
    """All credits announced: bought with their bonus, less those reversed, plus those restored."""
    bought: int = sum(each["credits"] + each["bonus_credits"] for each in await facts(billing, "credits.purchased"))
    taken: int = sum(each["credits"] for each in await facts(billing, "credits.reversed"))
    restored: int = sum(each["credits"] for each in await facts(billing, "credits.restored"))
    return bought - taken + restored


async def recorded(billing: InMemoryBilling, purchase: PurchaseView) -> Purchase:
    """The purchase as it is committed."""
    found = await billing.storage.records.purchase(purchase.merchant_id, purchase.id)
    assert found is not None
    return found


def reference_of(purchase: PurchaseView) -> str:
    """The platform's reference of a purchase that has a checkout."""
    assert purchase.platform_reference is not None
    return purchase.platform_reference


def payment_of(purchase: PurchaseView) -> str:
    """The scripted platform's id of the payment itself, as refunds and disputes name it."""
    return reference_of(purchase).replace("pay-", "money-", 1)


def key_of(purchase: PurchaseView) -> tuple[str, UUID]:
    """What operators name a purchase by."""
    return purchase.merchant_id, purchase.id


def a_notice(platform: str = "sandbox", **payload: Any) -> InboundMessage:
    """A new notice with that body."""
    return a_purchase_updated(platform=platform, payload=payload)
