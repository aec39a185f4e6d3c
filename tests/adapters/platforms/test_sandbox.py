"""The sandbox platform beyond its contract: signed offers, strict notices, books where the first decision stands."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import OctKey

from billing_adapters.platforms.sandbox import SandboxPlatform, sandbox_notice
from billing_adapters.platforms.sandbox_books import (
    InMemorySandboxBooks,
    PostgresSandboxBooks,
    SandboxBooks,
    SandboxEntry,
)
from billing_adapters.platforms.sandbox_offer import InvalidOffer, OfferSigner, SandboxOffer
from billing_adapters.postgres.database import Database, open_database
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import Purchase
from billing_core.errors import MalformedMessage, PlatformUnavailable
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT, a_merchant, a_purchase, an_offer

SECRET = "a-secret-that-has-32-bytes-or-more"
ACCOUNT = PlatformAccount(platform_account_id="account-1", platform_domain=None)


def a_sandbox(books: SandboxBooks | None = None, **values: str) -> SandboxPlatform:
    """A sandbox under this file's secret."""
    return SandboxPlatform(
        books or InMemorySandboxBooks(), **{"base_url": "http://127.0.0.1:8116", "secret": SECRET} | values
    )


def a_sandbox_purchase(**values: Any) -> Purchase:
    """A purchase of this file's account."""
    return a_purchase(a_merchant(platform_account_id=ACCOUNT.platform_account_id), **values)


def an_entry(reference: str, status: PaymentStatus = PaymentStatus.PAID, **values: Any) -> SandboxEntry:
    """A decision about the large pack."""
    defaults: dict[str, Any] = {
        "reference": reference,
        "status": status,
        "platform_account_id": ACCOUNT.platform_account_id,
        "price": Money(amount_minor=6999, currency="USD"),
    }
    return SandboxEntry(**defaults | values)


async def an_opened_offer(platform: SandboxPlatform, purchase: Purchase) -> tuple[str, str]:
    """The reference and the token of a purchase's checkout."""
    checkout = await platform.create_checkout(purchase, ACCOUNT)
    parts = urlsplit(checkout.url)
    assert parts.path == f"/sandbox/checkout/{checkout.platform_reference}"
    return checkout.platform_reference, parse_qs(parts.query)["offer"][0]


class TestOffers:
    """What the checkout's address carries."""

    async def test_the_address_carries_everything_the_page_shows(self) -> None:
        """Pack, credits, bonus, price, account, where to return to, and until when."""
        purchase = a_sandbox_purchase(offer=an_offer(bonus_credits=50), return_url="https://shop.example/a?b=c&d=%20")
        platform = a_sandbox()
        reference, token = await an_opened_offer(platform, purchase)

        offer = platform.read_offer(reference, token)

        assert offer == SandboxOffer.of(purchase)
        assert offer.price == purchase.offer.price
        assert (offer.pack, offer.credits, offer.bonus_credits) == ("large", 1000, 50)
        assert offer.return_url == purchase.return_url
        assert not offer.is_over(purchase.created_at)
        assert offer.is_over(purchase.expires_at)

    async def test_another_secret_reads_nothing(self) -> None:
        """A token signed by somebody else is refused."""
        reference, token = await an_opened_offer(a_sandbox(), a_sandbox_purchase())

        with pytest.raises(InvalidOffer):
            a_sandbox(secret=SECRET + "!").read_offer(reference, token)

    async def test_a_changed_price_is_refused(self) -> None:
        """The body cannot be changed under its signature."""
        reference, token = await an_opened_offer(a_sandbox(), a_sandbox_purchase())
        header, body, signature = token.split(".")
        offer = json.loads(base64.urlsafe_b64decode(body + "=="))
        cheaper = base64.urlsafe_b64encode(json.dumps(offer | {"amount_minor": 1}).encode()).decode().rstrip("=")

        with pytest.raises(InvalidOffer):
            a_sandbox().read_offer(reference, f"{header}.{cheaper}.{signature}")

    async def test_an_offer_opens_only_its_own_checkout(self) -> None:
        """The token of one purchase under the address of another is refused."""
        platform = a_sandbox()
        _, cheap = await an_opened_offer(platform, a_sandbox_purchase(offer=an_offer("small", credits=100)))
        reference, _ = await an_opened_offer(platform, a_sandbox_purchase())

        with pytest.raises(InvalidOffer):
            platform.read_offer(reference, cheap)

    @pytest.mark.parametrize("token", ["", "a.b.c", "....", "é" * 9, "x" * 9000, "\x00", "eyJhbGciOiJub25lIn0.e30."])
    def test_nonsense_is_refused(self, token: str) -> None:
        """Whatever stands in the address, the answer is InvalidOffer and nothing else."""
        with pytest.raises(InvalidOffer):
            OfferSigner(SECRET).read(token)

    async def test_an_offer_is_never_an_access_token(self) -> None:
        """It does not verify under the secret that signs access tokens."""
        _, token = await an_opened_offer(a_sandbox(), a_sandbox_purchase())

        with pytest.raises(BadSignatureError):
            jwt.decode(token, OctKey.import_key(SECRET.encode()), algorithms=["HS256"])

    def test_an_access_token_is_never_an_offer(self) -> None:
        """Even one whose claims are an offer's fields."""
        offer = SandboxOffer.of(a_sandbox_purchase())
        token = jws.serialize_compact({"alg": "HS256"}, offer.model_dump_json(), OctKey.import_key(SECRET.encode()))

        with pytest.raises(InvalidOffer):
            OfferSigner(SECRET).read(token)


