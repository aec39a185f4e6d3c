"""What Stripe is asked for: valid by the vendor's own schema, exact in money, and the same for ever."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.adapters.platforms.stripe.account import ACCOUNT, a_stripe_purchase, open_account

from billing_adapters.platforms.stripe_checkout.amounts import from_stripe, to_stripe
from billing_adapters.platforms.stripe_checkout.requests import checkout_params, idempotency_keys
from billing_core.domain.money import Money
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import PlatformRejected
from billing_core.testing import MOMENT, a_merchant, a_purchase, an_offer
from billing_core.testing.strategies import moneys, purchases

SCHEMA = json.loads(
    (resources.files("billing_adapters.stand_ins") / "schemas/stripe/checkout_session_create.schema.json").read_text()
)
RETURN_URLS = st.from_regex(
    r"https://shop\.example(:8443)?(/[a-z%2C.]{0,9})*(\?[a-z=&;?]{0,20})?(#[a-z?&/]{0,9})?", fullmatch=True
)
FROZEN = a_purchase(
    a_merchant("merchant-1", platform="stripe", platform_account_id="account-1"),
    purchase_id=UUID("019cadd5-2a43-7000-8000-00000000002a"),
    offer=an_offer(credits=500, bonus_credits=50, price=Money(amount_minor=3999, currency="EUR")),
    return_url="https://shop.example/billing?tab=credits#top",
    status=PurchaseStatus.CREATED,
    created_at=MOMENT,
    expires_at=datetime(2026, 3, 3, 8, 30, 15, 123456, tzinfo=UTC),
)


def schema_faults(params: Any) -> list[str]:
    """What the vendor's schema finds wrong."""
    return [fault.message for fault in Draft202012Validator(SCHEMA).iter_errors(params)]


class TestParameters:
    """The parameters of a new session."""

    def test_they_are_these_and_never_others(self) -> None:
        """Stripe refuses an idempotency key that comes again with anything else, so a purchase that is retried across
        a release of ours must send what it sent before."""
        marks = {
            "purchase_id": "019cadd5-2a43-7000-8000-00000000002a",
            "merchant_id": "merchant-1",
            "platform_account_id": "account-1",
            "reference": "CP-7000800000000000002A",
        }

        params = checkout_params(FROZEN)

        assert json.dumps(params) == json.dumps(
            {
                "mode": "payment",
                "client_reference_id": "019cadd5-2a43-7000-8000-00000000002a",
                "metadata": marks,
                "payment_intent_data": {"metadata": marks},
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": "eur",
                            "unit_amount": 3999,
                            "product_data": {"name": "500 credits + 50 bonus credits"},
                        },
                    }
                ],
                "adaptive_pricing": {"enabled": False},
                "success_url": "https://shop.example/billing?tab=credits&session_id={CHECKOUT_SESSION_ID}#top",
                "cancel_url": "https://shop.example/billing?tab=credits#top",
                "expires_at": 1772526615,
            }
        )
        assert params["metadata"]["reference"] == FROZEN.short_reference

    @given(purchase=purchases(), later=st.sampled_from(PurchaseStatus))
    def test_they_follow_from_what_never_changes(self, purchase: Purchase, later: PurchaseStatus) -> None:
        """Whatever happens to a purchase, it would be asked for in the same bytes and under the same keys."""
        frozen = {
            name: getattr(purchase, name)
            for name in (
                "purchase_id",
                "merchant_id",
                "platform_account_id",
                "offer",
                "return_url",
                "created_at",
                "expires_at",
            )
        }
        changed = a_purchase(a_merchant(), status=later, test=not purchase.test, version=purchase.version + 1, **frozen)

        assert _told(changed) == _told(purchase)
        assert idempotency_keys(changed)[:2] == idempotency_keys(purchase)[:2]

    @given(purchase=purchases(), return_url=RETURN_URLS)
    def test_the_vendors_schema_allows_them(self, purchase: Purchase, return_url: str) -> None:
        """Of every purchase there can be, unless its price cannot be charged, which is refused before any call."""
        try:
            params = checkout_params(replace(purchase, return_url=return_url))
        except PlatformRejected:
            return

        assert schema_faults(params) == []

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda params: params.update(mode="purchase"),
            lambda params: params.update(idempotency_key="key"),
            lambda params: params.update(expires_at="tomorrow"),
            lambda params: params["metadata"].update(credits=500),
            lambda params: params["line_items"][0]["price_data"].pop("currency"),
            lambda params: params["line_items"][0]["price_data"].update(unit_amount="39.99"),
            lambda params: params["line_items"][0]["price_data"]["product_data"].pop("name"),
            lambda params: params["line_items"][0].update(price_date={}),
            lambda params: params["payment_intent_data"].update(capture="now"),
        ],
    )
    def test_a_broken_parameter_is_noticed(self, spoil: Callable[[Any], object]) -> None:
        """The schema is closed and typed, so the test above proves something."""
        params = json.loads(json.dumps(checkout_params(FROZEN)))
        spoil(params)

        assert schema_faults(params) != []

    async def test_they_arrive_as_they_were_meant(self) -> None:
        """Through the library's form encoding, with the purchase's id as the idempotency key."""
        purchase = a_stripe_purchase()
        async with open_account() as account:
            await account.platform.create_checkout(purchase, ACCOUNT)

            [call] = account.stripe.calls

        assert call.params == checkout_params(purchase)
        assert call.headers["Idempotency-Key"] == str(purchase.purchase_id)

    def test_every_key_is_another_one_and_the_first_is_the_purchases_id(self) -> None:
        """At most as long as Stripe allows; the last is another one in each attempt."""
        keys = idempotency_keys(FROZEN)

        assert keys[0] == str(FROZEN.purchase_id)
        assert len({*keys, *idempotency_keys(FROZEN)}) == len(keys) + 1
        assert all(len(key) <= 255 for key in keys)


