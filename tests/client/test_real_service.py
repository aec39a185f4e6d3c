"""Both clients against the real process: every operation, and every refusal that a caller can bring about."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from tests.apps.http.door import RETURN_URL
from tests.client.conftest import Service, token

import billing_client
from billing_client import BillingAPIError, BillingClientError, BillingConnectionError, Retries, UnexpectedAnswer

OpenClient = Callable[..., Any]
NEVER = Retries(times=0)
SOON = Retries(times=2, first_wait_s=0.001)


class TestOperations:
    def test_a_merchant_starts_a_trial_once(self, open_client: OpenClient, merchant_id: str) -> None:
        """Before, the trial is available; after, it is active, and the overview shows it."""
        billing = open_client(merchant_id)

        before = billing.show_trial()
        started = billing.activate_trial()

        assert (before.status, before.id, before.meta.status) == ("available", None, 200)
        assert (started.status, started.credits, started.meta.status) == ("active", 500, 201)
        assert billing.show_trial() == started
        assert billing.overview().trial == started
        with pytest.raises(billing_client.TrialAlreadyUsed):
            billing.activate_trial()

    def test_a_merchant_buys(self, open_client: OpenClient, merchant_id: str) -> None:
        """A purchase is opened, shown, listed and told in the overview and in its history."""
        billing = open_client(merchant_id)

        bought = billing.create_purchase("large", return_url=RETURN_URL, currency="USD", correlation_id="a-click")
        again = billing.create_purchase("large", return_url=RETURN_URL)

        assert (bought.status, bought.credits, bought.price.amount_minor) == ("pending", 1000, 6999)
        assert bought.checkout_url is not None
        assert (bought.meta.status, bought.meta.correlation_id, bought.meta.attempts) == (201, "a-click", 1)
        assert (again, again.meta.status) == (bought, 200)
        assert billing.show_purchase(bought.id) == bought == billing.show_purchase(str(bought.id))
        assert billing.list_purchases().data == (bought,)
        assert billing.overview().purchases.last == bought
        assert billing.overview().merchant.id == merchant_id
        assert {entry.correlation_id for entry in billing.show_history(bought.id).data} == {"a-click"}

    def test_a_key_that_is_given_is_the_callers(self, open_client: OpenClient, merchant_id: str) -> None:
        """The first answer is told again, and says so; another request under the key is refused."""
        billing = open_client(merchant_id)
        key = str(uuid.uuid4())

        first = billing.create_purchase("small", return_url=RETURN_URL, idempotency_key=key)
        again = billing.create_purchase("small", return_url=RETURN_URL, idempotency_key=key)

        assert (again, again.meta.replayed, first.meta.replayed) == (first, True, False)
        with pytest.raises(billing_client.IdempotencyKeyReused) as refused:
            billing.create_purchase("large", return_url=RETURN_URL, idempotency_key=key)
        assert refused.value.idempotency_key == key

    def test_iterating_goes_through_every_page(self, open_client: OpenClient, merchant_id: str) -> None:
        """Newest first, one page after the other, each purchase once."""
        billing = open_client(merchant_id)
        bought = [billing.create_purchase(pack, return_url=RETURN_URL).id for pack in ("small", "medium", "large")]

        for page_size in (1, 2, 3, 100):
            found = [purchase.id for purchase in billing.iter_purchases(page_size=page_size)]
            assert found == bought[::-1], page_size
        assert [each.id for each in billing.iter_purchases(status="pending")] == bought[::-1]
        assert list(billing.iter_purchases(status="completed")) == []
        assert list(billing.iter_purchases(archived=True)) == []

    def test_what_is_sold_and_how_the_service_is(self, open_client: OpenClient, merchant_id: str) -> None:
        """The packs of the catalogue; and the service's health, asked without a token."""
        billing = open_client(merchant_id)

        assert [pack.pack for pack in billing.list_packs().data] == ["small", "medium", "large"]
        assert open_client(merchant_id, token=_never_asked).health().status == "ok"


