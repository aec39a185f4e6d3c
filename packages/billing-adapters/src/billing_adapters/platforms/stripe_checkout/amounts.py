"""Money as Stripe counts it, which is not always how ISO 4217 does (docs.stripe.com/currencies, "Special cases").

Mostly both count the same minor units. ISK and UGX have no decimals, but Stripe wants them as if they had two, the last
two digits `00`. MGA has two, but Stripe takes whole ones only. Of the currencies with three decimals Stripe takes those
below, the last digit `0`; of the others it does not say how it would count them, so they are refused, never guessed.
"""

from billing_adapters.platforms.stripe_checkout.marks import NAME
from billing_core.domain.money import Money
from billing_core.errors import PlatformRejected

_TOLD_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
_TOLD_IN_WHOLES = frozenset({"MGA"})
_ENDING_IN_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_UNKNOWN = frozenset({"IQD", "LYD"})


def to_stripe(price: Money) -> int:
    """The integer Stripe wants for the price. Raises PlatformRejected where there is none that is exactly it."""
    minor, currency = price.amount_minor, price.currency
    if currency in _TOLD_IN_HUNDREDTHS:
        return minor * 100
    if currency in _TOLD_IN_WHOLES and minor % 100 == 0:
        return minor // 100
    coarse = currency in _TOLD_IN_WHOLES or (currency in _ENDING_IN_ZERO and minor % 10 != 0)
    if coarse or currency in _UNKNOWN:
        raise PlatformRejected(NAME, f"it cannot charge exactly {price}; change this price in the catalogue")
    return minor


def from_stripe(amount: int, currency: str) -> Money:
    """The money Stripe means. Raises ValueError where it is no amount of that currency."""
    currency = currency.upper()
    if currency in _TOLD_IN_HUNDREDTHS:
        amount, remainder = divmod(amount, 100)
        if remainder:
            raise ValueError(f"Stripe tells a fraction of {currency}, which has none")
    elif currency in _TOLD_IN_WHOLES:
        amount *= 100
    return Money(amount_minor=amount, currency=currency)
