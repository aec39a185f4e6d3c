"""A served Stripe stand-in, and who asks it: Stripe's own client, and a plain one for what that hides."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from stripe import HTTPXClient, StripeClient
from stripe.checkout import Session

from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.testing import MOMENT, FixedClock

NOW_S = int(MOMENT.timestamp())
DEADLINE_S = 10.0
KEY = "purchase-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A served stand-in, its clock, Stripe's client of it, and a plain one."""

    stripe: StripeStandIn
    clock: FixedClock
    client: StripeClient
    plain: httpx2.AsyncClient

    async def create(self, *, key: str | None = None, **values: Any) -> Session:
        """A new session."""
        options: Any = {"idempotency_key": key} if key else {}
        return await self.client.v1.checkout.sessions.create_async(params(**values), options)

    async def post(self, *, key: str, **values: Any) -> httpx2.Response:
        """The bare answer to a create with a key."""
        return await self.plain.post(
            "/v1/checkout/sessions", content=FORM + extra(**values), headers={"Idempotency-Key": key}
        )

    async def retrieve(self, session_id: str) -> Session:
        """The session with its payment and charge."""
        expanded: Any = {"expand": ["payment_intent.latest_charge"]}
        return await self.client.v1.checkout.sessions.retrieve_async(session_id, expanded)


def params(**values: Any) -> Any:
    """What a pack of credits is sold with."""
    defaults: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": KEY,
        "metadata": {"purchase_id": KEY},
        "payment_intent_data": {"metadata": {"paid_for": KEY}},
        "line_items": [line_item()],
        "success_url": "https://shop.example/ok?session_id={CHECKOUT_SESSION_ID}",
        "expires_at": NOW_S + 3600,
    }
    return defaults | values


def line_item(**price: Any) -> dict[str, Any]:
    """Five hundred credits."""
    defaults = {"currency": "usd", "unit_amount": 3999, "product_data": {"name": "500 credits"}}
    return {"quantity": 1, "price_data": defaults | price}


FORM = (
    "mode=payment&success_url=https%3A%2F%2Fshop.example&line_items[0][quantity]=1&line_items[0][price_data][currency]"
    "=usd&line_items[0][price_data][unit_amount]=3999&line_items[0][price_data][product_data][name]=credits"
)


def extra(**values: str) -> str:
    """More of a form."""
    return "".join(f"&{name}={value}" for name, value in values.items())


@asynccontextmanager
async def a_desk(**values: Any) -> AsyncIterator[Desk]:
    """A stand-in at MOMENT, with its clients."""
    stand_in = StripeStandIn(clock=(clock := FixedClock()), **values)
    async with stand_in.open() as url:
        http = HTTPXClient(timeout=DEADLINE_S)
        authorization = {"Authorization": "Bearer sk_test_sample", "Content-Type": "application/x-www-form-urlencoded"}
        client = StripeClient("sk_test_sample", base_addresses={"api": url}, http_client=http, max_network_retries=0)
        try:
            async with httpx2.AsyncClient(base_url=url, headers=authorization, timeout=DEADLINE_S) as plain:
                yield Desk(stripe=stand_in, clock=clock, client=client, plain=plain)
        finally:
            await http.close_async()  # type: ignore[no-untyped-call]  # the library leaves it untyped


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - it happens inside the server, which has no event to wait for
            await asyncio.sleep(0.005)
