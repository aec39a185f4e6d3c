"""A merchant sees its own billing, all of it, and nothing of another's."""

import base64
from datetime import timedelta
from uuid import UUID

import pytest
from tests.core.use_cases.purchase_requests import CATALOG

from billing_core.domain.packs import PriceBook
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import InvalidRequest, MerchantNotFound, PlatformMismatch, PurchaseNotFound
from billing_core.testing import InMemoryBilling, a_caller, a_merchant, a_purchase
from billing_core.use_cases.caller import Caller


async def _with_purchases(billing: InMemoryBilling, number: int) -> Caller:
    """A merchant with so many purchases, alternately pending and expired."""
    merchant = a_merchant()
    caller = await billing.register(merchant)
    statuses = [PurchaseStatus.PENDING, PurchaseStatus.EXPIRED]
    async with billing.storage.units() as uow:
        await uow.purchases.add([a_purchase(merchant, status=statuses[each % 2]) for each in range(number)])
        await uow.commit()
    return caller


async def _pages(
    billing: InMemoryBilling, caller: Caller, limit: int, status: PurchaseStatus | None = None
) -> list[list[UUID]]:
    pages: list[list[UUID]] = []
    cursor = None
    while cursor is not None or not pages:
        page = await billing.read.purchases(caller, status=status, archived=False, cursor=cursor, limit=limit)
        pages.append([purchase.id for purchase in page.data])
        cursor = page.next_cursor
    return pages


