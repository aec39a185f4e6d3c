"""The pages in a real browser, on the whole service: a developer buys credits as a merchant would."""

import re
import uuid
from urllib.parse import urlencode

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import Service, wait_until


def open_as(page: Page, service: Service, merchant_id: str) -> None:
    """This will open the development page as a merchant."""
    page.goto(f"{service.ready['http']}/?{urlencode({'merchant': merchant_id, 'platform': 'sandbox'})}")
    expect(page.get_by_role("main")).to_contain_text(f"{merchant_id} on sandbox")


def announce(page: Page, service: Service) -> str:
    """This will announce a merchant of its own with the page's form, and wait until the service knows it."""
    merchant_id = f"browser-{uuid.uuid4()}"
    page.goto(service.ready["http"])
    page.get_by_label("Merchant").fill(merchant_id)
    page.get_by_role("button", name="Announce as new").click()
    expect(page.get_by_role("main")).to_contain_text(f"{merchant_id} on sandbox")
    expect(page.get_by_role("button", name="Start the trial")).to_be_visible()
    return merchant_id


def buy(page: Page, pack: str) -> None:
    """This will buy a pack and go to its checkout."""
    page.get_by_role("button", name=f"Buy {pack}").click()
    expect(page.get_by_text("Test mode")).to_be_visible()


def a_checkout(service: Service) -> str:
    """The checkout of a small pack, bought by a merchant of its own."""
    http, merchant = service.ready["http"], {"merchant": f"browser-{uuid.uuid4()}", "platform": "sandbox"}
    assert httpx2.post(f"{http}/development/merchants", data=merchant).status_code == 303
    token = httpx2.get(f"{http}/development/token", params=merchant).json()["token"]
    headers = {"Authorization": f"Bearer {token}", "X-Platform": "sandbox"}

    def is_known() -> bool:
        return httpx2.get(f"{http}/api/billing", headers=headers).status_code == 200

    wait_until(is_known, within_s=30, what="the merchant is known")
    body = {"pack": "small", "return_url": f"{http}/"}
    headers["Idempotency-Key"] = str(uuid.uuid4())
    made = httpx2.post(f"{http}/api/billing/purchases", json=body, headers=headers)
    return str(made.raise_for_status().json()["checkout_url"])


class TestDevelopmentPage:
    """What a developer sees."""

    def test_a_merchant_starts_the_trial_buys_large_pays_and_has_the_credits(
        self, page: Page, service: Service
    ) -> None:
        """The main job: 1000 credits purchased for USD 69.99, and the events that tell it."""
        open_as(page, service, service.ready["merchant_id"])
        page.get_by_role("button", name="Start the trial").click()
        expect(page.get_by_role("heading", name="Your trial is running")).to_be_visible()

        buy(page, "large")
        expect(page.get_by_role("main")).to_contain_text("1000 credits")
        page.get_by_role("button", name="Pay USD 69.99").click()
        expect(page.get_by_role("status")).to_contain_text("Paid")
        page.get_by_role("link", name="Back to the shop").click()

        expect(page.locator("#credits-left")).to_have_text("1000")
        purchases = page.get_by_role("region", name="Purchases")
        expect(purchases.get_by_role("heading", name="1000 credits")).to_be_visible()
        expect(purchases).to_contain_text("USD 69.99")
        expect(purchases.get_by_text("Paid", exact=True)).to_be_visible()
        events = page.get_by_role("log")
        for told in ("evt.billing.trial.started", "evt.billing.purchase.created", "evt.billing.credits.purchased"):
            expect(events).to_contain_text(told)

    def test_a_declined_purchase_brings_no_credits(self, page: Page, service: Service) -> None:
        """The page shows how it ended, and its history tells what happened."""
        announce(page, service)
        buy(page, "small")
        page.get_by_role("button", name="Decline").click()
        page.get_by_role("link", name="Back to the shop").click()

        purchases = page.get_by_role("region", name="Purchases")
        expect(purchases).to_contain_text("You said no at the checkout. Nothing was charged.")
        expect(page.locator("#credits-purchased")).to_have_text("0")
        purchases.get_by_role("button", name="History").click()
        expect(purchases.locator(".history")).to_contain_text("pending → declined by billing")

    def test_events_arrive_while_the_page_is_open(self, page: Page, service: Service) -> None:
        """Live, without loading the page again, and only this merchant's."""
        announce(page, service)
        expect(page.locator("#events-state")).to_have_text("live")

        page.get_by_role("button", name="Start the trial").click()

        events = page.get_by_role("log").get_by_role("listitem")
        expect(events).to_have_count(1)
        expect(events).to_contain_text("evt.billing.trial.started")


class TestCheckout:
    """The sandbox's checkout, as a browser meets it."""

    def test_it_works_without_javascript(self, browser: Browser, service: Service) -> None:
        """It is plain HTML: pressing Pay is enough, and loading the result again is harmless."""
        url = a_checkout(service)
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()

        page.goto(url)
        page.get_by_role("button", name="Pay").click()
        expect(page.get_by_role("status")).to_contain_text("Paid")
        page.reload()

        expect(page.get_by_role("status")).to_contain_text("Paid")
        expect(page.get_by_role("button")).to_have_count(0)
        context.close()

    @pytest.mark.parametrize("width", [320, 390, 1280])
    def test_no_page_is_wider_than_its_screen(self, browser: Browser, service: Service, width: int) -> None:
        """On a telephone nothing has to be scrolled sideways."""
        url = a_checkout(service)
        context = browser.new_context(viewport={"width": width, "height": 800})
        page = context.new_page()

        for address in (url, f"{service.ready['http']}/?merchant={service.ready['merchant_id']}"):
            page.goto(address)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()

    def test_the_keyboard_is_enough(self, page: Page, service: Service) -> None:
        """Tab reaches the buttons in order, and the focus can be seen."""
        announce(page, service)
        buy(page, "small")

        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=re.compile("^Pay"))).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        assert outline == "solid"
        expect(page.get_by_role("status")).to_contain_text("Declined")
