"""What a platform says of one payment, in our words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing_core.domain.money import Money


class PaymentStatus(StrEnum):
    """What a platform says of a payment, in our words."""

    PENDING = "pending"
    PROCESSING = "processing"  # confirmed by the merchant, money under way (delayed methods): open, never expired
    PAID = "paid"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OVER = frozenset({PaymentStatus.DECLINED, PaymentStatus.FAILED, PaymentStatus.EXPIRED, PaymentStatus.CANCELLED})


class DisputeStatus(StrEnum):
    """How a dispute about a payment stands."""

    NONE = "none"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReport:
    """What the platform answered when asked about one payment at `observed_at`.

    `price` and `platform_account_id` are None where the platform does not say; a payment without them cannot be
    matched and will need review. `refunded_minor` is cumulative; it and `dispute` are None where the platform does
    not say (Shopify's Admin API), which changes nothing that was known.
    """

    platform_reference: str
    status: PaymentStatus
    observed_at: datetime
    price: Money | None = None
    platform_account_id: str | None = None
    test: bool = False
    refunded_minor: int | None = 0
    dispute: DisputeStatus | None = DisputeStatus.NONE

    def __post_init__(self) -> None:
        if self.refunded_minor is not None and self.refunded_minor < 0:
            raise ValueError("refunded_minor is cumulative and never negative")

    @property
    def is_over(self) -> bool:
        """Whether the platform says that the payment will never come."""
        return self.status in OVER
