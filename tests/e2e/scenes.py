"""What a merchant can see of their billing: each scene opens a page in one state, and what it took away it gives back.

Looked at by the tests, and photographed by `script/screenshots`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps

import httpx2
from playwright.sync_api import Page, expect
from tests.e2e.conftest import wait_until
from tests.e2e.shop import PATIENCE_S, Shop

Scene = Callable[[Page, Shop], AbstractContextManager[None]]
SCENES: dict[str, Scene] = {}
API = "**/api/billing*"


def _scene(play: Callable[[Page, Shop], Iterator[None] | None]) -> Callable[[Page, Shop], AbstractContextManager[None]]:
    """A function that opens the scene, and where something must be given back yields before it does."""

    @contextmanager
    @wraps(play)
    def open_scene(page: Page, shop: Shop) -> Iterator[None]:
        played = play(page, shop)
        yield from played or (None,)

    SCENES[play.__name__.replace("_", "-")] = open_scene
    return open_scene


def _status(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading)).to_be_visible()


def _state(page: Page, name: str) -> None:
    expect(page.get_by_role("region", name="Purchases").get_by_text(name, exact=True).first).to_be_visible()


# --- how it stands ---------------------------------------------------------------------------------------------------


@_scene
def before_the_trial(page: Page, shop: Shop) -> None:
    """A new merchant, who has bought nothing."""
    page.goto(shop.page_of(shop.merchant("ada")))
    _status(page, "Try it free")
    expect(page.get_by_text("Nothing yet.")).to_be_visible()


@_scene
def trial_running(page: Page, shop: Shop) -> None:
    """Three days into the trial."""
    merchant = shop.merchant("bea")
    shop.start_trial(merchant, days_ago=3)
    page.goto(shop.page_of(merchant))
    _status(page, "Your trial is running")
    expect(page.get_by_role("timer")).to_contain_text("10 days")
    expect(page.get_by_role("progressbar", name="How much of the trial is over")).to_be_visible()


@_scene
def trial_over(page: Page, shop: Shop) -> None:
    """A day after its end."""
    merchant = shop.merchant("cleo")
    shop.start_trial(merchant, days_ago=15)
    page.goto(shop.page_of(merchant))
    _status(page, "Your trial is over")


@_scene
def purchase_open(page: Page, shop: Shop) -> None:
    """A pack was chosen and not paid."""
    merchant = shop.merchant("dora")
    shop.buy(merchant, "medium")
    page.goto(shop.page_of(merchant))
    _state(page, "Waiting for payment")
    expect(page.get_by_role("link", name="Continue to checkout")).to_be_visible()


@_scene
def paid(page: Page, shop: Shop) -> None:
    """During the trial one pack was paid and one declined; the history of the paid one is open."""
    merchant = shop.merchant("emma")
    shop.start_trial(merchant, days_ago=1)
    shop.decide(shop.buy(merchant, "small"), "decline", "declined")
    shop.decide(shop.buy(merchant, "large"), "pay", "completed")
    page.goto(shop.page_of(merchant))
    _state(page, "Paid")
    page.get_by_role("button", name="History of 1000 credits").click()
    expect(page.get_by_text("pending → completed")).to_be_visible()


@_scene
def refunded(page: Page, shop: Shop) -> None:
    """On Stripe: one pack paid, one partly given back, one wholly, one disputed."""
    merchant = shop.merchant("fay", "stripe")
    shop.pay_by_stripe(shop.buy(merchant, "large", "stripe"), "completed")
    shop.pay_by_stripe(shop.buy(merchant, "medium", "stripe"), "partially_refunded", refund_minor=1000)
    shop.pay_by_stripe(shop.buy(merchant, "medium", "stripe"), "refunded", refund_minor=3999)
    shop.pay_by_stripe(shop.buy(merchant, "small", "stripe"), "disputed", dispute=True)
    page.goto(shop.page_of(merchant, "stripe"))
    for name in ("Paid", "Partly refunded", "Refunded", "In dispute"):
        _state(page, name)


@_scene
def needs_review(page: Page, shop: Shop) -> None:
    """Another amount was paid than was asked for."""
    merchant = shop.merchant("gia")
    shop.pay_another_amount(shop.buy(merchant, "small"))
    page.goto(shop.page_of(merchant))
    _state(page, "Being looked at")
    expect(page.get_by_role("link", name="Continue to checkout")).to_have_count(0)


# --- what goes wrong -------------------------------------------------------------------------------------------------


@_scene
def refused(page: Page, shop: Shop) -> None:
    """A third pack while as many are open as may be."""
    merchant = shop.merchant("hana")
    shop.buy(merchant, "small")
    shop.buy(merchant, "medium")
    page.goto(shop.page_of(merchant))
    page.get_by_role("button", name="Buy large").click()
    expect(page.get_by_role("alert")).to_contain_text("TOO_MANY_OPEN_PURCHASES")
    expect(page.get_by_role("alert")).to_be_in_viewport()


@_scene
def loading(page: Page, shop: Shop) -> None:
    """The service has been asked and has not answered."""
    page.route(API, lambda _: None)
    page.goto(shop.page_of(shop.merchant("ida")))
    _status(page, "Asking how things stand")


@_scene
def not_known_yet(page: Page, shop: Shop) -> None:
    """Nobody has announced this merchant."""
    page.goto(shop.page_of("nobody-knows-me"))
    _status(page, "This merchant is not known yet")


@_scene
def postgres_away(page: Page, shop: Shop) -> Iterator[None]:
    """Postgres is away before there was anything to show."""
    merchant = shop.merchant("jana")
    with _without_postgres(shop):
        page.goto(shop.page_of(merchant))
        _status(page, "Your billing cannot be shown right now")
        expect(page.get_by_role("alert")).to_contain_text("HTTP 503")
        yield
    _status(page, "Try it free")
    expect(page.get_by_role("alert")).to_be_hidden()


@_scene
def postgres_gone(page: Page, shop: Shop) -> Iterator[None]:
    """Postgres goes away while the page is open: what it shows stays."""
    merchant = shop.merchant("kim")
    shop.start_trial(merchant)
    page.goto(shop.page_of(merchant))
    _status(page, "Your trial is running")
    with _without_postgres(shop):
        page.get_by_role("button", name="Buy small").click()
        expect(page.get_by_role("alert")).to_contain_text("HTTP 503")
        _status(page, "Your trial is running")
        yield


@contextmanager
def _without_postgres(shop: Shop) -> Iterator[None]:
    shop.service.servers.stop_server("postgres")
    try:
        yield
    finally:
        shop.service.servers.start_server("postgres")
        ready = f"{shop.http}/health/ready"
        wait_until(lambda: httpx2.get(ready).status_code == 200, within_s=PATIENCE_S, what="the service is ready again")


# --- the pages beside it ---------------------------------------------------------------------------------------------


@_scene
def receipt(page: Page, shop: Shop) -> None:
    """Of a purchase of which some was given back."""
    merchant = shop.merchant("lea", "stripe")
    purchase = shop.buy(merchant, "large", "stripe")
    shop.pay_by_stripe(purchase, "partially_refunded", refund_minor=3500)
    page.goto(shop.receipt_of(merchant, purchase))
    expect(page.get_by_role("definition").filter(has_text="USD 69.99").first).to_be_visible()


@_scene
def no_receipt(page: Page, shop: Shop) -> None:
    """What is not paid has none."""
    merchant = shop.merchant("mia")
    purchase = shop.buy(merchant, "small")
    page.goto(shop.receipt_of(merchant, purchase))
    expect(page.get_by_role("status")).to_contain_text("There is no receipt: this purchase is not paid.")


@_scene
def checkout(page: Page, shop: Shop) -> None:
    """The sandbox's checkout."""
    page.goto(shop.buy(shop.merchant("nora"), "large")["checkout_url"])
    expect(page.get_by_role("button", name="Pay USD 69.99")).to_be_visible()


@_scene
def checkout_paid(page: Page, shop: Shop) -> None:
    """The sandbox's checkout after its button was pressed."""
    page.goto(shop.buy(shop.merchant("olga"), "large")["checkout_url"])
    page.get_by_role("button", name="Pay USD 69.99").click()
    expect(page.get_by_role("status")).to_contain_text("Paid")


@_scene
def no_merchant(page: Page, shop: Shop) -> None:
    """An address that names no merchant."""
    page.goto(shop.page_of("not a merchant"))
    expect(page.get_by_role("heading", name="That cannot be a merchant")).to_be_visible()
