"""Values with sensible defaults, so a test says only what matters to it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from billing_core.domain.events import Origin
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Offer
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import OPEN, PAID, Purchase, PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED, InboundMessage
from billing_core.testing.clock import MOMENT, uuid7
from billing_core.use_cases.caller import Caller

_numbers = count(1)


def an_id(at: datetime = MOMENT) -> UUID:
    """An id never given before in this process; those of the same moment sort in the order they were made."""
    return uuid7(at, next(_numbers))


def a_merchant(merchant_id: str | None = None, **values: Any) -> Merchant:
    """A merchant of the sandbox platform, with an id and an account no other one has."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "merchant_id": merchant_id or f"merchant-{number}",
        "platform": "sandbox",
        "platform_account_id": f"account-{number}",
        "registered_at": MOMENT,
    }
    return Merchant(**defaults | values)


def an_offer(pack: str = "large", **values: Any) -> Offer:
    """The default catalogue's large pack, as it was offered."""
    defaults: dict[str, Any] = {
        "pack": pack,
        "catalog_version": "default-1",
        "credits": 1000,
        "bonus_credits": 0,
        "price": Money(amount_minor=6999, currency="USD"),
    }
    return Offer(**defaults | values)


def a_purchase(merchant: Merchant | None = None, **values: Any) -> Purchase:
    """A purchase that is whole for its `status` (default `pending`): paid ones have been completed an hour after
    they were created, ended ones have an end, open ones a check time."""
    merchant = merchant or a_merchant()
    status = PurchaseStatus(values.get("status", PurchaseStatus.PENDING))
    created_at: datetime = values.get("created_at", MOMENT)
    purchase_id = values.get("purchase_id") or an_id(created_at)
    defaults: dict[str, Any] = {
        "purchase_id": purchase_id,
        "merchant_id": merchant.merchant_id,
        "platform": merchant.platform,
        "platform_account_id": merchant.platform_account_id,
        "offer": an_offer(),
        "return_url": "https://shop.example/billing",
        "status": status,
        "created_at": created_at,
        "expires_at": created_at + timedelta(hours=48),
        "version": 2,
    }
    return Purchase(**defaults | _for_status(status, created_at, purchase_id) | values)


def a_trial(merchant: Merchant | None = None, **values: Any) -> Trial:
    """A trial of 14 days and 500 credits, active unless another `status` is asked for."""
    merchant = merchant or a_merchant()
    started_at: datetime = values.get("started_at", MOMENT)
    ends_at = values.get("ends_at", started_at + timedelta(days=14))
    status = TrialStatus(values.get("status", TrialStatus.ACTIVE))
    defaults: dict[str, Any] = {
        "trial_id": an_id(started_at),
        "merchant_id": merchant.merchant_id,
        "platform": merchant.platform,
        "platform_account_id": merchant.platform_account_id,
        "status": status,
        "credits": 500,
        "duration_days": 14,
        "started_at": started_at,
        "ends_at": ends_at,
        "ended_at": None if status is TrialStatus.ACTIVE else ends_at,
        "version": 1,
    }
    return Trial(**defaults | values)


def a_grant(merchant: Merchant | None = None, **values: Any) -> CreditGrant:
    """Fifty credits an operator gave for goodwill."""
    merchant = merchant or a_merchant()
    defaults: dict[str, Any] = {
        "grant_id": an_id(),
        "merchant_id": merchant.merchant_id,
        "platform": merchant.platform,
        "credits": 50,
        "reason": "sorry for the outage",
        "actor": "operator:ada",
        "granted_at": MOMENT,
    }
    return CreditGrant(**defaults | values)


def a_report(purchase: Purchase, **values: Any) -> PaymentReport:
    """What the platform says of the purchase's payment: paid, exactly as it was offered."""
    defaults: dict[str, Any] = {
        "platform_reference": purchase.platform_reference or f"pay-{purchase.purchase_id}",
        "status": PaymentStatus.PAID,
        "observed_at": purchase.created_at + timedelta(hours=1),
        "price": purchase.offer.price,
        "platform_account_id": purchase.platform_account_id,
        "test": purchase.test,
    }
    return PaymentReport(**defaults | values)


def an_origin(**values: Any) -> Origin:
    """Whoever brings a change about in a test."""
    return Origin(**{"actor": "tester", "correlation_id": "correlation-1"} | values)


def a_caller(merchant: Merchant | None = None, **values: Any) -> Caller:
    """A caller with a token for the merchant."""
    merchant = merchant or a_merchant()
    defaults = {
        "merchant_id": merchant.merchant_id,
        "platform": merchant.platform,
        "subject": "user-1",
        "correlation_id": "correlation-1",
    }
    return Caller(**defaults | values)


def a_request_key(merchant_id: str, **values: str) -> RequestKey:
    """An idempotency key no other request has."""
    defaults = {"merchant_id": merchant_id, "route": "POST /api/billing/purchases", "key": f"key-{next(_numbers)}"}
    return RequestKey(**defaults | values)


def a_merchant_created(
    merchant: Merchant | None = None,
    *,
    bare: bool = False,
    message_id: str | None = None,
    attempt: int = 1,
    **data: Any,
) -> InboundMessage:
    """The announcement of a merchant, as a CloudEvent or as bare data; `data` adds or replaces fields."""
    merchant = merchant or a_merchant()
    told = {
        "merchant_id": merchant.merchant_id,
        "platform": merchant.platform,
        "platform_account_id": merchant.platform_account_id,
        "platform_domain": merchant.platform_domain,
        "currency": merchant.currency,
        "created_at": merchant.registered_at.isoformat(),
    }
    return _message(MERCHANT_CREATED, told | data, bare=bare, message_id=message_id, attempt=attempt)


def a_purchase_updated(
    reference: str = "pay-1",
    *,
    platform: str = "sandbox",
    bare: bool = False,
    message_id: str | None = None,
    attempt: int = 1,
    **data: Any,
) -> InboundMessage:
    """A platform's notice about the payment of that reference, as ScriptedPlatform and the sandbox send it."""
    number = next(_numbers)
    told = {
        "platform": platform,
        "delivery_id": f"delivery-{number}",
        "received_at": MOMENT.isoformat(),
        "payload": {"reference": reference},
    }
    return _message(PURCHASE_UPDATED, told | data, bare=bare, message_id=message_id, attempt=attempt)


def again(message: InboundMessage) -> InboundMessage:
    """The same message, delivered once more."""
    return replace(message, attempt=message.attempt + 1)


def _message(
    subject: str, data: Mapping[str, Any], *, bare: bool, message_id: str | None, attempt: int
) -> InboundMessage:
    message_id = message_id or f"message-{next(_numbers)}"
    event = {"specversion": "1.0", "id": message_id, "source": "tests", "type": subject, "data": data}
    body = json.dumps(data if bare else event).encode()
    return InboundMessage(subject=subject, body=body, headers={"Nats-Msg-Id": message_id}, attempt=attempt)


def _for_status(status: PurchaseStatus, created_at: datetime, purchase_id: UUID) -> dict[str, Any]:
    later = created_at + timedelta(hours=1)
    checkout = {"platform_reference": f"pay-{purchase_id}", "checkout_url": f"https://pay.example/{purchase_id}"}
    if status is PurchaseStatus.CREATED:
        return {"check_at": created_at + timedelta(minutes=1), "version": 1}
    if status in OPEN:
        return {"check_at": created_at + timedelta(minutes=1), **checkout}
    paid = {"completed_at": later} if status in PAID else {}
    return {"ended_at": later, **checkout, **paid}
