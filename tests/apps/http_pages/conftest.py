"""The pages on an application of their own: real routes, books in memory, a broker that can be switched off."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from billing_adapters.platforms.sandbox import SandboxPlatform
from billing_adapters.platforms.sandbox_books import InMemorySandboxBooks
from billing_adapters.settings import Settings
from billing_core.domain.purchases import Purchase
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import InMemorySender, a_merchant, a_purchase
from billing_http.pages import development_routes, sandbox_routes
from billing_http.state import Drain

SECRET = "a-secret-that-has-32-bytes-or-more"
RETURN_URL = "https://shop.example/billing?from=checkout&x=<b>"


def some_settings(**values: Any) -> Settings:
    """Settings of a development process, whatever the environment says."""
    defaults: dict[str, Any] = {"env": "development", "development_page": True, "platforms": ("sandbox",)}
    return Settings(_env_file=None, **defaults | {"jwt_secret": SECRET} | values)


@dataclass
class Pages:
    """The pages, and what stands behind them."""

    settings: Settings = field(default_factory=some_settings)
    books: InMemorySandboxBooks = field(default_factory=InMemorySandboxBooks)
    sender: InMemorySender = field(default_factory=InMemorySender)
    drain: Drain = field(default_factory=Drain)
    nats: Any = None

    def __post_init__(self) -> None:
        self.platform = SandboxPlatform(self.books, base_url="http://testserver", secret=SECRET)

    @property
    def state(self) -> dict[str, Any]:
        """What the handlers find in `request.state`."""
        return {
            "settings": self.settings,
            "platforms": {"sandbox": self.platform},
            "sender": self.sender,
            "nats": self.nats,
            "drain": self.drain,
        }

    @property
    def app(self) -> Starlette:
        """An application of nothing but the pages."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
            yield self.state

        routes = [*sandbox_routes(self.settings), *development_routes(self.settings)]
        return Starlette(routes=routes, lifespan=lifespan)

    async def checkout(self, **values: Any) -> tuple[Purchase, str]:
        """A purchase that can be paid now, and its checkout's URL."""
        defaults: dict[str, Any] = {"created_at": datetime.now(UTC) - timedelta(minutes=1), "return_url": RETURN_URL}
        purchase = a_purchase(a_merchant(), **defaults | values)
        account = PlatformAccount(platform_account_id=purchase.platform_account_id, platform_domain=None)
        return purchase, (await self.platform.create_checkout(purchase, account)).url


@pytest.fixture
def pages() -> Pages:
    """The pages, with nothing decided yet."""
    return Pages()


@pytest.fixture
def browser(pages: Pages) -> Iterator[TestClient]:
    """A client that shows redirects instead of following them."""
    with TestClient(pages.app, follow_redirects=False) as client:
        yield client
