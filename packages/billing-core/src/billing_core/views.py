"""What callers are shown of trials, purchases and merchants: the documents of contract §2.

They are plain values which pydantic writes and describes, and not its models: what they are made of was checked where
it came in, and to check it again on the way out would cost more than all the rest of a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter

from billing_core.domain.events import Price
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Catalog, Offer, TrialTerms
from billing_core.domain.purchases import Purchase, PurchaseStatus, is_usable
from billing_core.domain.trials import Trial, TrialStatus

# A moment of the clock's or of storage's, both of which speak UTC: pydantic writes it with `Z` by itself.
Timestamp = Annotated[AwareDatetime, Field(json_schema_extra={"format": "date-time"})]


V = TypeVar("V", bound="View")


class View:
    """A document that leaves the service; closed."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def to_json(self) -> bytes:
        """The document as JSON."""
        return adapter(type(self)).dump_json(self)

    def to_document(self) -> dict[str, Any]:
        """The document as JSON's own kinds of values."""
        document: dict[str, Any] = adapter(type(self)).dump_python(self, mode="json")
        return document


_ADAPTERS: Final[dict[type[View], TypeAdapter[Any]]] = {}


def adapter(view: type[V]) -> TypeAdapter[V]:
    """What writes, reads and describes a kind of view; made when it is first needed, for that takes milliseconds."""
    known = _ADAPTERS.get(view)
    if known is None:
        known = _ADAPTERS[view] = TypeAdapter(view)
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView(View):
    """A merchant's trial; `available` before the first one."""

    id: UUID | None
    merchant_id: str
    status: Annotated[str, Field(examples=["active"], json_schema_extra={"enum": ["available", *TrialStatus]})]
    credits: int
    duration_days: int
    started_at: Timestamp | None
    ends_at: Timestamp | None
    converted_at: Timestamp | None

    @classmethod
    def of(cls, trial: Trial, now: datetime) -> "TrialView":
        """The trial as it stands now."""
        refused = trial.status == "refused"
        return cls(
            id=trial.trial_id,
            merchant_id=trial.merchant_id,
            status=trial.status_at(now),
            credits=trial.credits,
            duration_days=trial.duration_days,
            started_at=None if refused else trial.started_at,
            ends_at=None if refused else trial.ends_at,
            converted_at=trial.converted_at,
        )

    @classmethod
    def before_the_first(cls, merchant_id: str, terms: TrialTerms, *, claimed: bool) -> "TrialView":
        """What a merchant without a trial is shown: `available`, or `refused` where the shop has had its one."""
        return cls(
            id=None,
            merchant_id=merchant_id,
            status="refused" if claimed else "available",
            credits=terms.credits,
            duration_days=terms.duration_days,
            started_at=None,
            ends_at=None,
            converted_at=None,
        )


class PurchaseSummary(NamedTuple):
    """What is recorded of a purchase and shown of it, in the order in which storage tells it. No model and no
    `Purchase`: a page has a hundred of them."""

    purchase_id: UUID
    merchant_id: str
    pack: str
    credits: int
    bonus_credits: int
    amount_minor: int
    currency: str
    status: str
    platform: str
    platform_reference: str | None
    checkout_url: str | None
    test: bool
    late: bool
    needs_review: bool
    credits_reversed: int
    created_at: datetime
    expires_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, purchase: Purchase) -> "PurchaseSummary":
        """The same of a purchase that is at hand."""
        return cls(
            purchase.purchase_id,
            purchase.merchant_id,
            purchase.offer.pack,
            purchase.offer.credits,
            purchase.offer.bonus_credits,
            purchase.offer.price.amount_minor,
            purchase.offer.price.currency,
            purchase.status,
            purchase.platform,
            purchase.platform_reference,
            purchase.checkout_url,
            purchase.test,
            purchase.late,
            purchase.needs_review,
            purchase.credits_reversed,
            purchase.created_at,
            purchase.expires_at,
            purchase.completed_at,
        )


# Not frozen: that takes longer for a page of them than writing it.
@dataclass(slots=True, kw_only=True)
class PurchaseView(View):
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
    created_at: Timestamp
    expires_at: Timestamp
    completed_at: Timestamp | None

    @classmethod
    def of(cls, purchase: Purchase | PurchaseSummary, now: datetime) -> "PurchaseView":
        """The purchase as it stands now."""
        shown = PurchaseSummary.of(purchase) if isinstance(purchase, Purchase) else purchase
        return cls(
            id=shown.purchase_id,
            merchant_id=shown.merchant_id,
            pack=shown.pack,
            credits=shown.credits,
            bonus_credits=shown.bonus_credits,
            price=_price(shown.amount_minor, shown.currency),
            status=_STATUSES[shown.status],
            platform=shown.platform,
            platform_reference=shown.platform_reference,
            checkout_url=shown.checkout_url if is_usable(shown.status, shown.expires_at, now) else None,
            test=shown.test,
            late=shown.late,
            needs_review=shown.needs_review,
            credits_reversed=shown.credits_reversed,
            created_at=shown.created_at,
            expires_at=shown.expires_at,
            completed_at=shown.completed_at,
        )


_STATUSES: Final[Mapping[str, PurchaseStatus]] = {status.value: status for status in PurchaseStatus}


@lru_cache(maxsize=64)  # there are as many prices as packs
def _price(amount_minor: int, currency: str) -> Price:
    return Price.of(Money(amount_minor=amount_minor, currency=currency))


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasePage(View):
    """Purchases, newest first; `next_cursor` is None on the last page."""

    data: tuple[PurchaseView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntryView(View):
    """One change: who did what, when and why."""

    number: int
    at: Timestamp
    what: str
    status_before: str | None
    status_after: str
    actor: str
    reason: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView(View):
    """Every change of a purchase or trial, oldest first."""

    data: tuple[HistoryEntryView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackView(View):
    """A pack this merchant can buy, at this merchant's price."""

    pack: str
    credits: int
    bonus_credits: int
    price: Price
    catalog_version: str

    @classmethod
    def all_of(cls, catalog: Catalog, *, home_currency: str | None) -> "tuple[PackView, ...]":
        """The packs for sale, in that currency where they have a price in it."""
        return tuple(cls.of(offer) for offer in catalog.offers(home_currency=home_currency))

    @classmethod
    def of(cls, offer: Offer) -> "PackView":
        """The offer as a merchant sees it."""
        return cls(
            pack=offer.pack,
            credits=offer.credits,
            bonus_credits=offer.bonus_credits,
            price=Price.of(offer.price),
            catalog_version=offer.catalog_version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PacksView(View):
    """What this merchant can buy."""

    data: tuple[PackView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantView(View):
    """Who the merchant is."""

    id: str
    platform: str
    platform_account_id: str
    currency: str | None
    registered_at: Timestamp

    @classmethod
    def of(cls, merchant: Merchant) -> "MerchantView":
        """The merchant as callers see it."""
        return cls(
            id=merchant.merchant_id,
            platform=merchant.platform,
            platform_account_id=merchant.platform_account_id,
            currency=merchant.currency,
            registered_at=merchant.registered_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasesSummary(View):
    """A merchant's purchases in figures: how many in each status, and what they brought."""

    counts: Mapping[str, int]
    credits_purchased: int
    credits_reversed: int
    last: PurchaseView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingView(View):
    """Everything about one merchant's billing."""

    merchant: MerchantView
    trial: TrialView
    purchases: PurchasesSummary
    packs: tuple[PackView, ...]
