"""The development page: whom it is shown as, what its token may do, how it announces, and where it is not."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.testclient import TestClient
from tests.apps.http_pages.conftest import SECRET, Pages, some_settings

from billing_adapters.settings import DEVELOPMENT_SECRET
from billing_core.messages import MERCHANT_CREATED, InboundMessage, MerchantCreated, open_envelope, read_data
from billing_http.pages.development import TOKEN_LIFETIME_S

RECEIPT = "/development/receipts/0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"
ADDRESSES = ["/", "/development/token", "/development/events", "/development/static/billing.js", RECEIPT]
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
BAD_IDS = ["", "a b", "<script>", "x" * 129, "é", "a\x00", "../x"]


class TestPage:
    """`GET /`."""

    def test_it_is_shown_as_the_merchant_of_the_address(self, browser: TestClient) -> None:
        """And offers the platforms that are configured."""
        answer = browser.get("/", params={"merchant": "shop:1", "platform": "sandbox"})

        assert answer.status_code == 200
        assert 'data-merchant="shop:1"' in answer.text
        assert "<option selected>sandbox</option>" in answer.text

    def test_without_a_merchant_it_is_the_ready_made_one(self, browser: TestClient) -> None:
        """The one `billing up` announces."""
        assert 'data-merchant="dev-merchant"' in browser.get("/").text

    def test_it_has_no_inline_script_or_style(self, browser: TestClient) -> None:
        """So its policy can forbid them."""
        answer = browser.get("/")

        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.text.count("<script") == 1
        assert '<script type="module" src="/development/static/billing.js"></script>' in answer.text
        assert "<style" not in answer.text
        assert " style=" not in answer.text

    @pytest.mark.parametrize("address", ["/", "/development/token", "/development/events", RECEIPT])
    @pytest.mark.parametrize("merchant_id", BAD_IDS)
    def test_what_cannot_be_a_merchant_is_refused(self, browser: TestClient, address: str, merchant_id: str) -> None:
        """400, and never echoed."""
        answer = browser.get(address, params={"merchant": merchant_id})

        assert answer.status_code == 400
        assert "<script>" not in answer.text

    def test_another_platform_is_refused(self, browser: TestClient) -> None:
        """Only configured ones."""
        assert browser.get("/", params={"platform": "shopify"}).status_code == 400

    @pytest.mark.parametrize(
        "settings",
        [
            {"development_page": False},
            {"env": "production"},
            {"jwt_secret": None, "jwt_jwks_url": "https://issuer.example/keys"},
        ],
        ids=str,
    )
    def test_it_is_not_there_unless_it_is_wanted_and_harmless(self, settings: dict[str, Any]) -> None:
        """Switched on, in development, with a shared secret in force: else no page and no token."""
        with TestClient(Pages(settings=some_settings(**settings)).app) as browser:
            answers = [browser.get(address).status_code for address in ADDRESSES]
            announced = browser.post("/development/merchants", data={"merchant": "m-1"}).status_code

        assert answers == [404] * len(ADDRESSES)
        assert announced == 404


class TestReceipt:
    """`GET /development/receipts/{purchase_id}`."""

    def test_it_is_a_page_about_one_purchase_that_leads_back(self, browser: TestClient) -> None:
        """What it says comes from the API; the page itself knows which one to ask for, and for whom."""
        answer = browser.get(RECEIPT, params={"merchant": "shop:1", "platform": "sandbox"})

        assert answer.status_code == 200
        assert f'data-purchase="{RECEIPT.rpartition("/")[2]}"' in answer.text
        assert 'data-merchant="shop:1"' in answer.text
        assert 'href="/?merchant=shop%3A1&amp;platform=sandbox"' in answer.text
        assert "unsafe" not in answer.headers["content-security-policy"]

    @pytest.mark.parametrize("purchase_id", ["1", "<script>", "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3", "..%2f.."])
    def test_what_cannot_be_a_purchase_has_none(self, browser: TestClient, purchase_id: str) -> None:
        """404."""
        assert browser.get(f"/development/receipts/{purchase_id}").status_code == 404


class TestFiles:
    """`GET /development/static/{name}`."""

    def test_every_file_the_pages_name_is_served_as_what_it_is(self, browser: TestClient) -> None:
        """Sheets, icon, modules, and every module that a module imports: a browser refuses one of another type."""
        pages = browser.get("/").text + browser.get(RECEIPT).text
        unread, read = set(re.findall(r"/development/static/([\w.]+)", pages)), set[str]()
        while unread:
            name = unread.pop()
            answer = browser.get(f"/development/static/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].partition(";")[0] == TYPES[name.rpartition(".")[2]]
            read.add(name)
            unread |= set(re.findall(r'from "\./([\w.]+)"', answer.text)) - read

        assert {"billing.js", "receipt.js", "words.js", "pages.css", "billing.css", "icon.svg"} < read


class TestToken:
    """`GET /development/token`."""

    @pytest.mark.parametrize("secret", [SECRET, None])
    def test_it_is_a_short_lived_token_for_one_merchant(self, secret: str | None) -> None:
        """Every required claim, both billing scopes and no other, signed with the secret in force."""
        settings = some_settings(jwt_secret=secret)
        with TestClient(Pages(settings=settings).app) as browser:
            answer = browser.get("/development/token", params={"merchant": "m-1", "platform": "sandbox"})

        key = OctKey.import_key((secret or DEVELOPMENT_SECRET).encode())
        claims = jwt.decode(answer.json()["token"], key, algorithms=["HS256"]).claims
        assert claims.pop("exp") - claims.pop("iat") == TOKEN_LIFETIME_S == answer.json()["lifetime_s"]
        assert claims == {
            "iss": settings.jwt_issuer,
            "aud": settings.jwt_audience,
            "sub": "development-page",
            "merchant_id": "m-1",
            "platform": "sandbox",
            "scope": "billing:read billing:write",
        }
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


class TestAnnouncing:
    """`POST /development/merchants`."""

    def test_it_announces_the_merchant_and_shows_the_page_as_it(self, pages: Pages, browser: TestClient) -> None:
        """A CloudEvent as another service would send it."""
        answer = browser.post("/development/merchants", data={"merchant": "m-1", "platform": "sandbox"})

        (sent,) = pages.sender.sent
        envelope = open_envelope(InboundMessage(subject=sent.subject, body=sent.body, headers=sent.headers))
        created = read_data(MerchantCreated, envelope.data)
        assert sent.subject == MERCHANT_CREATED
        assert envelope.message_id == sent.headers["Nats-Msg-Id"]
        assert (created.merchant_id, created.platform) == ("m-1", "sandbox")
        assert answer.status_code == 303
        where = urlsplit(answer.headers["location"])
        assert (where.path, parse_qs(where.query)) == ("/", {"merchant": ["m-1"], "platform": ["sandbox"]})

    @pytest.mark.parametrize("merchant_id", BAD_IDS)
    def test_what_cannot_be_a_merchant_is_not_announced(
        self, pages: Pages, browser: TestClient, merchant_id: str
    ) -> None:
        """400, and nothing is published."""
        answer = browser.post("/development/merchants", data={"merchant": merchant_id, "platform": "sandbox"})

        assert answer.status_code == 400
        assert pages.sender.sent == []

    def test_another_site_cannot_announce(self, pages: Pages, browser: TestClient) -> None:
        """A form sent from elsewhere is refused."""
        headers = {"Sec-Fetch-Site": "cross-site"}

        answer = browser.post("/development/merchants", data={"merchant": "m-1"}, headers=headers)

        assert answer.status_code == 403
        assert pages.sender.sent == []

    def test_without_nats_it_says_so(self, pages: Pages, browser: TestClient) -> None:
        """503, as a page in clear words."""
        pages.sender.is_down = True

        answer = browser.post("/development/merchants", data={"merchant": "m-1"})

        assert answer.status_code == 503
        assert "NATS is away" in answer.text