def _never_asked() -> str:
    raise AssertionError("no token is needed")


def _buy(billing: Any, **changes: Any) -> object:
    return billing.create_purchase(**{"pack": "large", "return_url": RETURN_URL, **changes})


REFUSALS: dict[str, tuple[dict[str, Any], Callable[[Any], object]]] = {
    "UNAUTHENTICATED": ({"token": "nonsense"}, lambda billing: billing.overview()),
    "FORBIDDEN": ({"claims": {"scope": "billing:read"}}, _buy),
    "INVALID_PLATFORM": ({"platform": "paypal"}, lambda billing: billing.overview()),
    "PLATFORM_MISMATCH": ({"claims": {"platform": "shopify"}}, lambda billing: billing.overview()),
    "MERCHANT_NOT_FOUND": ({"token": token("unheard-of")}, lambda billing: billing.overview()),
    "PURCHASE_NOT_FOUND": ({}, lambda billing: billing.show_purchase(uuid.uuid4())),
    "INVALID_PACK": ({}, lambda billing: _buy(billing, pack="huge")),
    "INVALID_REQUEST": ({}, lambda billing: _buy(billing, return_url="nowhere")),
    "IDEMPOTENCY_KEY_REQUIRED": ({}, lambda billing: _buy(billing, idempotency_key="k" * 256)),
    "PAYLOAD_TOO_LARGE": ({}, lambda billing: _buy(billing, return_url=RETURN_URL + "/" + "x" * 70_000)),
    "URI_TOO_LONG": ({}, lambda billing: billing.list_purchases(cursor="c" * 9000)),
    "REQUEST_HEADER_FIELDS_TOO_LARGE": ({"headers": lambda: {"more": "m" * 40_000}}, lambda each: each.overview()),
}


class TestRefusals:
    @pytest.mark.parametrize("code", REFUSALS)
    def test_each_code_is_a_class_of_its_own(self, open_client: OpenClient, merchant_id: str, code: str) -> None:
        """Refused once, told as its class with what to do, and never sent again."""
        options, act = REFUSALS[code]
        billing = open_client(merchant_id, **options)

        with pytest.raises(BillingAPIError) as refused:
            act(billing)

        error = refused.value
        assert (error.code, type(error).known_as, error.attempts) == (code, code, 1)
        assert error.detail in str(error)
        assert error.correlation_id == error.problem.correlation_id

    def test_an_invalid_request_says_where(self, open_client: OpenClient, merchant_id: str) -> None:
        """By a pointer to each field."""
        with pytest.raises(billing_client.InvalidRequest) as refused:
            _buy(open_client(merchant_id), return_url="nowhere")

        assert [each.pointer for each in refused.value.errors] == ["/return_url"]

    @pytest.mark.parametrize("purchase_id", ["", "none", "..", "../packs", "a/b", "?limit=1", "%2e%2e"])
    def test_what_is_no_id_is_not_sent(self, open_client: OpenClient, merchant_id: str, purchase_id: str) -> None:
        """Nothing given as an id leads to another path."""
        billing = open_client(merchant_id)

        for ask in (billing.show_purchase, billing.show_history):
            with pytest.raises(ValueError, match="UUID"):
                ask(purchase_id)

    def test_a_platform_that_makes_no_checkout_is_told(self, open_client: OpenClient, service: Service) -> None:
        """Shopify without credentials: the error names it, and whether to try again."""
        billing = open_client(service.merchant("shopify"), platform="shopify")

        with pytest.raises(billing_client.PlatformError) as refused:
            _buy(billing)

        assert (refused.value.platform, refused.value.retryable, refused.value.attempts) == ("shopify", False, 1)

    def test_another_address_is_not_taken_for_billing(
        self, open_client: OpenClient, service: Service, merchant_id: str
    ) -> None:
        """A wrong path is told as such; where nobody listens the call is sent again and then given up."""
        elsewhere = open_client(merchant_id, base_url=f"{service.url}/docs")
        nowhere = open_client(merchant_id, base_url="http://127.0.0.1:1", retries=SOON)

        with pytest.raises(billing_client.NotFound):
            elsewhere.overview()
        with pytest.raises(BillingConnectionError) as failed:
            _buy(nowhere)
        assert (failed.value.attempts, failed.value.__cause__ is not None) == (3, True)
        assert failed.value.idempotency_key
        assert failed.value.correlation_id


