"""What Billing answers, as values. They are read leniently: what a newer server adds does no harm.

Every model has the fields of one schema of `openapi.json`; a test holds the two equal, field by field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr

# A newer server may tell a status that is not known here: hence also any `str`.
TrialStatus: TypeAlias = Literal["available", "active", "expired", "converted", "ended", "refused"] | str
PurchaseStatus: TypeAlias = (
    Literal[
        "created",
        "pending",
        "completed",
        "declined",
        "failed",
        "expired",
        "cancelled",
        "partially_refunded",
        "refunded",
        "disputed",
    ]
    | str
)
HealthStatus: TypeAlias = Literal["ok", "degraded", "unavailable", "draining"] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """How an answer came. Two answers that say the same are equal, however they came."""

    status: int = field(default=0, compare=False)
    """The HTTP status; of `create_purchase` 201 is a new purchase, 200 the one that was open already."""

    correlation_id: str = field(default="", compare=False)
    """Names the call in Billing's logs and in the events it brought about."""

    replayed: bool = field(default=False, compare=False)
    """Whether this is the first answer under the idempotency key, told again."""

    attempts: int = field(default=1, compare=False)
    """How often the call was sent."""


class Part(BaseModel):
    """Something within an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(Part):
    """What a call returns."""

    _meta: Meta = PrivateAttr(default_factory=Meta)

    @property
    def meta(self) -> Meta:
        """How the answer came; of a purchase within a page, nothing but defaults: ask the page."""
        return self._meta


class Price(Part):
    """An amount of money: integer minor units for programs, a decimal string for people."""

    amount_minor: int
    currency: str
    amount: str


class Trial(Answer):
    """A merchant's trial; `available` before the first one."""

    id: UUID | None
    merchant_id: str
    status: TrialStatus
    credits: int
    duration_days: int
    started_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    converted_at: AwareDatetime | None


class Purchase(Answer):
    """A purchase. `checkout_url` is there only while it can be used."""

    id: UUID
    merchant_id: str
    pack: str
    credits: int
    bonus_credits: int
    price: Price
    status: PurchaseStatus
    platform: str
    platform_reference: str | None
    checkout_url: str | None
    test: bool
    late: bool
    needs_review: bool
    credits_reversed: int
    created_at: AwareDatetime
    expires_at: AwareDatetime
    completed_at: AwareDatetime | None


class PurchasePage(Answer):
    """Purchases, newest first; `next_cursor` is None on the last page."""

    data: tuple[Purchase, ...]
    next_cursor: str | None


class HistoryEntry(Part):
    """One change: who did what, when and why."""

    number: int
    at: AwareDatetime
    what: str
    status_before: str | None
    status_after: str
    actor: str
    reason: str | None
    correlation_id: str


class History(Answer):
    """Every change of a purchase, oldest first."""

    data: tuple[HistoryEntry, ...]


class Pack(Part):
    """A pack this merchant can buy, at this merchant's price."""

    pack: str
    credits: int
    bonus_credits: int
    price: Price
    catalog_version: str


class Packs(Answer):
    """What this merchant can buy."""

    data: tuple[Pack, ...]


class Merchant(Part):
    """Who the merchant is."""

    id: str
    platform: str
    platform_account_id: str
    currency: str | None
    registered_at: AwareDatetime


class PurchasesSummary(Part):
    """A merchant's purchases in figures: how many in each status, and what they brought."""

    counts: Mapping[str, int]
    credits_purchased: int
    credits_reversed: int
    last: Purchase | None


class Overview(Answer):
    """Everything about one merchant's billing."""

    merchant: Merchant
    trial: Trial
    purchases: PurchasesSummary
    packs: tuple[Pack, ...]


class Checks(Part):
    """Which servers answer Billing: `up` or `down`."""

    postgres: Literal["up", "down"] | str
    redis: Literal["up", "down"] | str
    nats: Literal["up", "down"] | str


class Health(Answer):
    """How the service is. `ok` and `degraded` answer every request."""

    status: HealthStatus
    version: str
    checks: Checks


class FieldProblem(Part):
    """One thing wrong with a request: `pointer` is a JSON Pointer (RFC 6901) to it."""

    pointer: str
    detail: str


class Problem(Part):
    """A refusal as it came (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    correlation_id: str
    errors: tuple[FieldProblem, ...] | None = None
    retryable: bool | None = None
    platform: str | None = None
