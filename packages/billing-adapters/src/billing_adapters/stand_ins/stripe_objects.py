"""Stripe's objects as this account holds them, and the bodies Stripe would tell of them (API 2026-10-28.endive).

The bodies name their fields as the classes of the official library do; what is of no matter to a one-time payment at
the hosted page is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]
DisputeStatus = Literal[
    "needs_response",
    "under_review",
    "won",
    "lost",
    "prevented",
    "appeal_needs_response",
    "appeal_under_review",
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
]
CHECKOUT_URL = "https://checkout.stripe.com/c/pay/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A Checkout Session. It has no payment intent before the payer has acted at the page."""

    id: str
    created: int
    expires_at: int
    amount_total: int
    currency: str
    params: Mapping[str, Any]
    livemode: bool
    status: Literal["open", "complete", "expired"] = "open"
    payment_status: Literal["unpaid", "paid"] = "unpaid"
    payment_intent: str | None = None

    @property
    def url(self) -> str | None:
        """The page, while something can be paid there."""
        return f"{CHECKOUT_URL}{self.id}" if self.status == "open" else None

    @property
    def client_reference_id(self) -> str | None:
        """The reference the caller gave it."""
        return self.params.get("client_reference_id")

    @property
    def metadata(self) -> Mapping[str, str]:
        """The session's own metadata; the payment's is another."""
        metadata: Mapping[str, str] = self.params.get("metadata", {})
        return metadata

    def body(self) -> Body:
        """The `checkout.session` object."""
        return {
            "id": self.id,
            "object": "checkout.session",
            "allowed_payment_method_types": self.params.get("allowed_payment_method_types"),
            "amount_subtotal": self.amount_total,
            "amount_total": self.amount_total,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "cancel_url": self.params.get("cancel_url"),
            "client_reference_id": self.client_reference_id,
            "client_secret": None,
            "created": self.created,
            "currency": self.currency,
            "custom_fields": [],
            "customer": None,
            "customer_email": self.params.get("customer_email"),
            "expires_at": self.expires_at,
            "livemode": self.livemode,
            "metadata": dict(self.metadata),
            "mode": "payment",
            "payment_intent": self.payment_intent,
            "payment_method_types": self.params.get("allowed_payment_method_types", ["card"]),
            "payment_status": self.payment_status,
            "shipping_options": [],
            "status": self.status,
            "success_url": self.params["success_url"],
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page",
            "url": self.url,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money given back. One that failed went back to the account it came from."""

    id: str
    created: int
    amount: int
    status: Literal["succeeded", "failed"] = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """The payer's bank asks the money back; `warning_…` only asks why it was taken."""

    id: str
    created: int
    status: DisputeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment intent with its one charge, what was given back of it and its dispute."""

    intent_id: str
    charge_id: str
    created: int
    amount: int
    currency: str
    metadata: Mapping[str, str]
    livemode: bool
    status: Literal["processing", "succeeded", "failed"]
    refunds: tuple[Refund, ...] = field(default=())
    dispute: Dispute | None = None

    @property
    def amount_refunded(self) -> int:
        """What was given back so far, in minor units; what failed to arrive is not in it."""
        return sum(refund.amount for refund in self.refunds if refund.status == "succeeded")

    def intent_body(self) -> Body:
        """The `payment_intent` object. One that failed waits for another means of payment."""
        failed, received = self.status == "failed", self.amount if self.status == "succeeded" else 0
        return {
            "id": self.intent_id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": 0,
            "amount_received": received,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": None,
            "last_payment_error": _DECLINED if failed else None,
            "latest_charge": self.charge_id,
            "livemode": self.livemode,
            "metadata": dict(self.metadata),
            "next_action": None,
            "payment_method_types": ["card"],
            "status": "requires_payment_method" if failed else self.status,
        }

    def charge_body(self) -> Body:
        """The `charge` object; the intent's metadata reaches it."""
        succeeded, failed = self.status == "succeeded", self.status == "failed"
        return {
            "id": self.charge_id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount if succeeded else 0,
            "amount_refunded": self.amount_refunded,
            "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
            "captured": succeeded,
            "created": self.created,
            "currency": self.currency,
            "customer": None,
            "disputed": self.dispute is not None,
            "failure_code": _DECLINED["code"] if failed else None,
            "failure_message": _DECLINED["message"] if failed else None,
            "livemode": self.livemode,
            "metadata": dict(self.metadata),
            "paid": succeeded,
            "payment_intent": self.intent_id,
            "refunded": self.amount_refunded == self.amount,
            "status": "pending" if self.status == "processing" else self.status,
        }

    def refund_body(self, refund: Refund) -> Body:
        """The `refund` object of one of the refunds."""
        return {
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "charge": self.charge_id,
            "created": refund.created,
            "currency": self.currency,
            "metadata": {},
            "payment_intent": self.intent_id,
            "reason": None,
            "status": refund.status,
            **({"failure_reason": "expired_or_canceled_card"} if refund.status == "failed" else {}),
        }

    def dispute_body(self, dispute: Dispute) -> Body:
        """The `dispute` object: of all that was paid, as payers' banks mostly ask."""
        return {
            "id": dispute.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": [],
            "charge": self.charge_id,
            "created": dispute.created,
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {"due_by": None, "has_evidence": False, "past_due": False, "submission_count": 0},
            "is_charge_refundable": dispute.status.startswith("warning_"),
            "livemode": self.livemode,
            "metadata": {},
            "payment_intent": self.intent_id,
            "reason": "fraudulent",
            "status": dispute.status,
        }


_DECLINED = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
}
