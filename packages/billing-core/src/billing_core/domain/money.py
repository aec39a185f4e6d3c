"""Money as integer minor units of an ISO 4217 currency."""

import re
from dataclasses import dataclass
from decimal import Decimal

# ISO 4217 exponents that are not 2, among the currencies Shopify and Stripe charge in.
_EXPONENTS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"], 0
) | dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3)
_CURRENCY = re.compile(r"[A-Z]{3}")
MAX_AMOUNT_MINOR = 10**12


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Money:
    """An amount in minor units (cents) of a currency; never negative."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int or not 0 <= self.amount_minor <= MAX_AMOUNT_MINOR:
            raise ValueError(f"amount_minor must be an integer from 0 to {MAX_AMOUNT_MINOR}")
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError("currency must be three capital letters (ISO 4217)")

    @classmethod
    def of(cls, amount: str, currency: str) -> "Money":
        """This will read a decimal string such as `"9.99"`. Raises ValueError where it is no exact amount."""
        if not re.fullmatch(r"\d{1,12}(\.\d{1,4})?", amount):
            raise ValueError(f"{amount!r} is not a decimal amount")
        minor = Decimal(amount).scaleb(_exponent(currency))
        if minor != minor.to_integral_value():
            raise ValueError(f"{amount} has more decimals than {currency} has")
        return cls(amount_minor=int(minor), currency=currency)

    @property
    def amount(self) -> str:
        """The amount as people write it: `"9.99"`, `"1000"` for yen."""
        return decimal_amount(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.currency} {self.amount}"


def decimal_amount(amount_minor: int, currency: str) -> str:
    """Minor units as people write them; sums may be larger, and differences smaller, than any one price."""
    exponent = _exponent(currency)
    return f"{Decimal(amount_minor).scaleb(-exponent):.{exponent}f}"


def _exponent(currency: str) -> int:
    return _EXPONENTS.get(currency, 2)
