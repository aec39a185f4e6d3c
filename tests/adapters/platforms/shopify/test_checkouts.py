"""What Shopify is asked to charge, and which of its answers a merchant is shown."""

from dataclasses import replace
from typing import Any

import pytest
from tests.adapters.platforms.shopify.shop import (
    ACCOUNT,
    GID,
    Script,
    a_shopify_purchase,
    created,
    opened,
    scripted_platform,
)

from billing_adapters.platforms.shopify.charges import is_confirmation_url
from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.money import Money
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.ports.platforms import Checkout
from billing_core.testing import an_offer


class TestTheCharge:
    """What Shopify is asked for."""

    async def test_it_says_what_is_bought_for_how_much(self) -> None:
        """The credits and our reference in its name, the exact price, and where the merchant returns to."""
        purchase = a_shopify_purchase(return_url="https://shop.example/a?b=c")
        async with opened() as shop:
            checkout = await shop.platform.create_checkout(purchase, ACCOUNT)
            charge = shop.shopify.charges[checkout.platform_reference]

        assert charge.name == f"1000 credits - {purchase.short_reference}"
        assert (charge.amount, charge.currency) == ("69.99", "USD")
        assert charge.return_url == "https://shop.example/a?b=c"
        assert charge.test is False
        assert checkout.url.startswith("https://shop-1.myshopify.com/admin/charges/")

    async def test_a_bonus_is_named(self) -> None:
        """As what comes on top."""
        purchase = a_shopify_purchase(offer=an_offer(credits=500, bonus_credits=50))
        async with opened() as shop:
            checkout = await shop.platform.create_checkout(purchase, ACCOUNT)
            charge = shop.shopify.charges[checkout.platform_reference]

        assert charge.name == f"500 credits + 50 bonus - {purchase.short_reference}"

    async def test_a_deployment_of_tests_makes_test_charges(self) -> None:
        """Those Shopify never bills."""
        async with opened(shopify_test_charges=True) as shop:
            checkout = await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)

            assert shop.platform.test_mode
            assert shop.shopify.charges[checkout.platform_reference].test

    @pytest.mark.parametrize(
        ("price", "sent"),
        [
            (Money(amount_minor=1000, currency="JPY"), "1000"),
            (Money(amount_minor=12345, currency="KWD"), "12.345"),
            (Money(amount_minor=10, currency="EUR"), "0.10"),
        ],
        ids=str,
    )
    async def test_a_price_has_its_currencys_decimals(self, price: Money, sent: str) -> None:
        """None for yen, three for dinars; never a float's rounding."""
        script = Script(created())
        async with scripted_platform(script) as platform:
            await platform.create_checkout(a_shopify_purchase(offer=an_offer(price=price)), ACCOUNT)

        assert f'"price":{{"amount":"{sent}","currencyCode":"{price.currency}"}}'.encode() in script.requests[0].content


class TestTheAnswer:
    """What Shopify says to it."""

    async def test_a_charge_and_its_page_are_a_checkout(self) -> None:
        """The gid for us, the page for the merchant."""
        async with scripted_platform(Script(created())) as platform:
            checkout = await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

        assert checkout == Checkout(
            platform_reference=GID, url="https://shop-1.myshopify.com/admin/charges/1/confirm?signature=sample"
        )

    async def test_what_shopify_refuses_is_rejected(self) -> None:
        """A price under its floor, say; its own words stay in the log."""
        purchase = a_shopify_purchase(offer=an_offer(price=Money(amount_minor=49, currency="USD")))
        async with opened() as shop:
            with pytest.raises(PlatformRejected) as refused:
                await shop.platform.create_checkout(purchase, ACCOUNT)

        assert "0.5" not in str(refused.value)
        assert not refused.value.retryable

    @pytest.mark.parametrize(
        "change",
        [
            {"confirmationUrl": None},
            {"appPurchaseOneTime": None},
            {"appPurchaseOneTime": {"id": "1"}},
            {"appPurchaseOneTime": {"id": None}},
            {"confirmationUrl": "https://shop.example/pay"},
            {"confirmationUrl": None, "userErrors": [{"field": None, "message": "half done"}]},
            {"userErrors": None},
            {"userErrors": "no"},
        ],
        ids=str,
    )
    async def test_what_cannot_be_shown_is_no_refusal(self, change: dict[str, Any]) -> None:
        """A charge may exist, so it is a broken protocol and never a rejection."""
        async with scripted_platform(Script(created(**change))) as platform:
            with pytest.raises(PlatformProtocolError):
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)


