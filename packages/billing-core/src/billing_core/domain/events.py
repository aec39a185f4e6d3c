"""What Billing announces: one frozen model for each fact, whose fields are the event's `data` on the wire.

The fact the domain decides *is* the message other services read; the envelope around it is in `billing_core.messages`.
Every change of a trial or purchase is a `Change`: an entry of its history and, mostly, a fact to announce.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from billing_core.domain.money import Money

# Event ids are uuid5(namespace, fact): the same fact has the same id on every attempt, in every process, for ever.
EVENT_ID_NAMESPACE = uuid.UUID("6f0cf8a1-9a52-5d5e-9b8a-52b0bb0f3b0e")


@lru_cache(maxsize=16)  # what is decided at once happened at one moment
def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC with `Z` and microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# A day short of either end of what a datetime holds, whose moments may have none in UTC.
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(ge=_EARLIEST, le=_LATEST, json_schema_extra={"format": "date-time"}),
]


class Price(BaseModel):
    """An amount of money: integer minor units for programs, a decimal string for people."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    amount_minor: int = Field(ge=0, examples=[6999])
    currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["USD"])
    amount: str = Field(examples=["69.99"])

    @classmethod
    @lru_cache(maxsize=64)  # there are as many prices as packs
    def of(cls, money: Money) -> "Price":
        """The price as other services read it."""
        return cls(amount_minor=money.amount_minor, currency=money.currency, amount=money.amount)


class Fact(BaseModel):
    """Something that is true from now on about a merchant."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    type: ClassVar[str]
    # A once-only fact has one id per subject for ever; the others one id for each entry of the subject's history.
    once: ClassVar[bool] = False

    merchant_id: str
    platform: str


class _TrialFact(Fact):
    trial_id: uuid.UUID


class TrialStarted(_TrialFact):
    """A trial began; its credits are the merchant's until it ends."""

    type = "evt.billing.trial.started"
    once = True
    credits: int
    started_at: Timestamp
    ends_at: Timestamp


class TrialExpired(_TrialFact):
    """A trial ran to its end."""

    type = "evt.billing.trial.expired"
    once = True
    credits: int
    expired_at: Timestamp


class TrialExpiring(_TrialFact):
    """A trial ends soon."""

    type = "evt.billing.trial.expiring"
    ends_at: Timestamp


class TrialExtended(_TrialFact):
    """A trial got a later end."""

    type = "evt.billing.trial.extended"
    ends_at: Timestamp
    reason: str | None = None


class TrialConverted(_TrialFact):
    """The merchant bought during the trial. `trial_ended` says whether that ended it."""

    type = "evt.billing.trial.converted"
    once = True
    converted_at: Timestamp
    purchase_id: uuid.UUID
    trial_ended: bool


class TrialEnded(_TrialFact):
    """A trial was ended before its time."""

    type = "evt.billing.trial.ended"
    once = True
    ended_at: Timestamp
    reason: str | None = None


class TrialRefused(_TrialFact):
    """A trial was asked for and refused: the platform account has had one."""

    type = "evt.billing.trial.refused"
    once = True
    refused_at: Timestamp
    reason: str


class _PurchaseFact(Fact):
    purchase_id: uuid.UUID


class CreditsPurchased(_PurchaseFact):
    """A purchase is paid: its credits are the merchant's. Exactly one for each payment, for ever."""

    type = "evt.billing.credits.purchased"
    once = True
    pack: str
    credits: int
    bonus_credits: int
    price: Price
    test: bool
    late: bool
    completed_at: Timestamp


class CreditsReversed(_PurchaseFact):
    """Credits are taken back, for a refund or dispute. `credits` is what this event takes back."""

    type = "evt.billing.credits.reversed"
    credits: int
    reason: Literal["refund", "dispute"]
    refunded_minor: int


class CreditsRestored(_PurchaseFact):
    """Credits taken back before are the merchant's again."""

    type = "evt.billing.credits.restored"
    credits: int
    reason: Literal["refund", "dispute"]
    refunded_minor: int


class CreditsGranted(Fact):
    """Goodwill credits an operator gave."""

    type = "evt.billing.credits.granted"
    once = True
    grant_id: uuid.UUID
    credits: int
    reason: str
    actor: str


class PurchaseCreated(_PurchaseFact):
    """A merchant chose a pack; nothing is paid yet."""

    type = "evt.billing.purchase.created"
    once = True
    pack: str
    credits: int
    bonus_credits: int
    price: Price
    expires_at: Timestamp


class _PurchaseEnded(_PurchaseFact):
    pack: str
    reason: str | None = None


class PurchaseDeclined(_PurchaseEnded):
    """The merchant said no on the platform's page."""

    type = "evt.billing.purchase.declined"


class PurchaseFailed(_PurchaseEnded):
    """The payment, or the making of its checkout, failed for good."""

    type = "evt.billing.purchase.failed"


class PurchaseExpired(_PurchaseEnded):
    """Nobody paid in time."""

    type = "evt.billing.purchase.expired"


class PurchaseCancelled(_PurchaseEnded):
    """The purchase was called off before payment."""

    type = "evt.billing.purchase.cancelled"


class PurchaseNeedsReview(_PurchaseEnded):
    """The platform reports a payment that does not match what was offered; a person must look."""

    type = "evt.billing.purchase.needs_review"


FACTS: tuple[type[Fact], ...] = (
    TrialStarted, TrialExpired, TrialExpiring, TrialExtended, TrialConverted, TrialEnded, TrialRefused,
    CreditsPurchased, CreditsReversed, CreditsRestored, CreditsGranted,
    PurchaseCreated, PurchaseDeclined, PurchaseFailed, PurchaseExpired, PurchaseCancelled, PurchaseNeedsReview,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who or what brings a change about, and how to follow it through logs and events."""

    actor: str
    correlation_id: str
    traceparent: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened to a trial, a purchase or a grant.

    `number` counts the changes of one subject from 1 without gaps; storage refuses the same number twice, so a
    change that two workers decide is recorded once.
    """

    merchant_id: str
    subject: Literal["trial", "purchase", "grant"]
    subject_id: uuid.UUID
    number: int
    what: str
    status_before: str | None
    status_after: str
    at: datetime
    by: Origin
    reason: str | None = None
    fact: Fact | None = None

    @property
    def event_id(self) -> uuid.UUID:
        """The id of the announced fact, derived from the fact alone. Raises ValueError where none is announced."""
        if self.fact is None:
            raise ValueError(f"{self.what} of {self.subject} announces nothing")
        which = "" if self.fact.once else f"|{self.number}"
        return _event_id(f"{self.fact.type}|{self.subject_id}{which}")


@lru_cache(maxsize=16)  # the envelope asks, and then the outbox
def _event_id(fact: str) -> uuid.UUID:
    return uuid.uuid5(EVENT_ID_NAMESPACE, fact)