class TestReturning:
    """Where the merchant lands after paying."""

    @pytest.mark.parametrize(
        ("return_url", "success_url"),
        [
            ("https://a.example", "https://a.example?session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b?", "https://a.example/b?session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b?c=d", "https://a.example/b?c=d&session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b?c=d&", "https://a.example/b?c=d&session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b?c=d?", "https://a.example/b?c=d?&session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b&", "https://a.example/b&?session_id={CHECKOUT_SESSION_ID}"),
            ("https://a.example/b#/x?y", "https://a.example/b?session_id={CHECKOUT_SESSION_ID}#/x?y"),
            ("https://a.example/b?c=%20#d", "https://a.example/b?c=%20&session_id={CHECKOUT_SESSION_ID}#d"),
        ],
    )
    def test_the_sessions_id_joins_the_query(self, return_url: str, success_url: str) -> None:
        """Before the fragment, after what is there, with nothing else changed."""
        params = checkout_params(replace(FROZEN, return_url=return_url))

        assert params["success_url"] == success_url
        assert params["cancel_url"] == return_url


class TestAmounts:
    """Money as Stripe counts it."""

    @pytest.mark.parametrize(
        ("price", "told"),
        [
            (Money.of("9.99", "USD"), 999),
            (Money.of("500", "JPY"), 500),
            (Money.of("5", "ISK"), 500),
            (Money.of("5", "UGX"), 500),
            (Money.of("5.00", "MGA"), 5),
            (Money.of("5.120", "KWD"), 5120),
            (Money.of("10.45", "HUF"), 1045),
            (Money.of("800.45", "TWD"), 80045),
        ],
        ids=str,
    )
    def test_stripe_is_told_what_it_means_by_it(self, price: Money, told: int) -> None:
        """Its special cases are not ISO 4217's."""
        assert to_stripe(price) == told
        assert from_stripe(told, price.currency.lower()) == price

    @pytest.mark.parametrize(
        "price",
        [Money.of("5.124", "KWD"), Money.of("5.50", "MGA"), Money.of("1", "IQD"), Money.of("1", "LYD")],
        ids=str,
    )
    def test_what_it_cannot_charge_exactly_is_refused(self, price: Money) -> None:
        """Never rounded, never guessed."""
        with pytest.raises(PlatformRejected, match="change this price"):
            to_stripe(price)

    @given(price=moneys())
    def test_what_is_told_is_what_is_read(self, price: Money) -> None:
        """For every price that can be charged."""
        try:
            told = to_stripe(price)
        except PlatformRejected:
            return

        assert from_stripe(told, price.currency.lower()) == price

    def test_a_fraction_of_what_has_none_is_no_amount(self) -> None:
        """As one and a half krónur."""
        with pytest.raises(ValueError, match="fraction"):
            from_stripe(150, "isk")


def _told(purchase: Purchase) -> str:
    try:
        return json.dumps(checkout_params(purchase))
    except PlatformRejected as refusal:
        return str(refusal)
