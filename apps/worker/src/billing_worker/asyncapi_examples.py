"""The examples in the AsyncAPI document: each event encoded as it is published, each message as Billing reads it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

from billing_core.domain.events import Change, CreditsRestored, CreditsReversed, Fact, Origin, Price
from billing_core.messages import CONTENT_TYPE, MERCHANT_CREATED, PURCHASE_UPDATED, encode_event

_AT: Final = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
_LATER: Final = datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
_BY: Final = Origin(
    actor="user-1",
    correlation_id="0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
_SUBJECTS: Final[Mapping[str, Literal["trial", "purchase", "grant"]]] = {
    "trial_id": "trial",
    "purchase_id": "purchase",
    "grant_id": "grant",
}
# What a field of a fact holds, by its name: the same name means the same in every fact.
_FIELDS: Final[Mapping[str, Any]] = {
    "merchant_id": "merchant-1",
    "platform": "sandbox",
    "trial_id": UUID("0199c3a8-5b10-7a44-b1c6-91d2f0e4a8c7"),
    "purchase_id": UUID("0199c3a8-6f02-7c31-8d55-3b1f0c9a7e21"),
    "grant_id": UUID("0199c3a8-7d3e-7b90-a0f4-6c2e8d5b1f42"),
    "pack": "large",
    "credits": 1000,
    "bonus_credits": 0,
    "price": Price(amount_minor=6999, currency="USD", amount="69.99"),
    "test": False,
    "late": False,
    "refunded_minor": 6999,
    "trial_ended": False,
    "reason": "told by an operator",
    "actor": "operator-1",
    "started_at": _AT,
    "ends_at": _LATER,
    "expires_at": _LATER,
    "expired_at": _LATER,
    "ended_at": _LATER,
    "refused_at": _AT,
    "converted_at": _AT,
    "completed_at": _AT,
}
_OTHERWISE: Final[Mapping[type[Fact], Mapping[str, Any]]] = {
    CreditsReversed: {"reason": "refund"},
    CreditsRestored: {"reason": "dispute", "refunded_minor": 0},
}
_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    MERCHANT_CREATED: {
        "merchant_id": "merchant-1",
        "platform": "shopify",
        "platform_account_id": "gid://shopify/Shop/5460981",
        "platform_domain": "shop-1.myshopify.com",
        "currency": "USD",
    },
    PURCHASE_UPDATED: {
        "platform": "shopify",
        "delivery_id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "topic": "app_purchases_one_time/update",
        "payload": {
            "app_purchase_one_time": {
                "admin_graphql_api_id": "gid://shopify/AppPurchaseOneTime/1017262355",
                "admin_graphql_api_shop_id": "gid://shopify/Shop/5460981",
                "name": "1000 credits - CP-7Q2M9X",
                "status": "ACTIVE",
            }
        },
    },
}


def published_example(kind: type[Fact]) -> dict[str, Any]:
    """The event that announces such a fact. Raises KeyError for a field whose name is not listed here."""
    fields = {**_FIELDS, **_OTHERWISE.get(kind, {})}
    fact = kind(**{name: fields[name] for name in kind.model_fields})
    subject_field = next(name for name in _SUBJECTS if name in kind.model_fields)
    change = Change(
        merchant_id=fact.merchant_id,
        subject=_SUBJECTS[subject_field],
        subject_id=fields[subject_field],
        number=1,
        what=kind.type,
        status_before=None,
        status_after="",
        at=_AT,
        by=_BY,
        fact=fact,
    )
    event = json.loads(encode_event(change, 3))
    return {
        "name": kind.type,
        "headers": {"Nats-Msg-Id": event["id"], "Content-Type": CONTENT_TYPE},
        "payload": event,
    }


def consumed_examples(subject: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The message as a CloudEvent, and as bare data. Raises KeyError for a subject that is not listed here."""
    data, message_id = dict(_DATA[subject]), "0199c3a8-8812-7f5d-9c07-1e4b6a2d9f33"
    envelope = {"specversion": "1.0", "id": message_id, "source": "app-platform", "type": subject, "data": data}
    return (
        {"name": "event", "payload": envelope},
        {"name": "bare", "headers": {"Nats-Msg-Id": message_id}, "payload": data},
    )
