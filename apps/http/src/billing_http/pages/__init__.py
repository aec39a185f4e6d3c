"""The pages people see: the sandbox's checkout, and the development page. Plain HTML that needs no build step."""

from starlette.routing import Route

from billing_adapters.settings import Settings
from billing_http.pages.checkout import checkout_page
from billing_http.pages.development import (
    announce_merchant,
    development_page,
    development_token,
    receipt_page,
)
from billing_http.pages.documents import static_file
from billing_http.pages.live_events import live_events


def sandbox_routes(settings: Settings) -> list[Route]:
    """The sandbox's checkout; none where the sandbox is not one of the platforms."""
    if "sandbox" not in settings.platforms:
        return []
    return [
        Route("/sandbox/checkout/{reference}", checkout_page, methods=["GET", "POST"]),
        Route("/sandbox/static/{name}", static_file, methods=["GET"]),
    ]


def development_routes(settings: Settings) -> list[Route]:
    """The development page and what it calls; none unless it is switched on, in development, with a shared secret."""
    if not settings.development_page or settings.env != "development" or settings.signing_secret() is None:
        return []
    return [
        Route("/", development_page, methods=["GET"]),
        Route("/development/token", development_token, methods=["GET"]),
        Route("/development/events", live_events, methods=["GET"]),
        Route("/development/receipts/{purchase_id:uuid}", receipt_page, methods=["GET"]),
        Route("/development/merchants", announce_merchant, methods=["POST"]),
        Route("/development/static/{name}", static_file, methods=["GET"]),
    ]