class TestOverview:
    async def test_shows_merchant_trial_purchases_and_packs(self, billing: InMemoryBilling) -> None:
        """Everything at once, in figures that add up."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        refunded = await billing.buy(caller, "large")
        await billing.pay(refunded)
        billing.platform.refund(str(refunded.platform_reference), 3500)
        await billing.notify(str(refunded.platform_reference))
        last = await billing.buy(caller, "small")

        view = await billing.read.overview(caller)

        assert (view.merchant.id, view.trial.status) == (caller.merchant_id, "active")
        assert (view.purchases.credits_purchased, view.purchases.credits_reversed) == (1000, 501)
        assert view.purchases.last == last
        assert set(view.purchases.counts) == {status.value for status in PurchaseStatus}
        assert (view.purchases.counts["partially_refunded"], view.purchases.counts["pending"]) == (1, 1)
        assert [pack.pack for pack in view.packs] == ["small", "medium", "large"]

    async def test_shows_a_merchant_that_has_done_nothing_yet(self, billing: InMemoryBilling) -> None:
        """Noughts, a trial to be had, and no last purchase."""
        view = await billing.read.overview(await billing.register())

        assert (view.trial.status, view.purchases.last) == ("available", None)
        assert set(view.purchases.counts.values()) == {0}

    async def test_an_unknown_merchant_and_a_foreign_platform_are_refused(self, billing: InMemoryBilling) -> None:
        """What Billing was not told of it does not show."""
        caller = await billing.register()
        wrong = Caller(merchant_id=caller.merchant_id, platform="stripe", subject=caller.subject, correlation_id="c-1")

        for question in (billing.read.overview, billing.read.trial):
            with pytest.raises(MerchantNotFound):
                await question(a_caller())
            with pytest.raises(PlatformMismatch):
                await question(wrong)


class TestTrial:
    async def test_of_a_shop_that_has_had_its_one_is_not_to_be_had_again(self, billing: InMemoryBilling) -> None:
        """Reinstalled under a new merchant id it sees so before it asks; the same account name elsewhere does not."""
        account = {"platform_account_id": "shop"}
        await billing.activate_trial(await billing.register(a_merchant(**account)), "trial")

        reinstalled = await billing.register(a_merchant(**account))
        other = await billing.register(a_merchant(platform_account_id="another"))

        assert (await billing.read.trial(reinstalled)).status == "refused"
        assert (await billing.read.trial(other)).status == "available"


class TestPacks:
    async def test_are_shown_in_the_merchants_own_currency(self) -> None:
        """Where the catalogue has it, in the overview and alone."""
        billing = InMemoryBilling(catalog=PriceBook.from_document(CATALOG))
        caller = await billing.register(a_merchant(currency="EUR"))

        packs = await billing.read.packs(caller)

        assert {pack.price.currency for pack in packs.data} == {"EUR"}
        assert (await billing.read.overview(caller)).packs == packs.data

    async def test_are_remembered_for_so_many_currencies_and_no_more(self, billing: InMemoryBilling) -> None:
        """Merchants may name any currency: what is remembered for each stays bounded, and everybody is answered."""
        currencies = [f"{first}{second}X" for first in "ABCDEFGHIJKLMNOPQ" for second in "ABCDEFGHIJKLMNOPQ"]
        callers = [await billing.register(a_merchant(currency=each)) for each in currencies]

        shown = [await billing.read.packs(each) for each in callers]

        assert shown == [shown[0]] * len(callers)
        assert len(billing.read._packs) <= 256 < len(callers)

    async def test_a_caller_of_another_platform_is_refused(self, billing: InMemoryBilling) -> None:
        """Also before it asks for anything of its own."""
        merchant = a_merchant()
        await billing.register(merchant)

        with pytest.raises(PlatformMismatch):
            await billing.read.packs(a_caller(merchant, platform="stripe"))

    async def test_shows_prices_before_the_merchant_was_announced(self, billing: InMemoryBilling) -> None:
        """The shop window needs no record."""
        packs = await billing.read.packs(a_caller())

        assert packs == await billing.read.packs(await billing.register())
        assert len(packs.data) == 3


class TestPurchases:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_show_every_purchase_once_newest_first(self, billing: InMemoryBilling, limit: int) -> None:
        """Whatever the page's length, nothing is left out or shown twice."""
        caller = await _with_purchases(billing, 7)

        pages = await _pages(billing, caller, limit)

        shown = [purchase_id for page in pages for purchase_id in page]
        assert shown == sorted(billing.storage.tables.purchases, reverse=True)
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)

    async def test_of_a_merchant_nobody_announced_there_are_none(self, billing: InMemoryBilling) -> None:
        """Its announcement may be on its way: an empty page, and no refusal."""
        page = await billing.read.purchases(
            a_caller(a_merchant("unheard-of")), status=None, archived=False, cursor=None, limit=20
        )

        assert (page.data, page.next_cursor) == ((), None)

    async def test_a_page_is_as_long_as_was_asked_for(self, billing: InMemoryBilling) -> None:
        """Up to a hundred, whatever a page has where nobody asks."""
        caller = await _with_purchases(billing, 31)

        assert [len(page) for page in await _pages(billing, caller, 30)] == [30, 1]

    async def test_every_id_has_a_cursor_that_is_read_back(self, billing: InMemoryBilling) -> None:
        """Also those whose spelling has the signs that are not letters or digits."""
        merchant = a_merchant()
        caller = await billing.register(merchant)
        ids = [UUID(bytes=byte * 16) for byte in (b"\xff", b"\xfb", b"\x00")]
        async with billing.storage.units() as uow:
            await uow.purchases.add([a_purchase(merchant, purchase_id=each) for each in ids])
            await uow.commit()

        assert await _pages(billing, caller, 1) == [[each] for each in ids]

    async def test_a_purchase_made_between_two_pages_moves_nothing(self, billing: InMemoryBilling) -> None:
        """The next page starts after the last one shown, not at a number."""
        caller = await _with_purchases(billing, 4)
        first = await billing.read.purchases(caller, status=None, archived=False, cursor=None, limit=2)
        billing.clock.advance(timedelta(hours=1))
        await billing.buy(caller)

        second = await billing.read.purchases(caller, status=None, archived=False, cursor=first.next_cursor, limit=2)

        assert not {view.id for view in first.data} & {view.id for view in second.data}
        assert (len(second.data), second.next_cursor) == (2, None)

    async def test_shows_one_status_alone(self, billing: InMemoryBilling) -> None:
        """Pages of a status are pages too."""
        caller = await _with_purchases(billing, 6)

        pages = await _pages(billing, caller, 2, PurchaseStatus.EXPIRED)

        statuses = {billing.storage.tables.purchases[each].status for page in pages for each in page}
        assert (statuses, sum(map(len, pages))) == ({PurchaseStatus.EXPIRED}, 3)

    async def test_archived_purchases_are_listed_apart_and_found_by_id(self, billing: InMemoryBilling) -> None:
        """They leave the list, not the record."""
        caller = await _with_purchases(billing, 2)
        billing.clock.advance(timedelta(days=91))
        await billing.archive_purchases()

        live = await billing.read.purchases(caller, status=None, archived=False, cursor=None, limit=9)
        archived = await billing.read.purchases(caller, status=None, archived=True, cursor=None, limit=9)

        assert ([view.status for view in live.data], [view.status for view in archived.data]) == (
            ["pending"],
            ["expired"],
        )
        assert await billing.read.purchase(caller, archived.data[0].id) == archived.data[0]

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "0" * 21,
            "0" * 23,
            "é" * 22,
            "\ud800" * 22,
            "*" * 22,
            "A" * 21 + "B",  # the last character carries bits a cursor does not have
            "A" * 20 + "==",
            "A" * 21 + "\n",
            base64.urlsafe_b64encode(b"x" * 15).decode(),
        ],
    )
    async def test_a_cursor_that_was_not_given_out_is_refused(self, billing: InMemoryBilling, cursor: str) -> None:
        """Whatever it is, the caller is told where, and nothing else happens."""
        caller = await billing.register()

        with pytest.raises(InvalidRequest) as refused:
            await billing.read.purchases(caller, status=None, archived=False, cursor=cursor, limit=1)

        assert refused.value.errors[0].pointer == "/cursor"
        assert "next_cursor" in refused.value.errors[0].detail

    async def test_a_cursor_of_another_merchant_shows_nothing_of_that_merchant(self, billing: InMemoryBilling) -> None:
        """A cursor is a place in one's own list."""
        theirs = await _with_purchases(billing, 3)
        page = await billing.read.purchases(theirs, status=None, archived=False, cursor=None, limit=1)

        mine = await billing.read.purchases(
            await billing.register(), status=None, archived=False, cursor=page.next_cursor, limit=9
        )

        assert mine.data == ()


