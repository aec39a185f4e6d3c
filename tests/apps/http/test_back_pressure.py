"""More requests than the database can take: each is answered in time, and told when to come again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from tests.apps.http.door import assert_problem, open_door, signed, some_claims, some_settings

from billing_adapters.clock import SystemClock
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing import InMemoryBilling, a_merchant
from billing_http.app import create_app

POOL = 2
MANY = 60
HEARD_WITHIN_S = 6.0  # the promise is 2 s; the rest is for a machine that does other things too. Longer is a hang


@pytest.fixture
async def client(database: Database, database_url: str, redis_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The app on real servers with two connections to the database, and a merchant it knows."""
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([a_merchant("merchant-1")])
        await uow.commit()
    settings = some_settings(
        database_url=database_url,
        database_pool_size=POOL,
        redis_url=redis_url,
        nats_url="nats://127.0.0.1:1",
        platforms=("sandbox",),
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx2.ASGITransport(with_state)
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield client


def headers(number: int = 0) -> dict[str, str]:
    """The headers of a good request."""
    return {
        "Authorization": f"Bearer {signed(some_claims(SystemClock(), 'merchant-1'))}",
        "X-Platform": "sandbox",
        "Idempotency-Key": f"key-{number}",
    }


@asynccontextmanager
async def held(database_url: str) -> AsyncIterator[None]:
    """Somebody holds the merchant, so that whoever wants to change something waits with a connection in hand."""
    other: asyncpg.Connection[Any] = await asyncpg.connect(database_url)
    try:
        await other.execute("begin; select * from merchants for update")
        yield
    finally:
        await other.close()


async def test_a_drowned_pool_answers_everybody_in_time(client: httpx2.AsyncClient, database_url: str) -> None:
    """Whoever gets no connection, and whoever holds one that does not get on, is told to come again; nobody waits on,
    and nothing is a fault. Afterwards all is as before."""
    async with held(database_url):
        asked = [
            *(client.post("/api/billing/trials", headers=headers(each), json={}) for each in range(MANY // 2)),
            *(client.get("/api/billing", headers=headers()) for _ in range(MANY // 2)),
        ]
        async with asyncio.timeout(HEARD_WITHIN_S):
            answers = await asyncio.gather(*asked)

    for answer in answers[: MANY // 2]:
        assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)
    assert (await client.post("/api/billing/trials", headers=headers(), json={})).status_code == 201
    assert (await client.get("/api/billing", headers=headers())).status_code == 200


async def test_a_rush_is_answered_or_told_to_come_again(client: httpx2.AsyncClient) -> None:
    """Far more at once than connections: every answer is the right one or 503, and one trial began, however often it
    was asked for."""
    async with asyncio.timeout(4 * HEARD_WITHIN_S):
        answers = await asyncio.gather(
            *(client.post("/api/billing/trials", headers=headers(each), json={}) for each in range(2 * MANY)),
            *(client.get("/api/billing", headers=headers()) for _ in range(2 * MANY)),
        )

    once_more = await client.post("/api/billing/trials", headers=headers(2 * MANY), json={})

    tried, read = answers[: 2 * MANY], answers[2 * MANY :]
    assert {answer.status_code for answer in tried} <= {201, 409, 503}
    assert {answer.status_code for answer in read} <= {200, 503}
    assert [answer.status_code for answer in (*tried, once_more)].count(201) == 1
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)


async def test_whoever_would_wait_in_vain_is_told_at_once(billing: InMemoryBilling) -> None:
    """Nothing is done for a request that nobody would get to; health is told all the same."""
    async with open_door(billing, crowded=True) as door:
        before = door.stored()

        for answer in (await door.get("/api/billing"), await door.post("/api/billing/trials", {})):
            assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
            assert answer.headers["retry-after"] == "1"

        assert door.stored() == before
        assert (await door.get("/health/ready")).status_code == 200
