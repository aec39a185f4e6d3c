"""What can be bought: credit packs, their prices, the terms of a trial, and from when on."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from billing_core.domain.money import Money
from billing_core.errors import FieldError, InvalidCatalog, InvalidPack, InvalidRequest

MAX_CREDITS = 10**9
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SINCE_EVER = datetime.min.replace(tzinfo=UTC)
_NAMED = "of 1-64 letters, digits, dots, dashes and underscores"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditPack:
    """A pack: `credits` plus `bonus_credits` for one of `prices` (one a currency); `retired` is no longer for sale."""

    code: str
    credits: int
    bonus_credits: int = 0
    prices: tuple[Money, ...]
    retired: bool = False

    def __post_init__(self) -> None:
        counts = _is_count(self.credits, 1, MAX_CREDITS) and _is_count(self.bonus_credits, 0, MAX_CREDITS)
        if type(self.code) is not str or not self.code or not counts or type(self.retired) is not bool:
            raise ValueError(
                f"pack {self.code!r} needs a code, credits from 1, bonus_credits from 0, retired as a bool"
            )
        currencies = [price.currency for price in self.prices]
        if not currencies or len(set(currencies)) != len(currencies):
            raise ValueError(f"pack {self.code!r} needs at least one price, and one a currency")

    def price_in(self, currency: str) -> Money | None:
        """The price in that currency, or None where the pack has none."""
        return next((price for price in self.prices if price.currency == currency), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A pack as it stood when a purchase was made: the snapshot no later catalogue changes."""

    pack: str
    catalog_version: str
    credits: int
    bonus_credits: int
    price: Money

    @property
    def total_credits(self) -> int:
        """Paid and bonus credits together."""
        return self.credits + self.bonus_credits


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTerms:
    """How long a trial runs, what it gives, and whether a purchase ends it ("convert") or not ("keep")."""

    duration_days: int = 14
    credits: int = 500
    on_purchase: Literal["keep", "convert"] = "keep"

    def __post_init__(self) -> None:
        if not _is_count(self.duration_days, 1, 3650) or not _is_count(self.credits, 1, MAX_CREDITS):
            raise ValueError("a trial needs duration_days from 1 to 3650 and credits from 1")
        if self.on_purchase not in ("keep", "convert"):
            raise ValueError('trial on_purchase is "keep" or "convert"')

    @property
    def duration(self) -> timedelta:
        """The length of a trial."""
        return timedelta(days=self.duration_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Everything for sale under one version name, from `effective_from` on (None: since ever).
    `goodwill_credits_per_day` is how many credits one operator may give away within 24 hours."""

    version: str
    packs: tuple[CreditPack, ...]
    effective_from: datetime | None = None
    trial: TrialTerms = field(default_factory=TrialTerms)
    default_currency: str = "USD"
    max_open_purchases: int = 5
    goodwill_credits_per_day: int = 1000

    def __post_init__(self) -> None:
        codes = [pack.code for pack in self.packs]
        if not _is_name(self.version) or not self.for_sale or len(set(codes)) != len(codes):
            raise ValueError(
                f"a catalogue needs a version {_NAMED} and packs with distinct codes, one at least for sale"
            )
        if self.effective_from is not None and not _is_moment(self.effective_from):
            raise ValueError("effective_from is a moment with its offset, as 2027-01-01T00:00:00Z")
        if not _is_count(self.max_open_purchases, 1, 100):
            raise ValueError("max_open_purchases is from 1 to 100")
        if not _is_count(self.goodwill_credits_per_day, 0, MAX_CREDITS):
            raise ValueError(f"goodwill_credits_per_day is from 0 (nobody may grant any) to {MAX_CREDITS}")
        for pack in self.packs:
            if pack.price_in(self.default_currency) is None:
                raise ValueError(f"pack {pack.code!r} needs a price in {self.default_currency}")

    @property
    def for_sale(self) -> tuple[CreditPack, ...]:
        """The packs that are not retired."""
        return tuple(pack for pack in self.packs if not pack.retired)

    def offer(self, pack_code: str, *, wanted_currency: str | None, home_currency: str | None) -> Offer:
        """This will snapshot a pack in the wanted currency, else the merchant's own, else the default one.

        Raises InvalidPack where no such pack is for sale, InvalidRequest where it has no price in a wanted currency.
        """
        pack = next((pack for pack in self.for_sale if pack.code == pack_code), None)
        if pack is None:
            raise InvalidPack(pack_code, tuple(pack.code for pack in self.for_sale))
        if wanted_currency is not None and pack.price_in(wanted_currency) is None:
            known = ", ".join(price.currency for price in pack.prices)
            raise InvalidRequest(FieldError(pointer="/currency", detail=f"this pack is sold in: {known}"))
        currencies = (wanted_currency, home_currency, self.default_currency)  # every pack has a price in the last
        prices = [price for each in currencies if each is not None and (price := pack.price_in(each)) is not None]
        return Offer(
            pack=pack.code,
            catalog_version=self.version,
            credits=pack.credits,
            bonus_credits=pack.bonus_credits,
            price=prices[0],
        )

    def offers(self, *, home_currency: str | None) -> tuple[Offer, ...]:
        """Every pack for sale as this merchant would be offered it."""
        return tuple(self.offer(pack.code, wanted_currency=None, home_currency=home_currency) for pack in self.for_sale)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Every version of the catalogue, each in force until the next one is."""

    versions: tuple[Catalog, ...]

    def __post_init__(self) -> None:
        names = [catalog.version for catalog in self.versions]
        if not names or len(set(names)) != len(names):
            raise ValueError("a price book needs catalogues with distinct versions")
        starts = [_start(catalog) for catalog in self.versions]
        if starts[0] != _SINCE_EVER or any(earlier >= later for earlier, later in pairwise(starts)):
            raise ValueError("the first version has no effective_from, each later one a later effective_from")

    @classmethod
    def of(cls, catalog: Catalog) -> "PriceBook":
        """The price book of one catalogue that is always in force."""
        return cls(versions=(catalog,))

    def at(self, now: datetime) -> Catalog:
        """The catalogue in force at the moment."""
        return next(catalog for catalog in reversed(self.versions) if _start(catalog) <= now)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "PriceBook":
        """This will read the catalogue file's parsed TOML: one version, or several under `[[versions]]`. Raises
        InvalidCatalog, naming what to mend."""
        try:
            if "versions" not in document:
                return cls.of(_catalog(document))
            _only(document, "the catalogue", {"versions"})
            return cls(versions=tuple(_catalog(entry) for entry in document["versions"]))
        except KeyError as missing:
            raise InvalidCatalog(f"the catalogue lacks {missing}") from missing
        except (TypeError, ValueError, AttributeError) as wrong:
            raise InvalidCatalog(f"the catalogue is wrong: {wrong}") from wrong


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_count(value: object, low: int, high: int) -> bool:
    """Whether the value is an integer (TOML also has 1.5 and true) within the bounds."""
    return type(value) is int and low <= value <= high


def _is_moment(value: object) -> bool:
    """Whether the value is a date and time with its offset (TOML also has each alone, and people write strings)."""
    return isinstance(value, datetime) and value.utcoffset() is not None


def _start(catalog: Catalog) -> datetime:
    return catalog.effective_from or _SINCE_EVER


def _only(entry: object, where: str, known: set[str]) -> None:
    """A misspelt key must not silently become a default."""
    if not isinstance(entry, dict):
        raise TypeError(f"{where} is a table, not {entry!r}")
    if unknown := sorted(set(entry) - known):
        raise ValueError(f"{where} has the unknown keys {', '.join(unknown)}; it may have {', '.join(sorted(known))}")


def _catalog(entry: dict[str, Any]) -> Catalog:
    optional = {"effective_from", "default_currency", "max_open_purchases", "goodwill_credits_per_day"}
    _only(entry, "the catalogue", {"version", "packs", "trial", *optional})
    return Catalog(
        version=str(entry["version"]),
        packs=tuple(_pack(each) for each in entry["packs"]),
        trial=TrialTerms(**entry.get("trial", {})),
        **{name: entry[name] for name in optional if name in entry},
    )


def _pack(entry: dict[str, Any]) -> CreditPack:
    optional = {"bonus_credits", "retired"}
    _only(entry, "a pack", {"code", "credits", "prices", *optional})
    return CreditPack(
        code=entry["code"],
        credits=entry["credits"],
        prices=tuple(Money.of(amount, currency) for currency, amount in entry["prices"].items()),
        **{name: entry[name] for name in optional if name in entry},
    )


def default_catalog() -> Catalog:
    """The packs Billing sells where no catalogue file replaces them (contract §4)."""
    return Catalog(
        version="default-1",
        packs=tuple(
            CreditPack(code=code, credits=credits_, prices=(Money(amount_minor=cents, currency="USD"),))
            for code, credits_, cents in (("small", 100, 999), ("medium", 500, 3999), ("large", 1000, 6999))
        ),
    )


def default_price_book() -> PriceBook:
    """The default catalogue, always in force."""
    return PriceBook.of(default_catalog())
