"""The catalogue: what is sold, for how much, and on which terms a trial runs."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from billing_core.domain.money import Money
from billing_core.domain.packs import MAX_CREDITS, Catalog, CreditPack, PriceBook, TrialTerms, default_catalog
from billing_core.errors import InvalidCatalog, InvalidPack, InvalidRequest

_DOLLAR, _EURO = Money(amount_minor=100, currency="USD"), Money(amount_minor=90, currency="EUR")

DOCUMENT: dict[str, Any] = {
    "version": "2027-01",
    "default_currency": "EUR",
    "max_open_purchases": 3,
    "goodwill_credits_per_day": 70,
    "trial": {"duration_days": 7, "credits": 50, "on_purchase": "convert"},
    "packs": [
        {"code": "mini", "credits": 10, "bonus_credits": 2, "prices": {"EUR": "0.90", "USD": "1.00"}},
        {"code": "maxi", "credits": 1000, "prices": {"EUR": "70.00"}},
    ],
}


class TestDefaultCatalog:
    def test_sells_the_three_packs_of_the_contract(self) -> None:
        """Small, medium and large cost USD 9.99, 39.99 and 69.99 for 100, 500 and 1000 credits (contract 4)."""
        offers = default_catalog().offers(home_currency=None)

        assert [(offer.pack, offer.total_credits, str(offer.price)) for offer in offers] == [
            ("small", 100, "USD 9.99"),
            ("medium", 500, "USD 39.99"),
            ("large", 1000, "USD 69.99"),
        ]
        assert {offer.catalog_version for offer in offers} == {"default-1"}

    def test_gives_a_trial_of_14_days_and_500_credits_that_a_purchase_does_not_end(self) -> None:
        """The terms of the trial are those of the contract."""
        assert default_catalog().trial == TrialTerms(duration_days=14, credits=500, on_purchase="keep")
        assert default_catalog().trial.duration == timedelta(days=14)


class TestOffer:
    def test_snapshots_everything_the_merchant_was_promised(self) -> None:
        """An offer carries the catalogue's version, credits, bonus and price (market.md 15)."""
        offer = PriceBook.from_document(DOCUMENT).versions[0].offer("mini", wanted_currency=None, home_currency=None)

        assert (offer.pack, offer.catalog_version, offer.credits, offer.bonus_credits) == ("mini", "2027-01", 10, 2)
        assert offer.price == Money(amount_minor=90, currency="EUR")

    def test_keeps_paid_and_bonus_credits_apart(self) -> None:
        """The bonus is counted once, beside the paid credits, never instead of them (market.md 20)."""
        offer = PriceBook.from_document(DOCUMENT).versions[0].offer("mini", wanted_currency=None, home_currency=None)

        assert offer.total_credits == offer.credits + offer.bonus_credits == 12

    @pytest.mark.parametrize(
        ("wanted", "home", "currency"),
        [("USD", "EUR", "USD"), (None, "USD", "USD"), (None, "GBP", "EUR"), (None, None, "EUR")],
    )
    def test_prefers_the_wanted_currency_then_the_merchants_own_then_the_default(
        self, wanted: str | None, home: str | None, currency: str
    ) -> None:
        """A merchant pays in the currency asked for, else its own where the pack has it, else the default one."""
        offer = PriceBook.from_document(DOCUMENT).versions[0].offer("mini", wanted_currency=wanted, home_currency=home)

        assert offer.price.currency == currency

    def test_a_wanted_currency_without_a_price_is_refused_with_those_there_are(self) -> None:
        """A currency the pack has no price in is the caller's mistake, pointed at."""
        with pytest.raises(InvalidRequest) as refused:
            PriceBook.from_document(DOCUMENT).versions[0].offer("mini", wanted_currency="GBP", home_currency=None)

        assert refused.value.errors[0].pointer == "/currency"
        assert "EUR, USD" in refused.value.errors[0].detail

    def test_an_unknown_pack_is_refused_with_the_known_ones(self) -> None:
        """The refusal names what can be chosen and does not echo what was sent."""
        with pytest.raises(InvalidPack, match="mini, maxi") as refused:
            PriceBook.from_document(DOCUMENT).versions[0].offer("<script>", wanted_currency=None, home_currency=None)

        assert "<script>" not in str(refused.value)
        assert refused.value.pack == "<script>"


