"""Hypothesis strategies for everything the domain decides about: whole and legal values, edges included."""

import string
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from billing_core.domain.merchants import Merchant
from billing_core.domain.money import MAX_AMOUNT_MINOR, Money
from billing_core.domain.packs import MAX_CREDITS, Catalog, CreditPack, Offer, TrialTerms
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import REMEMBERED_FINDINGS, Review, ReviewFinding
from billing_core.testing.builders import a_purchase
from billing_core.testing.clock import MOMENT, uuid7

PLATFORMS = ("sandbox", "shopify", "stripe")
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))


def moments() -> st.SearchStrategy[datetime]:
    """Aware moments in UTC, to the microsecond, within what a database keeps."""
    return st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked


def texts(max_size: int = 200) -> st.SearchStrategy[str]:
    """Text without NUL and lone surrogates: what the service lets in and a database keeps."""
    return st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=max_size)


def merchant_ids() -> st.SearchStrategy[str]:
    """Ids of 1-128 characters of `A-Z a-z 0-9 . _ : -`."""
    return st.text(string.ascii_letters + string.digits + "._:-", min_size=1, max_size=128)


def platform_account_ids() -> st.SearchStrategy[str]:
    """1-255 visible ASCII characters; Shopify's gids among them."""
    gids = st.integers(1, 10**12).map(lambda number: f"gid://shopify/Shop/{number}")
    return gids | st.text(_VISIBLE, min_size=1, max_size=255)


def idempotency_keys() -> st.SearchStrategy[str]:
    """1-255 visible ASCII characters."""
    return st.text(_VISIBLE, min_size=1, max_size=255)


def currencies() -> st.SearchStrategy[str]:
    """Three capital letters: those with no, two and three decimals, and any other."""
    known = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CHF"])
    return known | st.text(string.ascii_uppercase, min_size=3, max_size=3)


def moneys(*, min_minor: int = 0, currency: str | None = None) -> st.SearchStrategy[Money]:
    """Amounts from `min_minor` to the largest there is."""
    amounts = st.integers(min_minor, max(min_minor, 10_000)) | st.integers(min_minor, MAX_AMOUNT_MINOR)
    return st.builds(Money, amount_minor=amounts, currency=st.just(currency) if currency else currencies())


def merchants(**fixed: Any) -> st.SearchStrategy[Merchant]:
    """Merchants on any platform; `fixed` sets fields."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "merchant_id": merchant_ids(),
        "platform": st.sampled_from(PLATFORMS),
        "platform_account_id": platform_account_ids(),
        "platform_domain": st.none() | st.just("shop.myshopify.com"),
        "currency": st.none() | currencies(),
        "registered_at": moments(),
    }
    return st.builds(Merchant, **fields | _just(fixed))


def offers(**fixed: Any) -> st.SearchStrategy[Offer]:
    """Offers with or without bonus, for a price from one minor unit."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "pack": _codes(),
        "catalog_version": _codes(),
        "credits": _credits(1),
        "bonus_credits": _credits(0),
        "price": moneys(min_minor=1),
    }
    return st.builds(Offer, **fields | _just(fixed))


def trial_terms() -> st.SearchStrategy[TrialTerms]:
    """Any trial a catalogue may offer."""
    on_purchase = st.sampled_from(["keep", "convert"])
    return st.builds(TrialTerms, duration_days=st.integers(1, 3650), credits=_credits(1), on_purchase=on_purchase)


