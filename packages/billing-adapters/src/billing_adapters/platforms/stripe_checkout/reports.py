"""What Stripe answers about a payment, and the `PaymentReport` it comes to.

A session says whether it was paid, its payment intent whether a delayed payment failed, its charge how much was
refunded, its disputes how they stand.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from billing_adapters.platforms.stripe_checkout.amounts import from_stripe
from billing_adapters.platforms.stripe_checkout.marks import is_marked, platform_account_id
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.ports.platforms import PlatformAccount

SESSION_ID = r"^cs_[A-Za-z0-9_-]{1,250}$"
PAYMENT_ID = r"^pi_[A-Za-z0-9_-]{1,250}$"


class Told(BaseModel):
    """Something Stripe tells, read strictly as far as it matters here; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Dispute(Told):
    """A dispute; its `warning_…` states are inquiries, where no money has moved."""

    status: Literal[
        "warning_needs_response",
        "warning_under_review",
        "warning_closed",
        "needs_response",
        "under_review",
        "appeal_needs_response",
        "appeal_under_review",
        "won",
        "lost",
        "prevented",
    ]


class Charge(Told):
    """A charge; `amount_refunded` is cumulative, in Stripe's units."""

    amount_refunded: int = Field(default=0, ge=0)
    currency: str | None = None
    disputed: bool = False


class PaymentIntent(Told):
    """The payment of a session."""

    id: str = Field(pattern=PAYMENT_ID)
    status: (
        Literal[
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "processing",
            "requires_capture",
            "canceled",
            "succeeded",
        ]
        | None
    ) = None
    latest_charge: Charge | str | None = None


class NewSession(Told):
    """A Checkout Session as far as its maker needs it."""

    id: str = Field(pattern=SESSION_ID)
    url: str | None = None


class Session(Told):
    """A Checkout Session. `livemode` is None where it does not say; it is the key's then."""

    id: str = Field(pattern=SESSION_ID)
    mode: str = "payment"
    livemode: bool | None = None
    status: Literal["open", "complete", "expired"]
    payment_status: Literal["paid", "unpaid", "no_payment_required"]
    amount_total: int | None = None
    currency: str | None = None
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: PaymentIntent | str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether Billing may have made it: it has our marks, or does not tell of any."""
        says = {"client_reference_id", "metadata"} & self.model_fields_set
        return self.mode == "payment" and (not says or is_marked(self.client_reference_id, self.metadata))

    @property
    def is_paid(self) -> bool:
        """Whether the money is there. An open session may say `no_payment_required` before anybody has agreed."""
        settled = self.payment_status == "no_payment_required" and self.status == "complete"
        return self.payment_status == "paid" or settled

    @property
    def platform_account_id(self) -> str | None:
        """The account whose payment it is: sessions belong to our Stripe account, the payer's stands in the marks."""
        return platform_account_id(self.metadata)

    def is_test(self, *, test_mode: bool) -> bool:
        """Whether no real money moves."""
        return test_mode if self.livemode is None else not self.livemode


def report_of(
    session: Session,
    *,
    payment: PaymentIntent | None,
    charge: Charge | None,
    disputes: Iterable[Dispute],
    account: PlatformAccount,
    test_mode: bool,
    observed_at: datetime,
) -> PaymentReport:
    """This will put together what Stripe says of one payment, in our words.

    A session that tells of no marks is taken for the account's that was asked about: one purchase has its reference.
    Without a charge a paid session tells nothing of refunds and disputes. Raises ValueError where its amounts are none.
    """
    known = not session.is_paid or charge is not None
    return PaymentReport(
        platform_reference=session.id,
        status=_status(session, payment),
        observed_at=observed_at,
        price=_price(session),
        platform_account_id=(
            session.platform_account_id if "metadata" in session.model_fields_set else account.platform_account_id
        ),
        test=session.is_test(test_mode=test_mode),
        refunded_minor=_refunded_minor(charge, session) if known else None,
        dispute=worst(disputes) if known else None,
    )


def worst(disputes: Iterable[Dispute]) -> DisputeStatus:
    """How the disputes about one payment stand, taken together: one that is open counts most, then one that is lost."""
    stand = {_DISPUTES[dispute.status] for dispute in disputes}
    return next((each for each in _WORST_FIRST if each in stand), DisputeStatus.NONE)


_WORST_FIRST = (DisputeStatus.OPEN, DisputeStatus.LOST, DisputeStatus.WON)
_DISPUTES = {
    "warning_needs_response": DisputeStatus.NONE,
    "warning_under_review": DisputeStatus.NONE,
    "warning_closed": DisputeStatus.NONE,
    "prevented": DisputeStatus.NONE,  # settled by a refund before it began; the charge tells of the refund
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
# After a delayed payment has failed, its intent waits for another method, which a complete session never asks for.
_FAILED = frozenset({"canceled", "requires_payment_method"})


def _status(session: Session, payment: PaymentIntent | None) -> PaymentStatus:
    if session.is_paid:
        return PaymentStatus.PAID
    if session.status == "open":
        return PaymentStatus.PENDING
    if session.status == "expired":
        return PaymentStatus.EXPIRED
    failed = payment is not None and payment.status in _FAILED
    return PaymentStatus.FAILED if failed else PaymentStatus.PROCESSING


def _price(session: Session) -> Money | None:
    """What was charged; None, which a person must look at, where it is no amount we could have offered."""
    if session.amount_total is None or session.currency is None:
        return None
    try:
        return from_stripe(session.amount_total, session.currency)
    except ValueError:
        return None


def _refunded_minor(charge: Charge | None, session: Session) -> int:
    if charge is None or charge.amount_refunded == 0:
        return 0
    return from_stripe(charge.amount_refunded, charge.currency or session.currency or "").amount_minor