class TestOnePurchase:
    async def test_has_its_page_until_its_deadline(self, billing: InMemoryBilling) -> None:
        """Read again it is what its buyer was told; afterwards there is nothing left to pay at."""
        caller = await billing.register()
        bought = await billing.buy(caller)

        read = await billing.read.purchase(caller, bought.id)
        billing.clock.set(bought.expires_at)
        too_late = await billing.read.purchase(caller, bought.id)

        assert (read, too_late.checkout_url) == (bought, None)

    async def test_another_merchants_purchase_answers_exactly_like_an_unknown_one(
        self, billing: InMemoryBilling
    ) -> None:
        """Neither purchase nor history tells that it exists (market.md 35)."""
        purchase = await billing.buy(await billing.register())
        stranger, nobody = await billing.register(), a_caller()

        refusals = set()
        for caller in (stranger, nobody):
            for purchase_id in (purchase.id, UUID(int=1)):
                for question in (billing.read.purchase, billing.read.purchase_history):
                    with pytest.raises(PurchaseNotFound) as refused:
                        await question(caller, purchase_id)
                    refusals.add(str(refused.value))

        assert len(refusals) == 1

    async def test_its_history_tells_who_did_what_when_and_why(self, billing: InMemoryBilling) -> None:
        """From the creation to the last refund, without gaps."""
        caller = await billing.register()
        purchase = await billing.buy(caller)
        await billing.pay(purchase)

        history = await billing.read.purchase_history(caller, purchase.id)

        assert [
            (each.number, each.what, each.status_before, each.status_after, each.actor) for each in history.data
        ] == [
            (1, "created", None, "created", "user-1"),
            (2, "pending", "created", "pending", "user-1"),
            (3, "completed", "pending", "completed", "billing-purchase-updated"),
        ]
        assert [each.reason is None for each in history.data] == [True, True, False]
        assert str(history.data[2].reason).startswith("notice ")
