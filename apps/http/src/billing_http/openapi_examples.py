"""The examples in the OpenAPI document, made of the views and refusals themselves: they are what is answered."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from starlette.responses import Response

from billing_core import errors, views
from billing_core.domain.events import Price
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import BillingError
from billing_core.views import View
from billing_http import refusals
from billing_http.health import VERSION, Alive, Checks, Health
from billing_http.problems import CORRELATION_ID, problem_response

A_CORRELATION_ID: Final = "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"
A_PURCHASE_ID: Final = "0199c3a8-6f02-7c31-8d55-3b1f0c9a7e21"

_MERCHANT = "merchant-1"
_AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
_TRIAL = views.TrialView(
    id=UUID("0199c3a8-5b10-7a44-b1c6-91d2f0e4a8c7"),
    merchant_id=_MERCHANT,
    status="active",
    credits=500,
    duration_days=14,
    started_at=_AT,
    ends_at=datetime(2026, 11, 17, 9, 30, tzinfo=UTC),
    converted_at=None,
)
_PRICE = Price(amount_minor=6999, currency="USD", amount="69.99")
_PURCHASE = views.PurchaseView(
    id=UUID(A_PURCHASE_ID),
    merchant_id=_MERCHANT,
    pack="large",
    credits=1000,
    bonus_credits=0,
    price=_PRICE,
    status=PurchaseStatus.PENDING,
    platform="sandbox",
    platform_reference="sbx_01a20429c87b",
    checkout_url="https://shop.example/checkout/sbx_01a20429c87b",
    test=True,
    late=False,
    needs_review=False,
    credits_reversed=0,
    created_at=_AT,
    expires_at=datetime(2026, 11, 3, 10, 30, tzinfo=UTC),
    completed_at=None,
)
_PAID = replace(_PURCHASE, status=PurchaseStatus.COMPLETED, checkout_url=None, completed_at=_AT)
_PACK = views.PackView(pack="large", credits=1000, bonus_credits=0, price=_PRICE, catalog_version="1")
_CREATED = views.HistoryEntryView(
    number=1,
    at=_AT,
    what="created",
    status_before=None,
    status_after="created",
    actor="user-1",
    reason=None,
    correlation_id=A_CORRELATION_ID,
)
_UP = Checks(postgres="up", redis="up", nats="up")

_ANSWERS: Final[Mapping[type[object], View | BaseModel]] = {
    views.TrialView: _TRIAL,
    views.PurchaseView: _PURCHASE,
    views.PurchasePage: views.PurchasePage(data=(_PAID,), next_cursor=None),
    views.HistoryView: views.HistoryView(data=(_CREATED,)),
    views.PacksView: views.PacksView(data=(_PACK,)),
    views.BillingView: views.BillingView(
        merchant=views.MerchantView(
            id=_MERCHANT, platform="sandbox", platform_account_id=_MERCHANT, currency="USD", registered_at=_AT
        ),
        trial=_TRIAL,
        purchases=views.PurchasesSummary(
            counts={"completed": 1}, credits_purchased=1000, credits_reversed=0, last=_PAID
        ),
        packs=(_PACK,),
    ),
    Health: Health(status="ok", version=VERSION, checks=_UP),
    Alive: Alive(version=VERSION),
}

# Those whose words depend on what was asked; of all others there is but one.
_REFUSALS: Final[Mapping[type[BillingError], BillingError]] = {
    errors.InvalidRequest: errors.InvalidRequest(errors.FieldError(pointer="/pack", detail="Field required")),
    errors.InvalidPack: errors.InvalidPack("huge", ("small", "medium", "large")),
    errors.InvalidPlatform: errors.InvalidPlatform(("shopify", "stripe", "sandbox")),
    errors.TooManyOpenPurchases: errors.TooManyOpenPurchases(5),
    errors.RateLimited: errors.RateLimited(per_minute=6000, burst=600, retry_after_s=1),
    errors.IdempotencyKeyInUse: errors.IdempotencyKeyInUse(retry_after_s=1),
    errors.PlatformError: errors.PlatformThrottled("shopify", "asked too often", retry_after_s=30),
    refusals.Forbidden: refusals.Forbidden("billing:write"),
    refusals.PayloadTooLarge: refusals.PayloadTooLarge(64 * 1024),
    refusals.MethodNotAllowed: refusals.MethodNotAllowed(["GET", "POST"]),
}


def answer_example(result: type[object]) -> Any:
    """A document of that kind. Raises KeyError where none is listed."""
    example = _ANSWERS[result]
    return example.model_dump(mode="json") if isinstance(example, BaseModel) else example.to_document()


def refusal_example(kind: type[BillingError]) -> Any:
    """The problem document of that refusal."""
    return json.loads(bytes(_told(kind).body))


def refusal_headers(kind: type[BillingError]) -> list[str]:
    """The headers that come with the refusal and mean something to whoever asked."""
    of_any_answer = {"content-type", "content-length", "connection"}
    return [name for name in _told(kind).headers if name not in of_any_answer]


def _told(kind: type[BillingError]) -> Response:
    error = _REFUSALS[kind] if kind in _REFUSALS else kind()
    return problem_response({"path": "/api/billing/purchases", CORRELATION_ID: A_CORRELATION_ID}, error)
