"""A process whose clock is wrong says so: it answers wrongly, and looks well to everybody else."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.support import PostgresSupport
from billing_core.use_cases.jobs import JobOutcome
from billing_worker.metrics import WorkerMetrics
from billing_worker.scheduling import Scheduling

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
    async def test_a_worker_measures_it(self, database_url: str, offset: timedelta) -> None:
        """`billing_clock_ahead_seconds` is what an alarm watches."""

        async def nothing_is_due() -> Sequence[JobOutcome]:
            return ()

        metrics, stop = WorkerMetrics(), asyncio.Event()
        metrics.clock_ahead_seconds.set(-1)
        async with open_database(
            database_url,
            pool_size=1,
            application_name="tests",
            every_merchant=True,
            now=lambda: datetime.now(UTC) + offset,
        ) as database:
            scheduling = Scheduling(
                run_due_jobs=nothing_is_due,  # type: ignore[arg-type]  # it is only called
                support=PostgresSupport(database),
                nats=NatsConnection("nats://127.0.0.1:1", name="tests"),
                metrics=metrics,
            )
            async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
                group.create_task(scheduling.run(stop))
                while metrics.registry.get_sample_value("billing_clock_ahead_seconds") == -1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                stop.set()

        told = metrics.registry.get_sample_value("billing_clock_ahead_seconds")
        assert told is not None
        assert round(told / 60) == offset.total_seconds() / 60
