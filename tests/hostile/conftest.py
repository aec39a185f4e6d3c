"""One process for all tests of a file: it must survive every one of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import redis
from tests.apps.http.test_process import running
from tests.hostile.live import Service

from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing import a_merchant

if TYPE_CHECKING:
    from billing_adapters.embedded import EmbeddedServers


@pytest.fixture(scope="module")
def service(
    servers: "EmbeddedServers", _tidied: Any, _wait_for: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The HTTP process over empty servers, which know one merchant."""
    _wait_for(_tidied.tidy())
    redis_url = str(servers.urls.redis)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    _wait_for(_add_merchant(_tidied.url))
    urls = {
        "BILLING_DATABASE_URL": _tidied.url,
        "BILLING_REDIS_URL": redis_url,
        "BILLING_NATS_URL": str(servers.urls.nats),
    }
    with running(tmp_path_factory.mktemp("hostile"), **urls) as process:
        yield Service(process, process.url(), _tidied.url, redis_url)


async def _add_merchant(database_url: str) -> None:
    async with (
        open_database(
            database_url, pool_size=1, application_name="tests", every_merchant=True, patience=PATIENT
        ) as database,
        PostgresUnits(database)() as uow,
    ):
        await uow.merchants.add([a_merchant("merchant-1")])
        await uow.commit()
