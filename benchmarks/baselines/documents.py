"""What callers send and are shown, as FastAPI's pydantic models."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, PlainSerializer

from benchmarks.baselines.models import ArchivedPurchase, Merchant, Purchase, Trial

OPEN = ("created", "pending")
STATUSES = (*OPEN, "completed", "declined", "failed", "expired", "cancelled", "partially_refunded", "refunded",
            "disputed")  # fmt: skip

Moment = Annotated[
    datetime, PlainSerializer(lambda at: at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"))
]


def _https(url: HttpUrl) -> HttpUrl:
    if url.scheme != "https":
        raise ValueError("must be an https URL")
    return url


class NewPurchase(BaseModel):
    """What to buy."""

    model_config = ConfigDict(extra="forbid")

    pack: str
    return_url: Annotated[HttpUrl, AfterValidator(_https)]
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")


class PriceOut(BaseModel):
    """An amount of money."""

    amount_minor: int
    currency: str
    amount: str

    @classmethod
    def of(cls, amount_minor: int, currency: str) -> "PriceOut":
        """The price in both spellings."""
        return cls(amount_minor=amount_minor, currency=currency, amount=f"{amount_minor / 100:.2f}")


class PurchaseOut(BaseModel):
    """A purchase."""

    id: uuid.UUID
    merchant_id: str
    pack: str
    credits: int
    bonus_credits: int
    price: PriceOut
    status: str
    platform: str
    platform_reference: str | None
    checkout_url: str | None
    test: bool
    late: bool
    needs_review: bool
    credits_reversed: int
    created_at: Moment
    expires_at: Moment
    completed_at: Moment | None

    @classmethod
    def of(cls, purchase: Purchase | ArchivedPurchase) -> "PurchaseOut":
        """The purchase as it stands now."""
        usable = purchase.status in OPEN and datetime.now(UTC) < purchase.expires_at
        return cls(
            id=purchase.purchase_id,
            merchant_id=purchase.merchant_id,
            pack=purchase.pack,
            credits=purchase.credits,
            bonus_credits=purchase.bonus_credits,
            price=PriceOut.of(purchase.amount_minor, purchase.currency),
            status=purchase.status,
            platform=purchase.platform,
            platform_reference=purchase.platform_reference,
            checkout_url=purchase.checkout_url if usable else None,
            test=purchase.test,
            late=purchase.late,
            needs_review=purchase.review_reason is not None,
            credits_reversed=purchase.credits_reversed,
            created_at=purchase.created_at,
            expires_at=purchase.expires_at,
            completed_at=purchase.completed_at,
        )


class PageOut(BaseModel):
    """Purchases, newest first."""

    data: list[PurchaseOut]
    next_cursor: str | None


class TrialOut(BaseModel):
    """The trial; `available` before the first."""

    id: uuid.UUID | None
    merchant_id: str
    status: str
    credits: int
    duration_days: int
    started_at: Moment | None
    ends_at: Moment | None
    converted_at: Moment | None

    @classmethod
    def of(cls, trial: Trial) -> "TrialOut":
        """The trial as it stands now."""
        over = trial.status == "active" and datetime.now(UTC) >= trial.ends_at
        refused = trial.status == "refused"
        return cls(
            id=trial.trial_id,
            merchant_id=trial.merchant_id,
            status="expired" if over else trial.status,
            credits=trial.credits,
            duration_days=trial.duration_days,
            started_at=None if refused else trial.started_at,
            ends_at=None if refused else trial.ends_at,
            converted_at=trial.converted_at,
        )

    @classmethod
    def before_the_first(cls, merchant: Merchant, *, claimed: bool) -> "TrialOut":
        """What a merchant without a trial is shown."""
        return cls(
            id=None,
            merchant_id=merchant.merchant_id,
            status="refused" if claimed else "available",
            credits=500,
            duration_days=14,
            started_at=None,
            ends_at=None,
            converted_at=None,
        )


class MerchantOut(BaseModel):
    """Who the merchant is."""

    id: str
    platform: str
    platform_account_id: str
    currency: str | None
    registered_at: Moment


class SummaryOut(BaseModel):
    """A merchant's purchases in figures."""

    counts: dict[str, int]
    credits_purchased: int
    credits_reversed: int
    last: PurchaseOut | None


class PackOut(BaseModel):
    """A pack for sale."""

    pack: str
    credits: int
    bonus_credits: int
    price: PriceOut
    catalog_version: str


class OverviewOut(BaseModel):
    """Everything about one merchant's billing."""

    merchant: MerchantOut
    trial: TrialOut
    purchases: SummaryOut
    packs: list[PackOut]


class EventOut(BaseModel):
    """The CloudEvent of a new purchase."""

    specversion: str = "1.0"
    id: uuid.UUID
    source: str = "billing-service"
    type: str
    subject: str
    time: Moment
    datacontenttype: str = "application/json"
    correlationid: str
    traceparent: str
    sequence: int
    data: "PurchaseCreated"


class PurchaseCreated(BaseModel):
    """The fact: a merchant chose a pack."""

    merchant_id: str
    platform: str
    purchase_id: uuid.UUID
    pack: str
    credits: int
    bonus_credits: int
    price: PriceOut
    expires_at: Moment


class SandboxOffer(BaseModel):
    """What a sandbox checkout shows."""

    reference: str
    merchant_id: str
    platform_account_id: str
    pack: str
    credits: int
    bonus_credits: int
    amount_minor: int
    currency: str
    return_url: str
    expires_at: Moment


def totals(rows: list[Any]) -> tuple[dict[str, int], int, int]:
    """How many purchases of each status, credits bought, credits taken back, of rows grouped by status."""
    counts = dict.fromkeys(STATUSES, 0)
    purchased = reversed_ = 0
    for row in rows:
        counts[row.status] += row.many
        purchased += int(row.purchased or 0)
        reversed_ += int(row.reversed or 0)
    return counts, purchased, reversed_