class TestConfirmationPages:
    """Where a merchant may be sent to approve."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://shop-1.myshopify.com/admin/charges/1/confirm?signature=BAh7",
            "https://other.myshopify.com/admin/charges/1",
            "https://admin.shopify.com/store/shop-1/charges/1",
            "HTTPS://Shop-1.MyShopify.com/admin/charges/1#a",
        ],
    )
    def test_shopifys_own_hosts_are_taken(self, url: str) -> None:
        """The shop's domain, another name of it, and the admin's."""
        assert is_confirmation_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://shop-1.myshopify.com/admin",
            "https://shop-1.myshopify.com.evil.example/admin",
            "https://evil.example/shop-1.myshopify.com/",
            "https://myshopify.com/admin",
            "https://a.b.myshopify.com/admin",
            "https://evil.example#.myshopify.com/",
            "https://user@shop-1.myshopify.com/",
            "https://shop-1.myshopify.com@evil.example/",
            "https://shop-1.myshopify.com:443/",
            "https://shop-1.myshopify.com:x@evil.example/",
            "https://shop-1.myshopify.com\\@evil.example/",
            "https://shop-1.myshopify.com/\\evil.example",
            "https:\\\\shop-1.myshopify.com/",
            "https://shop-1.myshopify.com/a b",
            "https://shop-1.myshopify.com/\n",
            "https://shop-1.myshopify.com/\tadmin",
            " https://shop-1.myshopify.com/",
            "https://shop-1.myshopify.com/é",
            "https://ѕhop.myshopify.com/",
            "https://shop_1.myshopify.com/",
            "https://-.myshopify.com/",
            "https://shopify.com/",
            "https://admin.shopify.com.evil.example/",
            "https://evil-admin.shopify.com/",
            "//shop-1.myshopify.com/",
            "javascript:alert(1)//shop-1.myshopify.com/",
            "https://shop-1.myshopify.com",
            "https://shop-1.myshopify.com/" + "a" * 8192,
            "",
        ],
    )
    def test_any_other_address_is_refused(self, url: str) -> None:
        """Other hosts, users, ports, backslashes, white space, other alphabets, other schemes."""
        assert not is_confirmation_url(url)


class TestFaults:
    """What a create that goes wrong is called; only a refusal is one."""

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault.TIMEOUT, PlatformUnavailable),
            (Fault.RESET, PlatformUnavailable),
            (Fault.LOST_ANSWER, PlatformUnavailable),
            (Fault.TOO_MANY_REQUESTS, PlatformThrottled),
            (Fault.THROTTLED, PlatformThrottled),
            (Fault.SERVER_ERROR, PlatformUnavailable),
            (Fault.HTML_BODY, PlatformUnavailable),
            (Fault.HTML_SUCCESS, PlatformProtocolError),
            (Fault.NO_URL, PlatformProtocolError),
            (Fault.UNAUTHORIZED, PlatformAuthError),
        ],
    )
    async def test_each_fault_has_its_error_and_is_not_repeated(self, fault: Fault, error: type[PlatformError]) -> None:
        """Shopify has no idempotency: one wish, one request."""
        async with opened(platform_timeout_s=0.3 if fault is Fault.TIMEOUT else 5.0) as shop:
            shop.shopify.faults.plan(fault, "create")

            with pytest.raises(PlatformError) as failed:
                await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)

            assert type(failed.value) is error
            assert [call.operation for call in shop.shopify.calls] == ["create"]

    @pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.NO_URL])
    async def test_a_charge_whose_answer_was_lost_is_found(self, fault: Fault) -> None:
        """By the reference in its name."""
        purchase = a_shopify_purchase()
        async with opened() as shop:
            shop.shopify.faults.plan(fault, "create")
            with pytest.raises(PlatformError):
                await shop.platform.create_checkout(purchase, ACCOUNT)

            found = await shop.platform.find_checkout(purchase, ACCOUNT)

            assert [found] == list(shop.shopify.charges)


class TestWhereATokenGoes:
    """Nowhere but to Shopify."""

    @pytest.mark.parametrize(
        "domain",
        [
            None,
            "",
            "shop-1.example",
            "shop-1.myshopify.com.evil.example",
            "evil.example/shop-1.myshopify.com",
            "user@shop-1.myshopify.com",
            "shop-1.myshopify.com:8443",
            "shop-1.myshopify.com\n",
            "Shop-1.myshopify.com",
            "-shop.myshopify.com",
            "a.b.myshopify.com",
        ],
    )
    async def test_a_domain_that_is_no_shops_is_sent_nothing(self, domain: str | None) -> None:
        """The error says what is missing."""
        script = Script()
        async with scripted_platform(script) as platform:
            with pytest.raises(PlatformAuthError, match="platform_domain"):
                await platform.create_checkout(a_shopify_purchase(), replace(ACCOUNT, platform_domain=domain))

        assert script.requests == []

    async def test_a_shops_domain_is_asked_under_the_pinned_version(self) -> None:
        """With the token in Shopify's header."""
        script = Script(created())
        async with scripted_platform(script) as platform:
            await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

        (request,) = script.requests
        assert str(request.url) == "https://shop-1.myshopify.com/admin/api/2026-10/graphql.json"
        assert request.headers["X-Shopify-Access-Token"] == "shpat_sample"
