"""What Shopify tells of a charge, and how the charge of a purchase is found again."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from tests.adapters.platforms.shopify.shop import (
    ACCOUNT,
    GID,
    Script,
    a_node,
    a_shopify_purchase,
    opened,
    scripted_platform,
    told,
)

from billing_adapters.platforms.shopify import platform as adapter
from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformProtocolError
from billing_core.testing import MOMENT


class TestLookUp:
    """How one charge stands."""

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("PENDING", PaymentStatus.PENDING),
            ("ACCEPTED", PaymentStatus.PENDING),
            ("ACTIVE", PaymentStatus.PAID),
            ("DECLINED", PaymentStatus.DECLINED),
            ("EXPIRED", PaymentStatus.EXPIRED),
        ],
    )
    async def test_each_status_has_its_word(self, status: str, expected: PaymentStatus) -> None:
        """Approved but not yet charged is not paid; refunds and disputes are unknown."""
        async with scripted_platform(Script(told(status=status, test=True))) as platform:
            report = await platform.look_up(GID, ACCOUNT, MOMENT)

        assert report == PaymentReport(
            platform_reference=GID,
            status=expected,
            observed_at=MOMENT,
            price=Money(amount_minor=6999, currency="USD"),
            platform_account_id=ACCOUNT.platform_account_id,
            test=True,
            refunded_minor=None,
            dispute=None,
        )

    @pytest.mark.parametrize(
        ("price", "expected"),
        [
            ({"amount": "69.9", "currencyCode": "EUR"}, Money(amount_minor=6990, currency="EUR")),
            ({"amount": "1000.0", "currencyCode": "JPY"}, Money(amount_minor=1000, currency="JPY")),
            ({"amount": "12.345", "currencyCode": "KWD"}, Money(amount_minor=12345, currency="KWD")),
        ],
        ids=str,
    )
    async def test_a_price_is_exact(self, price: dict[str, str], expected: Money) -> None:
        """In the currency's own minor units, however many zeros Shopify writes."""
        async with scripted_platform(Script(told(price=price))) as platform:
            report = await platform.look_up(GID, ACCOUNT, MOMENT)

        assert report is not None
        assert report.price == expected

    @pytest.mark.parametrize(
        "reference",
        ["", "1017262364", "cs_test_1", "gid://shopify/AppSubscription/1", GID + "x", GID + "\n", GID + "\0"],
        ids=repr,
    )
    async def test_a_reference_of_another_shape_is_nobodys(self, reference: str) -> None:
        """Shopify is not even asked."""
        script = Script()
        async with scripted_platform(script) as platform:
            assert await platform.look_up(reference, ACCOUNT, MOMENT) is None

        assert script.requests == []

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "REFUNDED"},
            {"status": "active"},
            {"status": None},
            {"id": GID + "1"},
            {"test": "false"},
            {"test": None},
            {"price": None},
            {"price": {"amount": "69.999", "currencyCode": "USD"}},
            {"price": {"amount": "-69.99", "currencyCode": "USD"}},
            {"price": {"amount": 69.99, "currencyCode": "USD"}},
            {"price": {"amount": "NaN", "currencyCode": "USD"}},
            {"price": {"amount": "6e1", "currencyCode": "USD"}},
            {"price": {"amount": "69.99", "currencyCode": "usd"}},
            {"createdAt": "yesterday"},
        ],
        ids=str,
    )
    async def test_what_shopify_cannot_say_is_never_believed(self, change: dict[str, Any]) -> None:
        """Unknown statuses, another charge, prices that are none."""
        async with scripted_platform(Script(told(**change))) as platform:
            with pytest.raises(PlatformProtocolError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

    async def test_an_answer_about_nothing_is_broken(self) -> None:
        """`null` says there is no such charge; saying nothing does not."""
        async with scripted_platform(Script(httpx2.Response(200, json={"data": {}}))) as platform:
            with pytest.raises(PlatformProtocolError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

    async def test_a_reader_tries_a_broken_connection_again(self) -> None:
        """One that was kept open may have been closed at the other end."""
        async with opened() as shop:
            checkout = await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)
            shop.shopify.faults.plan(Fault.RESET, "look_up")

            report = await shop.platform.look_up(checkout.platform_reference, ACCOUNT, MOMENT)

            assert report is not None
            assert report.status is PaymentStatus.PENDING


class TestFind:
    """The charge of a purchase whose create was never answered."""

    async def test_of_unpaid_ones_the_newest_is_found(self) -> None:
        """The one whose page may have been shown last."""
        purchase = a_shopify_purchase()
        script = Script(a_page(a_node_of(purchase, 3), a_node_of(purchase, 2), a_node_of(purchase, 1)))

        assert await found(script, purchase) == gid(3)

    async def test_a_paid_one_goes_before_newer_ones(self) -> None:
        """On whichever page it stands."""
        purchase = a_shopify_purchase()
        script = Script(
            a_page(a_node_of(purchase, 3, status="DECLINED"), next_cursor="c1"),
            a_page(a_node_of(purchase, 2, status="ACTIVE"), a_node_of(purchase, 1)),
        )

        assert await found(script, purchase) == gid(2)
        assert b'"after":"c1"' in script.requests[1].content

    @pytest.mark.parametrize("name", ["{}", "1000 credits - {}", "1000 credits ({})", "{}: 1000 credits", "a {}, b"])
    async def test_the_reference_is_a_word_of_the_name(self, name: str) -> None:
        """Wherever it stands."""
        purchase = a_shopify_purchase()
        script = Script(a_page(a_node_of(purchase, 1, name=name.format(purchase.short_reference))))

        assert await found(script, purchase) == gid(1)

    @pytest.mark.parametrize("name", ["x{}", "{}x", "{}-1", "X-{}", "{}0", "_{}", "1000 credits"])
    async def test_a_part_of_a_word_is_another_reference(self, name: str) -> None:
        """However much of it is the same."""
        purchase = a_shopify_purchase()
        script = Script(a_page(a_node_of(purchase, 1, name=name.format(purchase.short_reference))))

        assert await found(script, purchase) is None

    @pytest.mark.parametrize(
        "price",
        [
            {"amount": "69.98", "currencyCode": "USD"},
            {"amount": "69.99", "currencyCode": "EUR"},
            {"amount": "-69.99", "currencyCode": "USD"},
        ],
        ids=str,
    )
    async def test_another_price_is_another_charge(self, price: dict[str, str]) -> None:
        """What was offered is not what would be paid."""
        purchase = a_shopify_purchase()
        script = Script(a_page(a_node_of(purchase, 1, price=price)))

        assert await found(script, purchase) is None

    async def test_the_search_ends_before_the_purchase_began(self) -> None:
        """A few minutes before: Shopify's clock is not ours."""
        purchase = a_shopify_purchase()
        just_in = (MOMENT - adapter.CLOCK_ALLOWANCE).isoformat()
        too_old = (MOMENT - adapter.CLOCK_ALLOWANCE - timedelta(seconds=1)).isoformat()
        script = Script(
            a_page(a_node(createdAt=just_in), next_cursor="c1"),
            a_page(a_node(createdAt=too_old), a_node_of(purchase, 1), next_cursor="c2"),
        )

        assert await found(script, purchase) is None
        assert len(script.requests) == 2

    async def test_many_charges_are_paged_through(self) -> None:
        """Against the stand-in, with more charges than a page has."""
        lost = a_shopify_purchase()
        async with opened() as shop:
            first = await shop.platform.create_checkout(lost, ACCOUNT)
            for _ in range(adapter.PAGE_SIZE + 1):
                await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)

            assert await shop.platform.find_checkout(lost, ACCOUNT) == first.platform_reference
            assert [call.operation for call in shop.shopify.calls].count("find") == 2

    async def test_the_search_has_an_end(self) -> None:
        """A list without one is a broken protocol, not an answer."""
        page = a_page(a_node(name="another"), next_cursor="again")
        script = Script(*[page] * (adapter.MAX_PAGES + 1))

        with pytest.raises(PlatformProtocolError):
            await found(script, a_shopify_purchase())

        assert len(script.requests) == adapter.MAX_PAGES

    async def test_a_next_page_that_begins_nowhere_is_broken(self) -> None:
        """Beginning anew would never end."""
        with pytest.raises(PlatformProtocolError):
            await found(Script(a_page(next_cursor="")), a_shopify_purchase())