@st.composite
def packs(draw: st.DrawFn, *, code: str | None = None, default_currency: str = "USD") -> CreditPack:
    """Packs with a price in the default currency and up to three others."""
    others = draw(st.lists(currencies().filter(lambda each: each != default_currency), unique=True, max_size=3))
    prices = tuple(draw(moneys(min_minor=1, currency=currency)) for currency in (default_currency, *others))
    return CreditPack(
        code=code or draw(_codes()), credits=draw(_credits(1)), bonus_credits=draw(_credits(0)), prices=prices
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Catalogues of one to four packs."""
    default_currency = draw(currencies())
    codes = draw(st.lists(_codes(), min_size=1, max_size=4, unique=True))
    return Catalog(
        version=draw(_codes()),
        packs=tuple(draw(packs(code=code, default_currency=default_currency)) for code in codes),
        trial=draw(trial_terms()),
        default_currency=default_currency,
        max_open_purchases=draw(st.integers(1, 100)),
        goodwill_credits_per_day=draw(st.integers(0, MAX_CREDITS)),
    )


@st.composite
def purchases(draw: st.DrawFn, /, *, merchant: Merchant | None = None, **fixed: Any) -> Purchase:
    """Purchases of any status, whole for it; `fixed` sets fields."""
    created_at = draw(moments())
    offer = draw(offers())
    paid_minor = draw(st.none() | st.integers(0, MAX_AMOUNT_MINOR))
    values: dict[str, Any] = {
        "purchase_id": uuid7(created_at, draw(st.integers(0, 2**62 - 1))),
        "status": draw(st.sampled_from(PurchaseStatus)),
        "created_at": created_at,
        "expires_at": created_at + draw(st.timedeltas(timedelta(minutes=30), timedelta(days=7))),
        "offer": offer,
        "test": draw(st.booleans()),
        "late": draw(st.booleans()),
        "review": draw(_reviews()),
        "paid_minor": paid_minor,
        "refunded_minor": draw(st.integers(0, offer.price.amount_minor if paid_minor is None else paid_minor)),
        "dispute": draw(st.sampled_from(DisputeStatus)),
        "credits_reversed": draw(st.integers(0, offer.total_credits)),
        "observed_at": draw(st.none() | moments()),
        "version": draw(st.integers(1, 1000)),
    }
    return a_purchase(merchant or draw(merchants()), **values | fixed)


@st.composite
def payment_reports(draw: st.DrawFn, purchase: Purchase, *, matching: bool | None = None) -> PaymentReport:
    """What a platform may say of the purchase's payment: with `matching` as it was offered, with `matching=False`
    with another price or account, else either."""
    matches = draw(st.booleans()) if matching is None else matching
    price: Money | None = purchase.offer.price
    account: str | None = purchase.platform_account_id
    if not matches and draw(st.booleans()):
        price = draw(st.none() | moneys().filter(lambda each: each != purchase.offer.price))
    elif not matches:
        account = draw(st.none() | platform_account_ids().filter(lambda each: each != purchase.platform_account_id))
    return PaymentReport(
        platform_reference=purchase.platform_reference or f"pay-{purchase.purchase_id}",
        status=draw(st.sampled_from(PaymentStatus)),
        observed_at=purchase.created_at + draw(st.timedeltas(timedelta(0), timedelta(days=365))),
        price=price,
        platform_account_id=account,
        test=draw(st.booleans()),
        refunded_minor=draw(st.integers(0, 2 * purchase.offer.price.amount_minor)),
        dispute=draw(st.sampled_from(DisputeStatus)),
    )


def times_after(moment: datetime = MOMENT) -> st.SearchStrategy[datetime]:
    """Moments up to a year after the given one, itself included."""
    return st.timedeltas(timedelta(0), timedelta(days=365)).map(lambda later: moment + later)


def _credits(least: int) -> st.SearchStrategy[int]:
    return st.integers(least, 10_000) | st.integers(least, MAX_CREDITS)


def _codes() -> st.SearchStrategy[str]:
    return st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=32)


@st.composite
def _reviews(draw: st.DrawFn) -> Review:
    """None to as many findings as are remembered; the first, which has columns of its own, may be of any text."""
    about = st.none() | platform_account_ids()
    first = st.lists(st.builds(ReviewFinding, reason=texts(), about=about), max_size=1)
    further = st.lists(st.builds(ReviewFinding, reason=_reasons(), about=about), max_size=REMEMBERED_FINDINGS - 1)
    oldest = draw(first)
    return Review(
        findings=(*oldest, *(draw(further) if oldest else ())),
        dismissed=tuple(draw(st.lists(_reasons(), max_size=REMEMBERED_FINDINGS))),
    )


def _reasons() -> st.SearchStrategy[str]:
    """What a person was asked about: one line, and never nothing."""
    return texts().map(lambda text: " ".join(text.split())).filter(bool)


def _just(fixed: dict[str, Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.just(value) for name, value in fixed.items()}