class TestNotices:
    """The sandbox's own notices."""

    @pytest.mark.parametrize("status", ["paid", "declined", "expired", "cancelled"])
    async def test_every_decision_is_told_and_understood(self, status: str) -> None:
        """The notice of each end points at its checkout."""
        reference, _ = await an_opened_offer(a_sandbox(), a_sandbox_purchase())

        notice = a_sandbox().read_notice(sandbox_notice(an_entry(reference, PaymentStatus(status))))

        assert notice.platform_reference == reference

    @pytest.mark.parametrize(
        "change",
        [
            {"type": "checkout.declined"},
            {"type": "invoice.paid"},
            {"id": ""},
            {"id": 7},
            {"account": None},
            {"checkout": None},
            {"checkout": {"reference": "sbx_" + "0" * 48}},
            {"checkout": {"reference": "sbx_0", "status": "paid", "amount_minor": 1, "currency": "USD"}},
            {"checkout": {"reference": "sbx_" + "0" * 48, "status": "paid", "amount_minor": "1", "currency": "USD"}},
            {"checkout": {"reference": "sbx_" + "0" * 48, "status": "paid", "amount_minor": True, "currency": "USD"}},
            {"checkout": {"reference": "sbx_" + "0" * 48, "status": "paid", "amount_minor": -1, "currency": "USD"}},
            {"checkout": {"reference": "sbx_" + "0" * 48, "status": "pending", "amount_minor": 1, "currency": "USD"}},
        ],
        ids=str,
    )
    async def test_what_the_sandbox_never_sends_is_malformed(self, change: Mapping[str, Any]) -> None:
        """Each field has its shape, and the type goes with the status."""
        reference, _ = await an_opened_offer(a_sandbox(), a_sandbox_purchase())

        with pytest.raises(MalformedMessage, match="payload"):
            a_sandbox().read_notice({**sandbox_notice(an_entry(reference)), **change})


class BooksPromises:
    """What both books promise."""

    async def test_the_first_decision_stands(self, books: SandboxBooks) -> None:
        """A second one is not entered, and is told which one stands."""
        paid, declined = an_entry("sbx_1"), an_entry("sbx_1", PaymentStatus.DECLINED)
        await books.enter(paid)

        standing = await books.enter(declined)

        assert standing == paid
        assert await books.get("sbx_1") == paid

    async def test_of_many_at_once_one_stands(self, books: SandboxBooks) -> None:
        """Everybody is given the same one."""
        statuses = [PaymentStatus.PAID, PaymentStatus.DECLINED, PaymentStatus.EXPIRED, PaymentStatus.CANCELLED]

        standing = await asyncio.gather(*(books.enter(an_entry("sbx_1", status)) for status in statuses * 3))

        assert len(set(standing)) == 1
        assert await books.get("sbx_1") == standing[0]

    async def test_nothing_decided_is_none(self, books: SandboxBooks) -> None:
        """Checkouts are apart from each other."""
        await books.enter(an_entry("sbx_1"))

        assert await books.get("sbx_2") is None


class TestBooksInMemory(BooksPromises):
    """In memory."""

    @pytest.fixture
    def books(self) -> SandboxBooks:
        """Empty books."""
        return InMemorySandboxBooks()


class TestBooksOnPostgres(BooksPromises):
    """In the table `sandbox_payments`."""

    @pytest.fixture
    def books(self, database: Database) -> SandboxBooks:
        """Empty books."""
        return PostgresSandboxBooks(database)

    async def test_books_out_of_reach_are_a_platform_in_trouble(self) -> None:
        """No foreign exception leaves the platform: it is unavailable, and asking again may help."""
        purchase = a_sandbox_purchase()
        url = "postgresql://nobody@127.0.0.1:1/nothing"
        async with open_database(url, pool_size=1, application_name="tests", every_merchant=True) as database:
            platform = a_sandbox(PostgresSandboxBooks(database))
            checkout = await platform.create_checkout(purchase, ACCOUNT)

            with pytest.raises(PlatformUnavailable):
                await platform.look_up(checkout.platform_reference, ACCOUNT, MOMENT)
            with pytest.raises(PlatformUnavailable):
                await platform.cancel_checkout(checkout.platform_reference, ACCOUNT)


class TestPayments:
    """What `look_up` and `cancel_checkout` make of the books."""

    async def test_a_cancelled_checkout_cannot_be_paid_any_more(self) -> None:
        """The cancellation was first and stands."""
        platform = a_sandbox()
        reference, token = await an_opened_offer(platform, a_sandbox_purchase())
        await platform.cancel_checkout(reference, ACCOUNT)

        standing = await platform.decide(platform.read_offer(reference, token), PaymentStatus.PAID)

        assert standing.status is PaymentStatus.CANCELLED

    async def test_another_account_cannot_cancel(self) -> None:
        """Nothing is entered for a reference that is not the account's."""
        platform = a_sandbox()
        reference, _ = await an_opened_offer(platform, a_sandbox_purchase())

        await platform.cancel_checkout(reference, replace(ACCOUNT, platform_account_id="account-2"))

        report = await platform.look_up(reference, ACCOUNT, MOMENT)
        assert report is not None
        assert report.status is PaymentStatus.PENDING

    def test_pending_is_no_decision(self) -> None:
        """Books hold ends only."""
        with pytest.raises(ValueError, match="no decision"):
            an_entry("sbx_1", PaymentStatus.PENDING)
