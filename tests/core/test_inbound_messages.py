"""What other services say: read generously, and never mistaken."""

from typing import Any

import pytest

from billing_core.errors import MalformedMessage
from billing_core.messages import (
    MerchantCreated,
    PurchaseUpdated,
    read_data,
)


class TestMerchantCreated:
    def test_reads_the_fields_it_knows_and_ignores_others(self) -> None:
        """Announcing services may grow."""
        told = {"merchant_id": "m-1", "platform": "shopify", "email": "a@b.example", "created_at": 7, "new": []}

        assert read_data(MerchantCreated, told) == MerchantCreated(merchant_id="m-1", platform="shopify")

    def test_advice_that_is_malformed_is_left_out(self) -> None:
        """A broken domain or currency does not keep a merchant from being known."""
        told = {"merchant_id": "m-1", "platform": "shopify", "platform_domain": "a/b", "currency": 978}

        assert read_data(MerchantCreated, told) == MerchantCreated(merchant_id="m-1", platform="shopify")

    def test_advice_that_is_well_formed_is_taken(self) -> None:
        """A currency counts in any case."""
        told = {"merchant_id": "m-1", "platform": "shopify", "platform_domain": "shop.example", "currency": "eur"}

        created = read_data(MerchantCreated, told)

        assert (created.platform_domain, created.currency) == ("shop.example", "EUR")

    @pytest.mark.parametrize("currency", ["EURO", "€€€", "ßa", "eur\n"])
    def test_a_currency_is_three_ascii_letters(self, currency: str) -> None:
        """Whatever capitals a language makes of it."""
        created = read_data(MerchantCreated, {"merchant_id": "m-1", "platform": "shopify", "currency": currency})

        assert created.currency is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("merchant_id", 7),
            ("merchant_id", None),
            ("merchant_id", ""),
            ("merchant_id", "a b"),
            ("merchant_id", "m-1\n"),
            ("merchant_id", "m\x001"),
            ("merchant_id", "x" * 129),
            ("merchant_id", ["m-1"]),
            ("platform", None),
            ("platform", True),
            ("platform", "x" * 65),
            ("platform_account_id", 7),
            ("platform_account_id", ""),
            ("platform_account_id", "a\x00"),
            ("platform_account_id", "x" * 256),
        ],
    )
    def test_wrong_types_and_shapes_are_malformed_and_named(self, field: str, value: object) -> None:
        """The reason a person reads names the field."""
        with pytest.raises(MalformedMessage, match=field):
            read_data(MerchantCreated, {"merchant_id": "m-1", "platform": "shopify"} | {field: value})


class TestPurchaseUpdated:
    @pytest.mark.parametrize(
        ("domain", "taken"), [("janes-shop.example", "janes-shop.example"), ("a/b", None), (7, None)]
    )
    def test_where_its_shop_is_counts_where_it_is_well_formed(self, domain: object, taken: str | None) -> None:
        """A broken domain does not keep a notice from being read."""
        told = {"platform": "shopify", "payload": {}, "platform_domain": domain}

        assert read_data(PurchaseUpdated, told).platform_domain == taken

    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"platform": "shopify"},
            {"platform": "shopify", "payload": None},
            {"platform": "shopify", "payload": []},
            {"platform": "shopify", "payload": "{}"},
            {"platform": 7, "payload": {}},
            {"platform": "shopify", "payload": {}, "topic": 7},
        ],
        ids=repr,
    )
    def test_wrong_types_and_shapes_are_malformed(self, told: dict[str, Any]) -> None:
        """A notice has a platform and that platform's own body."""
        with pytest.raises(MalformedMessage):
            read_data(PurchaseUpdated, told)

    def test_keeps_the_payload_untouched(self) -> None:
        """The platform's own body is read by the platform."""
        payload = {"id": "evt_1", "data": {"object": {"amount": 10**30, "x": "\x00"}}}

        assert read_data(PurchaseUpdated, {"platform": "stripe", "payload": payload}).payload == payload
