"""A merchant's billing page in a real browser, in every state it can show: to eyes, ears and a keyboard."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.e2e.browsing import a_tab
from tests.e2e.scenes import API, SCENES
from tests.e2e.shop import Shop, a_shop

from billing_core import PurchaseStatus, TrialStatus

PHONE, DESKTOP = (390, 844), (1280, 800)
NARROWEST = 320
# What makes the browser itself say on its console that an answer was no good one.
REFUSED = {"refused", "not-known-yet", "postgres-away", "postgres-gone", "no-merchant"}
# As many tabs as no walk of ours needs.
MOST_TABS = 40
HOURS_335 = 335 * 3600 * 1000
ALL_WORDS = """async () => {
  const { PURCHASES, TRIALS, purchaseWords, trialWords } = await import("/development/static/words.js");
  const sample = { credits: 100, bonus_credits: 0, credits_reversed: 40, created_at: "2026-03-02T09:30:00Z",
    expires_at: "2026-03-04T09:30:00Z", completed_at: "2026-03-02T09:31:00Z", duration_days: 14,
    started_at: "2026-03-02T09:30:00Z", ends_at: "2026-03-16T09:30:00Z" };
  const say = (words, statuses) =>
    Object.fromEntries(statuses.map((status) => [status, words({ ...sample, status }).text]));
  return { purchases: say(purchaseWords, Object.keys(PURCHASES)), trials: say(trialWords, Object.keys(TRIALS)) };
}"""

LATE_WORDS = """async () => {
  const { purchaseWords } = await import("/development/static/words.js");
  const purchase = { status: "completed", credits: 1, bonus_credits: 0, late: true };
  return purchaseWords({ ...purchase, completed_at: "2026-03-02T09:31:00Z" }).text;
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop on a service of this module's own."""
    with a_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.mark.parametrize("name", SCENES)
def test_nothing_stands_in_anybodys_way(browser: Browser, shop: Shop, name: str) -> None:
    """axe-core finds no violation, on a telephone and on a desk, in light and in dark; and nothing has to be scrolled
    sideways, on the narrowest telephone either."""
    found: list[str] = []
    # Colours that are on their way from light to dark would be judged halfway.
    with a_tab(browser, silent=name not in REFUSED) as page:
        page.emulate_media(reduced_motion="reduce")
        with SCENES[name](page, shop):
            for width, height in (DESKTOP, PHONE):
                page.set_viewport_size({"width": width, "height": height})
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    found += [f"{width} px, {scheme}: {each}" for each in violations(page)]
            page.set_viewport_size({"width": NARROWEST, "height": 568})
            widest = page.evaluate("document.documentElement.scrollWidth")

    assert found == []
    assert widest <= NARROWEST


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is: every rule it has, best practices too."""
    return [
        f"{rule['id']}: {place['html']} – {place['failureSummary']}"
        for rule in Axe().run(page).response["violations"]
        for place in rule["nodes"]
    ]


class TestKeyboard:
    """Without a mouse."""

    def test_from_the_trial_to_a_paid_purchase_and_its_receipt(self, page: Page, shop: Shop) -> None:
        """Tab and Enter are enough, every stop can be seen, and nobody loses their place."""
        page.goto(shop.page_of(shop.merchant("pat")))
        expect(page.get_by_role("button", name="Start the trial")).to_be_visible()
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to credits and billing"
        page.keyboard.press("Enter")

        press(page, "Start the trial")
        expect(page.get_by_role("heading", name="Your trial is running")).to_be_focused()
        press(page, "Buy small")
        expect(page.get_by_role("heading", name="Buy 100 credits")).to_be_visible()
        press(page, "Pay USD 9.99")
        expect(page.get_by_role("status")).to_contain_text("Paid")
        press(page, "Back to the shop")
        expect(page.get_by_role("region", name="Purchases").get_by_text("Paid", exact=True)).to_be_visible()
        press(page, "Receipt")

        expect(page.get_by_role("button", name="Print")).to_be_visible()
        press(page, "Back to billing")
        expect(page.get_by_role("heading", name="Credits and billing")).to_be_visible()

    def test_a_purchase_that_changes_keeps_the_focus_where_it_was(self, page: Page, shop: Shop) -> None:
        """Its line is drawn anew while its button has the focus."""
        merchant = shop.merchant("quinn")
        purchase = shop.buy(merchant, "small")
        page.goto(shop.page_of(merchant))
        history = page.get_by_role("button", name="History of 100 credits")
        history.focus()

        shop.decide(purchase, "pay", "completed")

        expect(page.get_by_text("Paid", exact=True)).to_be_visible()
        expect(history).to_be_focused()
        page.keyboard.press("Enter")
        expect(history).to_have_attribute("aria-expanded", "true")
        expect(history).to_be_focused()


class TestWhatIsSaid:
    """To whoever listens, and in words anybody knows."""

    def test_buttons_and_links_say_what_they_are_about(self, page: Page, shop: Shop) -> None:
        """Read out of their place, as screen readers list them."""
        merchant = shop.merchant("rosa")
        shop.decide(shop.buy(merchant, "large"), "pay", "completed")
        page.goto(shop.page_of(merchant))

        expect(page.get_by_role("button", name="Buy large 1000 credits for USD 69.99")).to_be_visible()
        expect(page.get_by_role("link", name="Receipt of 1000 credits")).to_be_visible()
        expect(page.get_by_role("button", name="History of 1000 credits")).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("1000 credits bought")

    def test_a_change_is_said_once_and_trouble_is_not_repeated(self, browser: Browser, shop: Shop) -> None:
        """The status tells the trial; an alert that comes back every two seconds is the same node, untouched."""
        with a_tab(browser, silent=False) as page, SCENES["postgres-away"](page, shop):
            page.evaluate("document.querySelector('#trouble strong').dataset.seen = 'before'")
            with page.expect_response(API), page.expect_response(API):
                pass  # asked twice more
            expect(page.locator("#trouble strong")).to_have_attribute("data-seen", "before")

    def test_every_state_has_words(self, page: Page, shop: Shop) -> None:
        """Each status the API may tell of a purchase or a trial has a sentence."""
        page.goto(shop.page_of(shop.merchant("sue")))

        words = page.evaluate(ALL_WORDS)

        assert set(words["purchases"]) == set(PurchaseStatus)
        assert set(words["trials"]) == {*TrialStatus, "available"}
        sentences = [*words["purchases"].values(), *words["trials"].values()]
        assert all(each.endswith(".") for each in sentences)
        assert not any("undefined" in each or "NaN" in each or "Invalid" in each for each in sentences)

    def test_a_refusal_is_told_in_a_merchants_words(self, browser: Browser, shop: Shop) -> None:
        """What stands in the API's answer for developers is not what a merchant can do; the code is there for support.
        On a telephone too it is seen by whoever pressed the button furthest from it."""
        with a_tab(browser, width=PHONE[0], height=PHONE[1], silent=False) as page, SCENES["refused"](page, shop):
            expect(page.get_by_role("alert")).to_contain_text("Pay one of them first, or let it expire")
        with a_tab(browser, silent=False) as page, SCENES["postgres-gone"](page, shop):
            expect(page.get_by_role("alert")).to_contain_text("Nothing was decided and nothing is lost.")
            expect(page.get_by_role("alert")).not_to_contain_text("Idempotency")

    def test_a_late_payment_is_told_as_one_that_counts(self, page: Page, shop: Shop) -> None:
        """`late: true` is a sentence, not a mark."""
        page.goto(shop.page_of(shop.merchant("tess")))

        text = page.evaluate(LATE_WORDS)

        assert text.startswith("1 credit ")
        assert text.endswith("It came after the time to pay, and counts all the same.")


class TestTime:
    """The countdown, on the browser's own clock."""

    def test_it_counts_days_then_minutes_then_seconds(self, page: Page, shop: Shop) -> None:
        """As the end comes nearer; and past it, on a clock that is ahead, the page goes on asking and falls over
        nothing."""
        merchant = shop.merchant("uma")
        shop.start_trial(merchant)
        page.clock.install()
        page.goto(shop.page_of(merchant))
        timer = page.get_by_role("timer")

        expect(timer).to_have_text("13 days 23 hours")
        page.clock.fast_forward(HOURS_335)
        expect(timer).to_contain_text(" minutes")
        page.clock.fast_forward("59:30")
        expect(timer).to_contain_text(" second")
        page.clock.fast_forward("05:00")
        expect(timer).to_have_text("0 seconds")
        for _ in range(3):
            with page.expect_response(API):
                page.clock.fast_forward("00:03")

    def test_nothing_moves_for_those_who_asked_for_that(self, browser: Browser, shop: Shop) -> None:
        """What waits pulses, unless reduced motion is asked for."""
        moving = "getComputedStyle(document.querySelector('.placeholders div')).animationName"
        with a_tab(browser) as page, SCENES["loading"](page, shop):
            usual = page.evaluate(moving)
            page.emulate_media(reduced_motion="reduce")

            assert (usual, page.evaluate(moving)) == ("wait", "none")


class TestPurchases:
    """What was bought."""

    def test_earlier_ones_are_a_press_away(self, page: Page, shop: Shop) -> None:
        """Twenty are shown; the rest follow, and the reader goes on at the first of them."""
        merchant = shop.merchant("vera")
        for _ in range(21):
            shop.decide(shop.buy(merchant, "small"), "decline", "declined")
        page.goto(shop.page_of(merchant))
        lines = page.locator("#purchases > li")
        expect(lines).to_have_count(20)

        page.get_by_role("button", name="Show earlier purchases").click()

        expect(lines).to_have_count(21)
        expect(lines.nth(20).get_by_role("heading")).to_be_focused()
        expect(page.get_by_role("button", name="Show earlier purchases")).to_be_hidden()

    def test_a_receipt_says_what_the_api_says_and_prints_nothing_else(self, page: Page, shop: Shop) -> None:
        """Amount, pack, payment and what was taken back; on paper no button."""
        with SCENES["receipt"](page, shop):
            main = page.get_by_role("main")
            for told in (
                "1000 credits",
                "USD 69.99",
                "Partly refunded",
                "−501 credits",
                "499 credits",
                "stripe",
                "cs_test_",
            ):
                expect(main).to_contain_text(told)
            page.emulate_media(media="print")

            expect(page.get_by_role("button", name="Print")).to_be_hidden()
            expect(page.get_by_role("link", name="Back to billing")).to_be_hidden()
            expect(main).to_contain_text("USD 69.99")

    def test_anothers_receipt_is_not_shown(self, browser: Browser, shop: Shop) -> None:
        """The API refuses, so the page has nothing to show."""
        purchase = shop.buy(shop.merchant("wilma"), "small")
        with a_tab(browser, silent=False) as page:
            page.goto(shop.receipt_of(shop.merchant("xenia"), purchase))

            expect(page.get_by_role("alert")).to_contain_text("PURCHASE_NOT_FOUND")
            expect(page.get_by_role("button", name="Print")).to_be_hidden()


def press(page: Page, name: str) -> None:
    """This will go on with Tab to what has that name, and press Enter there. Every stop on the way must be seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outline")
        assert "solid" in outline, f"nobody sees that {focused(page)!r} has the focus: {outline}"
        if focused(page).startswith(name):
            page.keyboard.press("Enter")
            return
    pytest.fail(f"{MOST_TABS} times Tab does not lead to {name}")


def focused(page: Page) -> str:
    """What has the focus, by its text."""
    return str(page.evaluate("(document.activeElement.textContent || '').trim()"))
