"""A process whose clock is wrong says so: it answers wrongly, and looks well to everybody else."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.platforms import Platforms
from billing_adapters.postgres.database import open_database
from billing_adapters.prometheus.process import ProcessMetrics
from billing_adapters.prometheus.watching import watching
from billing_adapters.redis.client import open_redis
from billing_adapters.resources import Resources

DEADLINE_S = 20
OFFSETS = [timedelta(hours=1), timedelta(hours=-1), timedelta()]


class TestClocks:
    @pytest.mark.parametrize("offset", OFFSETS)
    async def test_a_sign_of_life_compares_the_clocks(self, database_url: str, offset: timedelta) -> None:
        """Whoever asks whether the database is there hears how far the clocks are apart, and warns above a second."""
        async with open_database(
            database_url,
            pool_size=1,
            application_name="tests",
            every_merchant=True,
            now=lambda: datetime.now(UTC) + offset,
        ) as database:
            with structlog.testing.capture_logs() as logged:
                await database.ping()

        assert round(database.clock_ahead_s / 60) == offset.total_seconds() / 60
        assert [each["event"] for each in logged] == (["clock.apart"] if offset else [])

    @pytest.mark.parametrize("offset", OFFSETS)
    async def test_every_process_measures_it(self, database_url: str, offset: timedelta) -> None:
        """`billing_clock_ahead_seconds` is what an alarm watches."""
        metrics = ProcessMetrics(CollectorRegistry(), app="worker")
        metrics.clock_ahead_seconds.set(-1)
        async with (
            open_database(
                database_url,
                pool_size=1,
                application_name="tests",
                every_merchant=True,
                now=lambda: datetime.now(UTC) + offset,
            ) as database,
            open_redis("redis://127.0.0.1:1/0") as redis,
        ):
            resources = Resources(
                database=database,
                redis=redis,
                nats=NatsConnection("nats://127.0.0.1:1", name="tests"),
                platforms=Platforms(by_name={}, refund_sources=()),
            )
            async with asyncio.timeout(DEADLINE_S), watching(resources, metrics):
                while not metrics.servers():  # noqa: ASYNC110 - what is watched for is a figure, not an event
                    await asyncio.sleep(0.01)

        told = metrics.registry.get_sample_value("billing_clock_ahead_seconds")
        assert told is not None
        assert round(told / 60) == offset.total_seconds() / 60