class TestCatalogFile:
    def test_reads_packs_terms_and_limits(self) -> None:
        """Everything in the file counts."""
        catalog = PriceBook.from_document(DOCUMENT).versions[0]

        assert (catalog.version, catalog.default_currency, catalog.max_open_purchases) == ("2027-01", "EUR", 3)
        assert catalog.goodwill_credits_per_day == 70
        assert catalog.trial == TrialTerms(duration_days=7, credits=50, on_purchase="convert")
        assert [pack.code for pack in catalog.packs] == ["mini", "maxi"]

    @pytest.mark.parametrize(
        ("path", "value", "told"),
        [
            (("version",), None, "version"),
            (("version",), "", "version"),
            (("packs",), None, "packs"),
            (("packs",), [], "packs"),
            (("packs",), {"code": "mini"}, "table"),
            (("packs",), 7, "iterable"),
            (("packs", 1, "code"), "mini", "distinct"),
            (("packs", 0, "code"), "", "code"),
            (("packs", 0, "code"), 7, "code"),
            (("packs", 0, "credits"), None, "credits"),
            (("packs", 0, "credits"), 0, "credits"),
            (("packs", 0, "credits"), 1.5, "credits"),
            (("packs", 0, "credits"), True, "credits"),
            (("packs", 0, "credits"), "10", "credits"),
            (("packs", 0, "credits"), MAX_CREDITS + 1, "credits"),
            (("packs", 0, "bonus_credits"), -1, "bonus_credits"),
            (("packs", 0, "bonus_credits"), 0.5, "bonus_credits"),
            (("packs", 0, "prices"), {}, "price"),
            (("packs", 0, "prices"), ["9.99"], "items"),
            (("packs", 0, "prices", "EUR"), 9.99, "string"),
            (("packs", 0, "prices", "EUR"), "9.999", "decimals"),
            (("packs", 0, "prices"), {"USD": "1.00"}, "EUR"),
            (("default_currency",), "GBP", "GBP"),
            (("max_open_purchases",), 0, "max_open_purchases"),
            (("max_open_purchases",), 101, "max_open_purchases"),
            (("max_open_purchases",), 2.5, "max_open_purchases"),
            (("goodwill_credits_per_day",), -1, "goodwill_credits_per_day"),
            (("goodwill_credits_per_day",), MAX_CREDITS + 1, "goodwill_credits_per_day"),
            (("goodwill_credits_per_day",), "many", "goodwill_credits_per_day"),
            (("trial",), 14, "mapping"),
            (("trial", "duration_days"), 0, "duration_days"),
            (("trial", "duration_days"), 1.5, "duration_days"),
            (("trial", "duration_days"), 3651, "duration_days"),
            (("trial", "credits"), 0, "credits"),
            (("trial", "credits"), True, "credits"),
            (("trial", "on_purchase"), "ignore", "on_purchase"),
            (("trial", "days"), 14, "days"),
        ],
    )
    def test_a_wrong_catalogue_is_refused_saying_what_to_mend(
        self, path: tuple[str | int, ...], value: object, told: str
    ) -> None:
        """Every entry that cannot be sold is named when the service starts, not when a merchant pays."""
        document = _changed(DOCUMENT, path, value)

        with pytest.raises(InvalidCatalog, match=told):
            PriceBook.from_document(document)

    def test_a_pack_has_one_price_a_currency(self) -> None:
        """Two prices in one currency would leave open which one is charged."""
        with pytest.raises(ValueError, match="one a currency"):
            CreditPack(code="mini", credits=1, prices=(_DOLLAR, _EURO, _DOLLAR))


class TestLimits:
    def test_the_smallest_and_the_largest_numbers_are_taken(self) -> None:
        """The limits themselves belong to what is allowed."""
        price = (Money(amount_minor=1, currency="USD"),)
        pack = CreditPack(code="p", credits=MAX_CREDITS, bonus_credits=MAX_CREDITS, prices=price)
        smallest = CreditPack(code="q", credits=1, bonus_credits=0, prices=price)

        assert (pack.credits, smallest.credits) == (MAX_CREDITS, 1)
        assert TrialTerms(duration_days=1, credits=1).duration == timedelta(days=1)
        assert TrialTerms(duration_days=3650, credits=MAX_CREDITS).credits == MAX_CREDITS
        for most in (1, 100):
            assert Catalog(version="v", packs=(pack,), max_open_purchases=most).max_open_purchases == most
        for cap in (0, MAX_CREDITS):
            assert Catalog(version="v", packs=(pack,), goodwill_credits_per_day=cap).goodwill_credits_per_day == cap


def _changed(document: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy with one entry replaced, or taken away where the value is None."""
    changed = copy.deepcopy(document)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed
