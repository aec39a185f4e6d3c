"""The sandbox's checkout page: what it shows, what pressing its buttons does, and what it refuses."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient
from tests.apps.http_pages.conftest import RETURN_URL, SECRET, Pages, some_settings

from billing_adapters.platforms.sandbox import SandboxPlatform
from billing_adapters.platforms.sandbox_books import SandboxEntry
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import StorageUnavailable
from billing_core.messages import PURCHASE_UPDATED, InboundMessage, PurchaseUpdated, open_envelope, read_data
from billing_core.testing import an_offer

UNKNOWN = "/sandbox/checkout/sbx_" + "0" * 48


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such element."""
        return [attributes for name, attributes in self.tags if name == tag]


def press(browser: TestClient, url: str, action: str) -> str:
    """This will press a button and give where the browser is sent."""
    answer = browser.post(url, data={"action": action})
    assert answer.status_code == 303
    return str(answer.headers["location"])


class TestWhatIsShown:
    """`GET` before anything was decided."""

    async def test_it_says_what_is_bought_for_how_much(self, pages: Pages, browser: TestClient) -> None:
        """Credits, pack, bonus and price, under a banner that says no money moves."""
        _, url = await pages.checkout(offer=an_offer(bonus_credits=12000))

        answer = browser.get(url)

        assert answer.status_code == 200
        for said in ("Test mode", "No money moves", "1000 credits", "12,000 bonus credits", "USD 69.99", "Pack large"):
            assert said in answer.text

    async def test_it_is_one_plain_form_with_three_buttons(self, pages: Pages, browser: TestClient) -> None:
        """It posts to its own address and needs no script."""
        _, url = await pages.checkout()

        page = _Page(browser.get(url).text)

        [form] = page.all("form")
        assert (form["method"], url.endswith(str(form["action"]))) == ("post", True)
        assert [(each["name"], each["value"]) for each in page.all("button")] == [
            ("action", "pay"),
            ("action", "decline"),
            ("action", "expire"),
        ]
        assert page.all("script") == []

    async def test_it_allows_nothing_inline_and_no_frames(self, pages: Pages, browser: TestClient) -> None:
        """The policy is strict, the page keeps to it, and nobody caches or sniffs."""
        _, url = await pages.checkout()

        answer = browser.get(url)

        policy = answer.headers["content-security-policy"]
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not any("style" in attributes or "onclick" in attributes for _, attributes in _Page(answer.text).tags)

    async def test_what_the_merchant_wrote_is_only_text(self, pages: Pages, browser: TestClient) -> None:
        """A return URL or pack name never becomes markup."""
        _, url = await pages.checkout(offer=an_offer("<script>alert(1)</script>"))

        answer = browser.get(url)

        assert "<script>" not in answer.text
        assert RETURN_URL in [each.get("href") for each in _Page(answer.text).all("a")]

    async def test_a_checkout_past_its_time_has_no_buttons(self, pages: Pages, browser: TestClient) -> None:
        """It says so and leads back; pressing Pay all the same decides nothing."""
        purchase, url = await pages.checkout(created_at=datetime.now(UTC) - timedelta(days=3))

        answer, pressed = browser.get(url), browser.post(url, data={"action": "pay"})

        assert (answer.status_code, pressed.status_code) == (410, 410)
        assert _Page(answer.text).all("button") == []
        assert "The time to pay is over" in answer.text
        assert await pages.books.get(urlsplit(url).path.rsplit("/", 1)[-1]) is None
        assert purchase.return_url in [each.get("href") for each in _Page(answer.text).all("a")]

    def test_its_style_sheet_is_served(self, browser: TestClient) -> None:
        """Under the address the page names."""
        answer = browser.get("/sandbox/static/pages.css")

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/css")

    @pytest.mark.parametrize("name", ["other.css", "..%2f__init__.py", "pages.css%00"])
    def test_nothing_else_is_served(self, browser: TestClient, name: str) -> None:
        """Only the files the pages need."""
        assert browser.get(f"/sandbox/static/{name}").status_code == 404


class TestWhatPressingDoes:
    """`POST`."""

    @pytest.mark.parametrize(
        ("action", "status", "word"),
        [("pay", "paid", "Paid"), ("decline", "declined", "Declined"), ("expire", "expired", "Expired")],
    )
    async def test_each_button_enters_its_decision_and_tells_the_service(
        self, pages: Pages, browser: TestClient, action: str, status: str, word: str
    ) -> None:
        """Books, one notice over NATS, and a page that can be loaded again."""
        purchase, url = await pages.checkout()

        shown = browser.get(press(browser, url, action))

        reference = urlsplit(url).path.rsplit("/", 1)[-1]
        decided = await pages.books.get(reference)
        assert decided == SandboxEntry(
            reference=reference,
            status=PaymentStatus(status),
            platform_account_id=purchase.platform_account_id,
            price=purchase.offer.price,
        )
        assert shown.status_code == 200
        assert word in shown.text
        assert purchase.return_url in [each.get("href") for each in _Page(shown.text).all("a")]
        assert len(pages.sender.sent) == 1

    async def test_the_notice_is_what_the_webhook_service_would_send(self, pages: Pages, browser: TestClient) -> None:
        """Contract §3: platform, delivery id, account, topic, time, and the sandbox's own body, under its id."""
        purchase, url = await pages.checkout()
        press(browser, url, "pay")

        (sent,) = pages.sender.sent
        envelope = open_envelope(InboundMessage(subject=sent.subject, body=sent.body, headers=sent.headers))
        updated = read_data(PurchaseUpdated, envelope.data)

        assert sent.subject == PURCHASE_UPDATED
        assert envelope.message_id == sent.headers["Nats-Msg-Id"] == envelope.data["delivery_id"]
        assert (updated.platform, updated.topic) == ("sandbox", "checkout.paid")
        assert envelope.data["platform_account_id"] == purchase.platform_account_id
        assert envelope.data["received_at"].endswith("Z")
        notice = pages.platform.read_notice(updated.payload)
        assert notice.platform_reference == urlsplit(url).path.rsplit("/", 1)[-1]

    async def test_the_same_again_is_harmless(self, pages: Pages, browser: TestClient) -> None:
        """The second notice has the id of the first, so it counts once."""
        _, url = await pages.checkout()

        first, second = press(browser, url, "pay"), press(browser, url, "pay")

        assert first == second
        assert len({each.headers["Nats-Msg-Id"] for each in pages.sender.sent}) == 1

    async def test_another_decision_afterwards_says_what_it_already_is(self, pages: Pages, browser: TestClient) -> None:
        """Nothing changes, and nothing more is told."""
        _, url = await pages.checkout()
        press(browser, url, "pay")

        shown = browser.get(press(browser, url, "decline"))

        assert "already paid" in shown.text
        assert len(pages.sender.sent) == 1

    async def test_what_was_decided_is_shown_instead_of_the_buttons(self, pages: Pages, browser: TestClient) -> None:
        """The address of the checkout itself shows how it ended."""
        _, url = await pages.checkout()
        press(browser, url, "decline")

        shown = browser.get(url)

        assert "Declined" in shown.text
        assert _Page(shown.text).all("button") == []

    async def test_without_nats_the_decision_still_stands(self, pages: Pages, browser: TestClient) -> None:
        """The page says the notice was not sent; the reconciler will find the payment."""
        _, url = await pages.checkout()
        pages.sender.is_down = True

        where = press(browser, url, "pay")

        decided = await pages.books.get(urlsplit(url).path.rsplit("/", 1)[-1])
        assert decided is not None
        assert decided.status is PaymentStatus.PAID
        assert "could not be sent" in browser.get(where).text

    async def test_the_redirect_stays_on_the_host_the_browser_came_by(self, pages: Pages, browser: TestClient) -> None:
        """`form-action 'self'` would stop any other."""
        _, url = await pages.checkout()

        where = urlsplit(press(browser, url, "pay"))

        assert (where.scheme, where.netloc) == ("", "")
        assert where.path == urlsplit(url).path
        assert parse_qs(where.query)["offer"] == parse_qs(urlsplit(url).query)["offer"]


class TestWhatIsRefused:
    """Each with a page in clear words, and nothing entered."""

    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("query", ["", "?offer=", "?offer=a.b.c", "?offer=%00%ff"])
    async def test_a_link_without_a_genuine_offer(
        self, pages: Pages, browser: TestClient, method: str, query: str
    ) -> None:
        """Missing or forged: 400."""
        _, url = await pages.checkout()

        answer = browser.request(
            method, urlsplit(url).path + query, data={"action": "pay"} if method == "post" else None
        )

        assert answer.status_code == 400
        assert "not genuine" in answer.text
        assert pages.sender.sent == []

    async def test_the_offer_of_another_checkout(self, pages: Pages, browser: TestClient) -> None:
        """A cheap offer does not pay for a dear one."""
        (_, cheap), (_, dear) = await pages.checkout(), await pages.checkout()

        answer = browser.post(f"{urlsplit(dear).path}?{urlsplit(cheap).query}", data={"action": "pay"})

        assert answer.status_code == 400
        assert pages.sender.sent == []

    @pytest.mark.parametrize("reference", ["x", "sbx_1", "sbx_" + "g" * 48, "%00", "sbx_" + "0" * 49])
    def test_an_address_that_is_no_checkout(self, browser: TestClient, reference: str) -> None:
        """404, as a page."""
        answer = browser.get(f"/sandbox/checkout/{reference}")

        assert answer.status_code == 404
        assert "no such checkout" in answer.text
        assert answer.headers["content-type"].startswith("text/html")

    @pytest.mark.parametrize(
        "body", ["", "action=", "action=steal", "action=pay&action=decline", "x=1" * 5000, "a&" * 99, "é"]
    )
    async def test_a_form_without_exactly_one_known_action(self, pages: Pages, browser: TestClient, body: str) -> None:
        """400."""
        _, url = await pages.checkout()

        answer = browser.post(url, content=body.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})

        assert answer.status_code == 400
        assert pages.sender.sent == []

    async def test_another_media_type(self, pages: Pages, browser: TestClient) -> None:
        """415."""
        _, url = await pages.checkout()

        assert browser.post(url, json={"action": "pay"}).status_code == 415

    async def test_other_methods(self, pages: Pages, browser: TestClient) -> None:
        """405, with the whole `Allow`."""
        _, url = await pages.checkout()

        answer = browser.delete(url)

        assert answer.status_code == 405
        assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}

    async def test_books_out_of_reach(self) -> None:
        """503 with `Retry-After`, as a page, for looking and for pressing."""
        pages = Pages()
        _, url = await pages.checkout()
        pages.platform = SandboxPlatform(_NoBooks(), base_url="http://testserver", secret=SECRET)

        with TestClient(pages.app, follow_redirects=False) as browser:
            answers = [browser.get(url), browser.post(url, data={"action": "pay"})]

        assert [answer.status_code for answer in answers] == [503, 503]
        assert all(answer.headers["retry-after"] == "2" for answer in answers)
        assert pages.sender.sent == []

    def test_without_the_sandbox_there_is_no_checkout(self) -> None:
        """A deployment that does not have the platform has none of its pages."""
        settings = some_settings(platforms="shopify", development_page=False)

        with TestClient(Pages(settings=settings).app) as browser:
            assert browser.get(UNKNOWN).status_code == 404
            assert browser.get("/sandbox/static/pages.css").status_code == 404


class _NoBooks:
    async def get(self, reference: str) -> SandboxEntry | None:
        raise StorageUnavailable

    async def get_many(self, references: Sequence[str]) -> Mapping[str, SandboxEntry]:
        raise StorageUnavailable

    async def enter(self, entry: SandboxEntry) -> SandboxEntry:
        raise StorageUnavailable
