"""The served stand-ins, and who asks them."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.adapters.stand_ins.shopify_app import App
from tests.adapters.stand_ins.stripe_desk import Desk, a_desk

from billing_adapters.stand_ins.shopify import ShopifyStandIn
from billing_core.testing import MOMENT, FixedClock


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A Stripe stand-in at MOMENT, with its clients."""
    async with a_desk() as opened:
        yield opened


@pytest.fixture
def clock() -> FixedClock:
    """Shopify's clock."""
    return FixedClock(MOMENT)


@pytest.fixture
def shopify(clock: FixedClock) -> ShopifyStandIn:
    """A Shopify without charges."""
    return ShopifyStandIn(clock=clock)


@pytest.fixture
async def app(shopify: ShopifyStandIn) -> AsyncIterator[App]:
    """The app that calls it."""
    async with shopify.open() as base_url, httpx2.AsyncClient(base_url=base_url, timeout=20) as http:
        yield App(http)
