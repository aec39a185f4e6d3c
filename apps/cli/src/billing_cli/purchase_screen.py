"""A purchase as operators see it: everything merchants see, and what is behind it."""

from collections.abc import Sequence
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
        purchase.review.reason or "no",
    )


def document(purchase: Purchase) -> dict[str, Any]:
    """The purchase as HTTP shows it, and more."""
    return {
        **PurchaseView.of(purchase, datetime.now(UTC)).to_document(),
        "reference": purchase.short_reference,
        "platform_account_id": purchase.platform_account_id,
        "catalog_version": purchase.offer.catalog_version,
        "return_url": purchase.return_url,
        "review_reason": purchase.review.reason,
        "review_reference": purchase.review.about,
        "further_findings": [finding.reason for finding in purchase.review.findings[1:]],
        "dismissed": list(purchase.review.dismissed),
        "paid_minor": purchase.paid_minor,
        "refunded_minor": purchase.refunded_minor,
        "dispute": purchase.dispute.value,
        "ended_at": _text(purchase.ended_at),
        "next_check_at": _text(purchase.check_at),
        "changes": purchase.version,
    }


def advice(purchase: Purchase) -> Sequence[str]:
    """The commands a person may type next."""
    name = purchase.purchase_id
    if purchase.needs_review:
        dismiss = f'billing purchases resolve {name} --dismiss --reason "…"'
        if purchase.is_paid:
            return [f"{dismiss}   # once the other payment is given back at the platform"]
        accept = f'billing purchases resolve {name} --accept --reason "…"   # the payment will do: gives the credits'
        return [accept, f"{dismiss}   # no credits; give the payment back at the platform"]
    if purchase.is_open:
        return [
            f"billing purchases reconcile {name}   # asks the platform",
            f'billing purchases cancel {name} --reason "…"   # calls it off',
        ]
    return [f"billing merchants show {purchase.merchant_id}"]


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
