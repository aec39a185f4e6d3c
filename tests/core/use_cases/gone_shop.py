"""A shop with a past in every table, whose people left their names in all of them, and went."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.messages import MERCHANT_CREATED, InboundMessage
from billing_core.ports.platforms import Checkout, PlatformAccount
from billing_core.testing import (
    FixedClock,
    InMemoryBilling,
    ScriptedPlatform,
    a_caller,
    a_merchant,
    a_merchant_created,
    a_purchase_updated,
    an_origin,
)
from billing_core.testing.builders import an_id
from billing_core.testing.memory.tables import Tables
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.redact_merchants import RedactMerchants
from billing_core.views import PurchaseView, adapter

GID, DOMAIN = "gid://shopify/Shop/4711", "janes-shop.myshopify.com"
OTHER_GID, THIRD_GID = "gid://shopify/Shop/99", "gid://shopify/Shop/77"
PERSON, MAIL = "Jane Doe", "jane@janes-shop.example"
RETURN_URL = f"https://{DOMAIN}/admin/apps/billing"
MERCHANT_ID, NEW_ID = "m-0001", "m-0002"
# What must not be found anywhere once they are gone, as it stands or as JSON may write it.
IDENTITY = (GID, GID.replace("/", r"\/"), DOMAIN, "janes-shop", PERSON, MAIL, "jane")
OPERATOR = an_origin(actor="operator:ada", correlation_id=f"{DOMAIN}:by-hand", reason=f"{PERSON} asked for it")
BY = an_origin(actor="operator:ada", correlation_id="merchants-redact:1", reason="shop/redact")
DAY, LONG_AFTER = timedelta(days=1), timedelta(days=3)


class ShopPlatform(ScriptedPlatform):
    """A platform whose pages are the shop's own, as Shopify's are."""

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """See `PaymentPlatform.create_checkout`."""
        made = await super().create_checkout(purchase, account)
        return replace(made, url=f"https://{account.platform_domain}/admin/charges/{made.platform_reference}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneShop:
    """The shop, and what it bought: one paid and partly given back, one of long ago, one called off, and one that
    nobody paid in time."""

    merchant: Merchant
    caller: Caller
    paid: PurchaseView
    old: PurchaseView
    cancelled: PurchaseView
    unpaid: PurchaseView

    @property
    def account(self) -> tuple[str, str]:
        """Its account at its platform."""
        return self.merchant.platform, self.merchant.platform_account_id


def a_shop(merchant_id: str = MERCHANT_ID, **values: str) -> Merchant:
    """The shop under a merchant id."""
    told = {"platform": "shopify", "platform_account_id": GID, "platform_domain": DOMAIN}
    return a_merchant(merchant_id, **told | values)


def some_billing(clock: FixedClock | None = None, **values: object) -> InMemoryBilling:
    """Billing that sells through a platform of shops."""
    platforms = [ShopPlatform("shopify"), ScriptedPlatform("stripe", needs_domain=False)]
    return InMemoryBilling(platforms=platforms, clock=clock or FixedClock(), **values)  # type: ignore[arg-type]


async def a_gone_shop(billing: InMemoryBilling) -> GoneShop:
    """This will have the shop live its life, and another one beside it, until nothing of it can be paid any more."""
    merchant = a_shop()
    caller = a_caller(merchant, subject=MAIL, correlation_id=f"{DOMAIN}:1")
    await billing.register_merchants([a_merchant_created(merchant, email=MAIL)])
    await billing.activate_trial(caller, f"trial of {DOMAIN}")
    old = await _bought(billing, caller, "small")
    await billing.pay(old)
    billing.clock.advance(91 * DAY)
    await billing.archive_purchases()
    paid = await _bought(billing, caller, "large")
    await billing.pay(paid)
    billing.platform.refund(str(paid.platform_reference), 2000)
    await billing.notify(str(paid.platform_reference))
    cancelled = await _bought(billing, caller, "small")
    await billing.operate.cancel((merchant.merchant_id, cancelled.id), OPERATOR)
    unpaid = await _bought(billing, caller, "medium")
    await billing.grant_credits(merchant.merchant_id, 50, an_id(), OPERATOR)
    await billing.register_merchants(_what_is_parked())
    other_account = {"reference": str(paid.platform_reference), "account": OTHER_GID, "about": GID}
    await billing.handle_webhooks([a_purchase_updated(platform="shopify", payload=other_account)])
    await billing.relay_events()
    billing.clock.advance(LONG_AFTER)
    return GoneShop(merchant=merchant, caller=caller, paid=paid, old=old, cancelled=cancelled, unpaid=unpaid)


async def _bought(billing: InMemoryBilling, caller: Caller, pack: str) -> PurchaseView:
    request = PurchaseRequest(pack=pack, return_url=RETURN_URL)
    answered = await billing.create_purchase(caller, f"{pack} for {DOMAIN} {an_id()}", request)
    return adapter(PurchaseView).validate_json(answered.answer.document)


def _what_is_parked() -> Sequence[InboundMessage]:
    """Announcements that nobody could take, each with more than Billing ever wanted to know."""
    about = {"merchant_id": MERCHANT_ID, "platform": "elsewhere", "email": MAIL, "owner": PERSON}
    bodies = (
        json.dumps(about).encode(),
        json.dumps({"platform": "shopify", "shop": GID, "email": MAIL}).replace("/", r"\/").encode(),
        f"no JSON, but about https://{DOMAIN.upper()}/ of {PERSON}".encode(),
    )
    return [
        InboundMessage(subject=MERCHANT_CREATED, body=body, headers={"Nats-Msg-Id": f"{DOMAIN}-{number}"})
        for number, body in enumerate(bodies)
    ]


def named_in(billing: InMemoryBilling) -> Mapping[str, Sequence[str]]:
    """Where something of the shop's identity still stands: the names, by table, and in the cache."""
    tables = {each.name: getattr(billing.storage.tables, each.name) for each in fields(Tables)}
    texts = {name: repr(rows).lower() for name, rows in tables.items() if name != "runs"}
    texts["cache"] = repr(billing.replays._remembered).lower()
    found = {table: [name for name in IDENTITY if name.lower() in text] for table, text in texts.items()}
    return {table: names for table, names in found.items() if names}


def redacting(billing: InMemoryBilling, data: Any, **values: Any) -> RedactMerchants:
    """The use case, on what is told so of the merchant."""
    return RedactMerchants(
        units=billing.storage.units,
        data=data,
        replays=billing.replays,
        clock=billing.clock,
        new_id=billing.new_id,
        pseudonyms=billing.pseudonyms,
        **values,
    )
