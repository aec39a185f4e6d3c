"""The inside of Billing: what can be bought, what a trial is, and how a purchase lives. Pure; see ARCHITECTURE.md."""

from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import (
    Catalog,
    CreditPack,
    Offer,
    PriceBook,
    TrialTerms,
    default_catalog,
    default_price_book,
)
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial, TrialStatus
from billing_core.errors import BillingError

__all__ = [
    "BillingError",
    "Catalog",
    "CreditPack",
    "Merchant",
    "Money",
    "Offer",
    "PaymentReport",
    "PaymentStatus",
    "PriceBook",
    "Purchase",
    "PurchaseStatus",
    "Trial",
    "TrialStatus",
    "TrialTerms",
    "default_catalog",
    "default_price_book",
]