class TestTokens:
    def test_a_function_is_asked_before_each_sending(self, open_client: OpenClient, merchant_id: str) -> None:
        """So a token that runs out is replaced in time."""
        tokens = iter(["outdated", token(merchant_id)])
        billing = open_client(merchant_id, token=lambda: next(tokens))

        with pytest.raises(billing_client.Unauthenticated):
            billing.overview()
        assert billing.overview().merchant.id == merchant_id

    def test_a_token_is_told_to_nobody(self, open_client: OpenClient, merchant_id: str) -> None:
        """It stands in no representation and in no error."""
        secret = "a-token-nobody-may-see"
        billing = open_client(merchant_id, token=secret)
        away = open_client(merchant_id, token=secret, base_url="http://127.0.0.1:1", retries=NEVER)
        told = [repr(billing)]

        for ask in (billing.overview, away.overview):
            with pytest.raises(BillingClientError) as failed:
                ask()
            told += [str(failed.value), repr(failed.value), repr(failed.value.__cause__), repr(vars(failed.value))]

        assert secret not in " ".join(told)


class TestOwnHttpClient:
    def test_it_is_used_and_left_open(self, service: Service, merchant_id: str) -> None:
        """A client of the caller's own serves many, and is closed by the caller."""
        with httpx2.Client() as http:
            for _ in range(2):
                with billing_client.BillingClient(
                    service.url, token=token(merchant_id), platform="sandbox", http=http
                ) as billing:
                    assert billing.health().status == "ok"
            assert not http.is_closed

    async def test_the_async_one_too(self, service: Service, merchant_id: str) -> None:
        """And a token may come from an async function."""

        async def fresh() -> str:
            return token(merchant_id)

        async with httpx2.AsyncClient() as http:
            async with billing_client.AsyncBillingClient(
                service.url, token=fresh, platform="sandbox", http=http
            ) as billing:
                assert (await billing.overview()).merchant.id == merchant_id
            assert not http.is_closed


@contextmanager
def elsewhere(location: str) -> Iterator[tuple[str, list[str]]]:
    """Somebody else's server that sends everybody on to `location`: its address, and which paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_nobody_leads_a_token_astray() -> None:
    """A redirect is not followed, even by a client of the caller's own that would."""
    with (
        elsewhere("http://127.0.0.1:1") as (thief, stolen),
        elsewhere(f"{thief}/taken") as (url, asked),
        httpx2.Client(follow_redirects=True) as http,
    ):
        billing = billing_client.BillingClient(url, token="t", platform="sandbox", http=http)
        with pytest.raises(UnexpectedAnswer) as failed:
            billing.overview()

    assert failed.value.status == 307
    assert (asked, stolen) == (["/api/billing"], [])


def test_an_address_that_is_none_is_refused_at_once() -> None:
    """A missing scheme is the usual slip."""
    with pytest.raises(ValueError, match="https://"):
        billing_client.BillingClient("billing.example", token="t", platform="sandbox")


def test_a_page_of_somebody_else_is_an_unexpected_answer(service: Service) -> None:
    """HTML where a document was asked for."""
    with (
        billing_client.BillingClient(f"{service.url}/docs?", token="t", platform="sandbox") as billing,
        pytest.raises(UnexpectedAnswer) as failed,
    ):
        billing.overview()

    assert failed.value.status == 200
