"""The real HTTP process on real servers, a merchant of each test's own, and both kinds of client."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import pytest
import redis
from anyio.from_thread import BlockingPortal
from tests.apps.http.door import signed, some_claims
from tests.apps.http.test_process import running

from billing_adapters.clock import SystemClock
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_client import AsyncBillingClient, BillingClient, Purchase
from billing_core.testing import a_merchant

if TYPE_CHECKING:
    from billing_adapters.embedded import EmbeddedServers

_numbers = itertools.count(1)


def token(merchant_id: str, **claims: Any) -> str:
    """A token for the merchant, good now."""
    return signed(some_claims(SystemClock(), merchant_id, **{"iss": "billing-development", **claims}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running process that knows every merchant made here."""

    url: str
    add: Callable[[str, str], None]

    def merchant(self, platform: str = "sandbox") -> str:
        """A new merchant's id."""
        merchant_id = f"client-{next(_numbers)}"
        self.add(merchant_id, platform)
        return merchant_id


@pytest.fixture(scope="module")
def service(
    servers: "EmbeddedServers", _tidied: Any, _wait_for: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The HTTP process over empty servers, for all tests of a file."""
    _wait_for(_tidied.tidy())
    with redis.Redis.from_url(str(servers.urls.redis)) as client:
        client.flushall()
    environment = {
        "BILLING_DATABASE_URL": _tidied.url,
        "BILLING_REDIS_URL": str(servers.urls.redis),
        "BILLING_NATS_URL": str(servers.urls.nats),
        "BILLING_PLATFORMS": "sandbox,shopify",
    }
    with running(tmp_path_factory.mktemp("client"), **environment) as process:
        yield Service(url=process.url(), add=lambda *merchant: _wait_for(_add(_tidied.url, *merchant)))


@pytest.fixture
def merchant_id(service: Service) -> str:
    """A merchant of this test alone, on the sandbox."""
    return service.merchant()


@pytest.fixture(params=["sync", "async"])
def open_client(request: pytest.FixtureRequest, service: Service) -> Iterator[Callable[..., Any]]:
    """Makes a client of the service, of either kind; the async one is waited for. All are closed at the end."""
    with anyio.from_thread.start_blocking_portal() as portal:
        opened: list[Any] = []

        def open_one(merchant_id: str, **options: Any) -> Any:
            platform, claims = options.get("platform", "sandbox"), options.pop("claims", {})
            asked = {
                "base_url": service.url,
                "token": token(merchant_id, **{"platform": platform, **claims}),
                "platform": platform,
                **options,
            }
            kind = BillingClient if request.param == "sync" else lambda **more: Waiting(portal, **more)
            opened.append(kind(**asked))
            return opened[-1]

        yield open_one
        for each in opened:
            each.close()


class Waiting:
    """An async client whose calls are waited for: so one test speaks of both kinds."""

    def __init__(self, portal: BlockingPortal, **options: Any) -> None:
        self._portal = portal
        self._client = AsyncBillingClient(**options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of the client."""
        method = getattr(self._client, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await method(*arguments, **named)

        return lambda *arguments, **named: self._portal.call(lambda: call(*arguments, **named))

    def __repr__(self) -> str:
        return repr(self._client)

    def iter_purchases(self, **named: Any) -> list[Purchase]:
        """Everything the client's iterator yields."""

        async def collect() -> list[Purchase]:
            return [purchase async for purchase in self._client.iter_purchases(**named)]

        return self._portal.call(collect)

    def close(self) -> None:
        """This will close it."""
        self._portal.call(self._client.aclose)


async def _add(database_url: str, merchant_id: str, platform: str) -> None:
    async with (
        open_database(
            database_url, pool_size=1, application_name="tests", every_merchant=True, patience=PATIENT
        ) as database,
        PostgresUnits(database)() as uow,
    ):
        await uow.merchants.add([a_merchant(merchant_id, platform=platform)])
        await uow.commit()
