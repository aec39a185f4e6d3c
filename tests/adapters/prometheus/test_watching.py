"""What every process measures beside its work."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.platforms import Platforms
from billing_adapters.postgres.database import open_database
from billing_adapters.prometheus.process import ProcessMetrics
from billing_adapters.prometheus.watching import watching
from billing_adapters.redis.client import open_redis
from billing_adapters.resources import Resources

DEADLINE_S = 30


@pytest.fixture
async def resources(database_url: str) -> AsyncIterator[Resources]:
    """Postgres is there; Redis and NATS are not."""
    async with (
        open_database(database_url, pool_size=2, application_name="tests", every_merchant=True) as database,
        open_redis("redis://127.0.0.1:1/0") as redis,
    ):
        nats = NatsConnection("nats://127.0.0.1:1", name="tests")
        yield Resources(database=database, redis=redis, nats=nats, platforms=Platforms(by_name={}, refund_sources=()))


async def told(metrics: ProcessMetrics, name: str) -> float:
    """The figure, once it is told and not 0."""
    async with asyncio.timeout(DEADLINE_S):
        while not (value := metrics.registry.get_sample_value(name)):  # noqa: ASYNC110 - a figure, no event
            await asyncio.sleep(0.01)
    return value


async def test_who_is_there_is_told(resources: Resources) -> None:
    """Of each server; with how late the loop is, and the pool as it is when it is looked at."""
    metrics = ProcessMetrics(CollectorRegistry(), app="worker")
    async with watching(resources, metrics):
        await told(metrics, "billing_event_loop_lag_seconds_count")
        before = metrics.beaten_at_s
        async with resources.database.wire():
            lent = metrics.registry.get_sample_value("billing_pool_connections", {"state": "lent"})
        async with asyncio.timeout(DEADLINE_S):
            while metrics.beaten_at_s == before:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)

    assert dict(metrics.servers()) == {"postgres": True, "redis": False, "nats": False}
    assert metrics.registry.get_sample_value("billing_server_up", {"server": "postgres"}) == 1
    assert metrics.registry.get_sample_value("billing_server_up", {"server": "nats"}) == 0
    assert lent == 1
    assert metrics.registry.get_sample_value("billing_pool_size") == 2


async def test_what_measures_may_fail_and_the_work_goes_on(resources: Resources) -> None:
    """The failure is in the log, with its traceback; nobody's request is lost for it."""

    class Broken(ProcessMetrics):
        def note_servers(self, answered: Mapping[str, bool]) -> None:
            raise ZeroDivisionError

    metrics = Broken(CollectorRegistry(), app="worker")
    with capture_logs() as logged:
        async with watching(resources, metrics):
            async with asyncio.timeout(DEADLINE_S):
                while not logged:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.01)
            lag = await told(metrics, "billing_event_loop_lag_seconds_count")

    (line,) = [each for each in logged if each["event"] == "watch.failed"]
    assert (line["what"], type(line["exc_info"])) == ("servers", ZeroDivisionError)
    assert lag > 0
