"""Money is integer minor units; a float never touches it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.money import MAX_AMOUNT_MINOR, Money


class TestMoney:
    def test_the_large_packs_price_is_6999_cents_where_floats_would_make_it_6998(self) -> None:
        """69.99 USD is read as 6999 cents; `int(69.99 * 100)` would lose one (market.md 17)."""
        price = Money.of("69.99", "USD")

        assert price.amount_minor == 6999
        assert int(69.99 * 100) == 6998

    @pytest.mark.parametrize(
        ("amount", "currency", "amount_minor"),
        [("9.99", "USD", 999), ("0", "USD", 0), ("1000", "JPY", 1000), ("1.5", "KWD", 1500), ("1.250", "EUR", 125)],
    )
    def test_reads_amounts_in_the_currencys_own_decimals(self, amount: str, currency: str, amount_minor: int) -> None:
        """Yen have no decimals, dinars three, most others two; zeros beyond them are no harm."""
        assert Money.of(amount, currency).amount_minor == amount_minor

    @pytest.mark.parametrize(
        "amount", ["", "-1", "+1", "1.", ".5", "1e3", "NaN", "Infinity", "1,50", " 1", "1 ", "1\n", "0x1", "9.999"]
    )
    def test_refuses_what_is_no_exact_amount(self, amount: str) -> None:
        """Signs, exponents, spaces and fractions of a cent are no prices."""
        with pytest.raises(ValueError, match="decimal"):
            Money.of(amount, "USD")

    @pytest.mark.parametrize("amount_minor", [-1, MAX_AMOUNT_MINOR + 1, 1.0, True, "999", None])
    def test_cannot_be_built_of_anything_but_a_bounded_integer(self, amount_minor: object) -> None:
        """Negative, huge, float, bool and text amounts are refused where the value is made."""
        with pytest.raises(ValueError, match="amount_minor"):
            Money(amount_minor=amount_minor, currency="USD")  # type: ignore[arg-type] # the wrong type is the test

    @pytest.mark.parametrize("currency", ["usd", "US", "USDT", "", "US1", "USD\n", "ÄÖÜ"])
    def test_cannot_be_built_in_a_currency_that_is_no_three_capitals(self, currency: str) -> None:
        """Only three capital ASCII letters name a currency."""
        with pytest.raises(ValueError, match="currency"):
            Money(amount_minor=1, currency=currency)

    def test_nothing_and_the_maximum_are_amounts(self) -> None:
        """The limits themselves belong to what is allowed."""
        amounts = [Money(amount_minor=each, currency="USD").amount_minor for each in (0, MAX_AMOUNT_MINOR)]

        assert amounts == [0, MAX_AMOUNT_MINOR]

    def test_a_decimal_amount_above_the_maximum_is_refused(self) -> None:
        """The largest amount is written down and held."""
        with pytest.raises(ValueError, match="amount_minor"):
            Money.of("99999999999.99", "USD")

    def test_reads_aloud_with_its_currency(self) -> None:
        """People see the currency and the decimals it has."""
        assert [str(Money(amount_minor=6999, currency=each)) for each in ("USD", "JPY", "KWD")] == [
            "USD 69.99",
            "JPY 6999",
            "KWD 6.999",
        ]

    @given(
        amount_minor=st.integers(min_value=0, max_value=MAX_AMOUNT_MINOR // 1000),
        currency=st.sampled_from(["USD", "EUR", "JPY", "KWD"]),
    )
    def test_the_decimal_string_reads_back_as_the_same_money(self, amount_minor: int, currency: str) -> None:
        """Writing an amount for people and reading it again loses nothing."""
        money = Money(amount_minor=amount_minor, currency=currency)

        assert Money.of(money.amount, currency) == money