class TestCancel:
    """What cannot be done."""

    async def test_shopify_is_not_asked(self) -> None:
        """It has no way to take a charge back."""
        script = Script()
        async with scripted_platform(script) as platform:
            await platform.cancel_checkout(GID, ACCOUNT)

            assert await platform.trace_payment("any") is None
        assert script.requests == []


async def found(script: Script, purchase: Purchase) -> str | None:
    """What a search finds in scripted answers."""
    async with scripted_platform(script) as platform:
        return await platform.find_checkout(purchase, ACCOUNT)


def gid(number: int) -> str:
    """The id of a charge."""
    return f"gid://shopify/AppPurchaseOneTime/{number}"


def a_node_of(purchase: Purchase, number: int, **changes: Any) -> dict[str, Any]:
    """A charge made for the purchase, not paid."""
    name = f"1000 credits - {purchase.short_reference}"
    return a_node(**{"id": gid(number), "name": name, "status": "PENDING"} | changes)


def a_page(*nodes: dict[str, Any], next_cursor: str | None = None) -> httpx2.Response:
    """A page of charges, newest first; the last one unless a cursor leads on."""
    page = {"nodes": nodes, "pageInfo": {"hasNextPage": next_cursor is not None, "endCursor": next_cursor}}
    return httpx2.Response(200, json={"data": {"currentAppInstallation": {"oneTimePurchases": page}}})
