"""One rate limit over several apps and processes on a real Redis, and what happens when it goes away.

The limit is one request a minute, so that what is earned while a test runs is at most one; a burst is what counts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from anyio import to_thread
from structlog.testing import capture_logs
from tests.apps.http.door import Door, open_door
from tests.apps.http.test_process import headers, running

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.client import open_redis
from billing_adapters.redis.shared_usage import RedisUsage
from billing_core.domain.rate_limits import RateLimit
from billing_core.testing import InMemoryBilling, a_merchant
from billing_core.use_cases.limit_requests import LimitRequests
from billing_http.rate_limits import RateLimits

BURST = 20
LIMIT = RateLimit(per_minute=1, burst=BURST)
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A Valkey that tests here may take away."""
    with EmbeddedServers(tmp_path_factory.mktemp("redis"), durable=False, which=frozenset({"redis"})) as running:
        yield running


class App:
    """An app of its own, with its own client of Redis and a clock of the process that stands still."""

    def __init__(self, door: Door, limiter: LimitRequests) -> None:
        self.door, self.limiter, self.limits = door, limiter, RateLimits(limiter)

    async def admitted(self, times: int) -> int:
        """How many of so many requests it answers with 200; all others are 429."""
        answers = await asyncio.gather(*(self.door.get("/api/billing") for _ in range(times)))
        assert {each.status_code for each in answers} <= {200, 429}
        return sum(each.status_code == 200 for each in answers)


@pytest.fixture
async def apps(own_redis: EmbeddedServers, billing: InMemoryBilling) -> AsyncIterator[list[App]]:
    """Two of them, asked by one merchant, on one Redis with nothing in it."""
    await to_thread.run_sync(own_redis.start_server, "redis")
    async with AsyncExitStack() as stack:
        opened = list[App]()
        for _ in range(2):
            client = await stack.enter_async_context(open_redis(own_redis.urls.redis or ""))
            await client.flushall()
            limiter = LimitRequests(limit=LIMIT, usage=RedisUsage(client, timeout_s=10), now_us=lambda: 10**9)
            door = await stack.enter_async_context(open_door(billing, limits=RateLimits(limiter)))
            door.token = opened[0].door.token if opened else door.token
            opened.append(App(door, limiter))
        yield opened
    await to_thread.run_sync(own_redis.start_server, "redis")


async def settle(apps: list[App]) -> None:
    """Each settles, twice: what the last one told the first hears with the second."""
    for app in [*apps, *apps]:
        await app.limiter.settle()


async def test_two_apps_share_one_limit(apps: list[App]) -> None:
    """What one admitted counts at the other. Until they settle it does not: that is the promised excess."""
    one, other = apps
    first = await one.admitted(BURST - 5)
    await settle(apps)
    unaware = await other.admitted(1)
    await settle(apps)

    rest = [await other.admitted(BURST), await one.admitted(BURST)]
    await settle(apps)
    afterwards = [await one.admitted(BURST), await other.admitted(BURST)]

    assert (first, unaware) == (BURST - 5, 1)
    assert rest in ([4, 4], [5, 4], [4, 5])  # both, as they did not settle in between; one more if a minute went by
    assert afterwards in ([0, 0], [0, 1], [1, 0])


async def test_at_worst_each_admits_a_burst_and_then_nobody_anything(apps: list[App]) -> None:
    """The most that is admitted too much, however many ask: it is owed afterwards."""
    at_once = [await app.admitted(3 * BURST) for app in apps]
    await settle(apps)

    refused = [await app.door.get("/api/billing") for app in apps]

    assert at_once == [BURST, BURST]
    assert [each.status_code for each in refused] == [429, 429]
    # A whole burst must be earned before the next one: 21 minutes, less what the test took.
    assert all(int(each.headers["retry-after"]) > (BURST - 1) * 60 for each in refused)


async def test_redis_killed_midway_leaves_each_with_the_limit(apps: list[App], own_redis: EmbeddedServers) -> None:
    """Nobody gets an error and nobody more than a burst from one app; it is said once; back, they share again."""
    one, other = apps
    with capture_logs() as lines:
        async with one.limits.kept_in_step(every_s=0.01, try_every_s=0.01):
            before = await one.admitted(5)
            await own_redis_is(own_redis, "stop_server")
            during = await one.admitted(5)
            await until(lambda: not one.limiter.is_shared)
            during += await one.admitted(BURST)
            await own_redis_is(own_redis, "start_server")
            await until(lambda: one.limiter.is_shared)
            while other.limiter.admit("another").is_admitted:
                pass
            await other.limiter.settle()
            afterwards = one.limiter.admit("another").is_admitted
            await until(lambda: not one.limiter.admit("another").is_admitted)
            left_to_one = one.limiter.admit("another").wait_us

    assert afterwards
    assert left_to_one > LIMIT.spacing_us  # what both admitted is owed, and not what this one admitted alone
    assert before + during == BURST
    told = [line["event"] for line in lines if line.get("part") == "rate_limits"]
    assert told == ["rate_limits.alone", "rate_limits.shared_again"]


async def own_redis_is(servers: EmbeddedServers, change: str) -> None:
    """This will stop or start the server."""
    await to_thread.run_sync(getattr(servers, change), "redis")


async def until(fact: Callable[[], bool]) -> None:
    """This will poll until the fact holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not fact():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def test_two_real_processes_share_one_limit(
    tmp_path: Path, database: Database, database_url: str, redis_url: str
) -> None:
    """What one process admitted, the other has heard of long before it admitted as much itself."""
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([a_merchant("merchant-1")])
        await uow.commit()
    environment = {
        "BILLING_DATABASE_URL": database_url,
        "BILLING_REDIS_URL": redis_url,
        "BILLING_NATS_URL": "nats://127.0.0.1:1",
        "BILLING_RATE_LIMIT_PER_MINUTE": "1",
        "BILLING_RATE_LIMIT_BURST": "300",
        "BILLING_METRICS_AUTH": "off",
    }
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], **environment) as first, running(folders[1], **environment) as second:
        urls = [await asyncio.to_thread(each.url) for each in (first, second)]
        async with (
            httpx2.AsyncClient(base_url=urls[0], timeout=60) as one,
            httpx2.AsyncClient(base_url=urls[1], timeout=60) as other,
        ):
            exhausted = [(await asks(one)).status_code for _ in range(301)]
            admitted, refused = 0, await asks(other)
            while refused.status_code == 200:
                admitted, refused = admitted + 1, await asks(other)
                await asyncio.sleep(0.05)
            metrics = [(await each.get("/metrics")).text for each in (one, other)]
            health = await other.get("/health")

    assert exhausted[:300] == [200] * 300
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert admitted < 300
    assert all("billing_http_rate_limits_shared 1.0" in each for each in metrics)
    assert health.json()["checks"]["redis"] == "up"


async def asks(client: httpx2.AsyncClient) -> httpx2.Response:
    """One request of the merchant."""
    return await client.get("/api/billing", headers=headers("none"))
