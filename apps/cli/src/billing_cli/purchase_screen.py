"""A purchase as operators see it: everything merchants see, and what is behind it."""

from datetime import UTC, datetime
from typing import Any

from billing_cli.terminal import moment
from billing_core.domain.events import rfc3339
from billing_core.domain.purchases import Purchase
from billing_core.views import PurchaseView

COLUMNS = ("id", "merchant", "pack", "price", "status", "created", "needs review")


def row(purchase: Purchase) -> tuple[object, ...]:
    """The purchase as a row of COLUMNS."""
    return (
        purchase.purchase_id,
        purchase.merchant_id,
        purchase.offer.pack,
        purchase.offer.price,
        purchase.status.value,
        moment(purchase.created_at),
        purchase.review_reason or "no",
    )


def document(purchase: Purchase) -> dict[str, Any]:
    """The purchase as HTTP shows it, and more."""
    return {
        **PurchaseView.of(purchase, datetime.now(UTC)).model_dump(mode="json"),
        "reference": purchase.short_reference,
        "platform_account_id": purchase.platform_account_id,
        "catalog_version": purchase.offer.catalog_version,
        "return_url": purchase.return_url,
        "review_reason": purchase.review_reason,
        "refunded_minor": purchase.refunded_minor,
        "dispute": purchase.dispute.value,
        "ended_at": _text(purchase.ended_at),
        "next_check_at": _text(purchase.check_at),
        "changes": purchase.version,
    }


def advice(purchase: Purchase) -> str:
    """The command to type next."""
    if purchase.needs_review:
        return f"billing purchases history {purchase.purchase_id}, then compare with the platform's own record"
    if purchase.is_open:
        return "billing jobs run reconcile-purchases, which asks the platform"
    return f"billing merchants show {purchase.merchant_id}"


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
