"""The inside of Billing: what can be bought, what a trial is, and how a purchase lives. Pure; see ARCHITECTURE.md.

A public name's module is imported when the name is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

# Where the public names are, each module after those it builds on.
_HOMES = (
    "billing_core.errors",
    "billing_core.domain.money",
    "billing_core.domain.packs",
    "billing_core.domain.payments",
    "billing_core.domain.merchants",
    "billing_core.domain.trials",
    "billing_core.domain.purchases",
)


if not TYPE_CHECKING:  # a type checker knows the names from above, and must refuse all others

    def __getattr__(name: str) -> object:
        if name in __all__:
            for home in map(import_module, _HOMES):
                if hasattr(home, name):
                    globals()[name] = getattr(home, name)  # from now on it is found without asking here
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
