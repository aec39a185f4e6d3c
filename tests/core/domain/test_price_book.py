"""The price book: which catalogue is in force when, what is retired, and what a price book file may say."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_core.domain.money import Money
from billing_core.domain.packs import (
    Catalog,
    CreditPack,
    PriceBook,
    default_catalog,
    default_price_book,
)
from billing_core.errors import InvalidCatalog, InvalidPack

FIRST, SECOND = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)

DOCUMENT: dict[str, Any] = {
    "versions": [
        {"version": "a", "packs": [{"code": "mini", "credits": 10, "prices": {"USD": "1.00"}}]},
        {
            "version": "b",
            "effective_from": FIRST,
            "default_currency": "EUR",
            "trial": {"credits": 50},
            "packs": [
                {"code": "mini", "credits": 10, "prices": {"EUR": "1.20"}, "retired": True},
                {"code": "maxi", "credits": 90, "prices": {"EUR": "9.00", "JPY": "1500"}, "bonus_credits": 9},
            ],
        },
        {
            "version": "c",
            "effective_from": SECOND,
            "packs": [{"code": "mini", "credits": 11, "prices": {"USD": "1.00"}}],
        },
    ]
}


def _changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy of the document with one entry set."""
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def _catalog(version: str, effective_from: datetime | None = None) -> Catalog:
    return Catalog(version=version, packs=default_catalog().packs, effective_from=effective_from)


class TestVersions:
    @pytest.mark.parametrize(
        ("now", "version"),
        [
            (datetime.min.replace(tzinfo=UTC), "a"),
            (FIRST - TICK, "a"),
            (FIRST, "b"),
            (SECOND - TICK, "b"),
            (SECOND, "c"),
            (datetime.max.replace(tzinfo=UTC), "c"),
        ],
    )
    def test_each_is_in_force_from_its_moment_until_the_next_ones(self, now: datetime, version: str) -> None:
        """Exactly at effective_from, not a microsecond before."""
        assert PriceBook.from_document(DOCUMENT).at(now).version == version

    def test_an_offset_is_the_same_moment(self) -> None:
        """Midnight in Tokyo is the afternoon before in UTC."""
        document = _changed(("versions", 1, "effective_from"), datetime.fromisoformat("2027-01-01T00:00:00+09:00"))
        book = PriceBook.from_document(document)

        assert book.at(FIRST - timedelta(hours=9) - TICK).version == "a"
        assert book.at(FIRST - timedelta(hours=9)).version == "b"

    def test_each_has_its_own_terms_currencies_and_bonus(self) -> None:
        """Nothing is inherited from the version before."""
        before, after = PriceBook.from_document(DOCUMENT).versions[:2]

        assert (before.trial.credits, after.trial.credits) == (500, 50)
        assert (before.default_currency, after.default_currency) == ("USD", "EUR")
        (offer,) = after.offers(home_currency="JPY")
        assert (offer.catalog_version, offer.total_credits, str(offer.price)) == ("b", 99, "JPY 1500")

    @pytest.mark.parametrize(
        ("versions", "told"),
        [
            ((), "distinct versions"),
            ((_catalog("a"), _catalog("a", FIRST)), "distinct versions"),
            ((_catalog("a", FIRST),), "first version has no effective_from"),
            ((_catalog("a"), _catalog("b")), "later effective_from"),
            ((_catalog("a"), _catalog("b", SECOND), _catalog("c", FIRST)), "later effective_from"),
            ((_catalog("a"), _catalog("b", FIRST), _catalog("c", FIRST)), "later effective_from"),
        ],
    )
    def test_are_distinct_and_in_order(self, versions: tuple[Catalog, ...], told: str) -> None:
        """At every moment exactly one version is in force."""
        with pytest.raises(ValueError, match=told):
            PriceBook(versions=versions)

    def test_the_default_one_sells_the_default_catalogue_always(self) -> None:
        """Where no file replaces it (contract 4)."""
        assert default_price_book() == PriceBook.of(default_catalog())
        assert default_price_book().at(FIRST) == default_catalog()


class TestRetiredPacks:
    def test_a_retired_pack_is_neither_shown_nor_sold(self) -> None:
        """The refusal names only what can be bought."""
        catalog = PriceBook.from_document(DOCUMENT).at(FIRST)

        assert [offer.pack for offer in catalog.offers(home_currency=None)] == ["maxi"]
        with pytest.raises(InvalidPack, match="Choose one of: maxi"):
            catalog.offer("mini", wanted_currency=None, home_currency=None)

    def test_one_pack_at_least_is_for_sale(self) -> None:
        """A shop with empty shelves is a mistake of whoever wrote the file."""
        packs = (CreditPack(code="mini", credits=1, prices=(Money(amount_minor=1, currency="USD"),), retired=True),)

        with pytest.raises(ValueError, match="one at least for sale"):
            Catalog(version="a", packs=packs)


class TestPriceBookFile:
    @pytest.mark.parametrize(
        ("path", "value", "told"),
        [
            (("colour",), "red", "catalogue is wrong: the catalogue has the unknown keys colour; it may have versions"),
            (
                ("versions", 0, "currency"),
                "USD",
                ": the catalogue has the unknown keys currency; it may have default_currency, eff",
            ),
            (
                ("versions", 0, "packs", 0, "bonus"),
                1,
                ": a pack has the unknown keys bonus; it may have bonus_credits, code, credits, ",
            ),
            (("versions", 1, "trial", "days"), 7, "days"),
            (("versions", 0, "packs", 0, "prices", "dollars"), "1.00", "ISO 4217"),
            (("versions", 0), "a", "table"),
            (("versions", 0, "packs", 0), "mini", "table"),
            (("versions",), [], "distinct versions"),
            (("versions",), 7, "iterable"),
            (("versions", 1, "effective_from"), FIRST.replace(tzinfo=None), "moment with its offset"),
            (("versions", 1, "effective_from"), FIRST.date(), "moment with its offset"),
            (("versions", 1, "effective_from"), "2027-01-01T00:00:00Z", "moment with its offset"),
            (("versions", 1, "effective_from"), SECOND, "later effective_from"),
            (("versions", 0, "effective_from"), FIRST, "first version has no effective_from"),
            (("versions", 1, "version"), "a", "distinct versions"),
            (("versions", 1, "packs", 1, "retired"), True, "one at least for sale"),
            (("versions", 1, "packs", 1, "retired"), "no", "retired as a bool"),
        ],
    )
    def test_a_misspelt_or_wrong_entry_is_refused_saying_what_to_mend(
        self, path: tuple[str | int, ...], value: object, told: str
    ) -> None:
        """A key nobody reads must not silently become a default, at whatever level it stands."""
        with pytest.raises(InvalidCatalog, match=told):
            PriceBook.from_document(_changed(path, value))

    def test_one_version_alone_is_the_whole_file(self) -> None:
        """Without `versions` the file is one catalogue that is always in force."""
        book = PriceBook.from_document(DOCUMENT["versions"][0])

        assert [catalog.version for catalog in book.versions] == ["a"]
