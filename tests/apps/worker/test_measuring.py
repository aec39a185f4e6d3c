"""How things stand is measured by one worker, told by it alone, and never by a scrape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
from prometheus_client import CollectorRegistry

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import CONSUMERS, MERCHANT_CREATED, ensure_consumers, ensure_streams
from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.figures import PostgresFigures
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.revisions import newest_revision
from billing_core.use_cases.jobs import JobReport, ScheduledJob
from billing_worker.measuring import Measuring
from billing_worker.metrics import TOLD_FOR_S, StandingMetrics

DEADLINE_S = 30
OLDEST = "billing_outbox_oldest_seconds"


class Idle:
    """A job that is never run here."""

    async def __call__(self, now: object = None) -> JobReport:
        return JobReport(done=0)


JOBS = [ScheduledJob(name=name, every=timedelta(minutes=1), run=Idle(), about="") for name in ("ran", "never-ran")]


def registry(metrics: StandingMetrics) -> CollectorRegistry:
    """Where Prometheus would look."""
    looked_at = CollectorRegistry()
    looked_at.register(metrics)
    return looked_at


def measuring(database: Database, metrics: StandingMetrics, nats: NatsConnection | None = None) -> Measuring:
    """A worker's measuring."""
    return Measuring(
        figures=PostgresFigures(database),
        nats=nats or NatsConnection("nats://127.0.0.1:1", name="tests"),
        jobs=JOBS,
        leadership=PostgresLeadership(database),
        metrics=metrics,
        every_s=0.02,
    )


@asynccontextmanager
async def running(*loops: Measuring) -> AsyncIterator[asyncio.Event]:
    """All of them, until the block ends."""
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        for loop in loops:
            tasks.create_task(loop.run(stop))
        yield stop
        stop.set()


async def told(looked_at: CollectorRegistry, name: str = OLDEST) -> float:
    """The figure, once it is told."""
    while (value := looked_at.get_sample_value(name)) is None:  # noqa: ASYNC110 - a figure, no event
        await asyncio.sleep(0.01)
    return value


async def test_what_waits_is_told(database: Database, database_url: str, nats_url: str) -> None:
    """Events, parked messages, reviews, jobs, the schema, and what NATS has for us."""
    await _fill(database_url)
    metrics = StandingMetrics()
    looked_at = registry(metrics)
    async with open_nats(nats_url, name="tests") as nats:
        await ensure_streams(nats, manage_all=True)
        await ensure_consumers(nats)
        await nats.jetstream.publish(MERCHANT_CREATED.subject, b"{}")
        async with running(measuring(database, metrics, nats)):
            await told(looked_at)
            ours = {"consumer": MERCHANT_CREATED.durable}
            while not looked_at.get_sample_value("billing_messages_pending", ours):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)  # what NATS says is told after what Postgres does
            seen = {
                (sample.name, *sample.labels.values()): sample.value
                for family in looked_at.collect()
                for sample in family.samples
            }

    assert seen["billing_outbox_unpublished",] == 2
    assert seen[OLDEST,] > 3599
    assert seen["billing_purchases_needing_review",] == 0
    assert seen["billing_parked_waiting", "billing-purchase-updated"] == 2
    assert seen["billing_parked_waiting", "billing-merchant-created"] == 0
    assert seen["billing_job_lag_seconds", "ran"] > 7199
    assert seen["billing_job_lag_seconds", "never-ran"] < seen["billing_job_lag_seconds", "ran"]
    assert seen["billing_job_interval_seconds", "ran"] == 60
    assert seen["billing_schema_database_revision",] == newest_revision()
    assert seen["billing_messages_pending", MERCHANT_CREATED.durable] == 1
    assert {name[1] for name in seen if name[0] == "billing_messages_pending"} == {plan.durable for plan in CONSUMERS}
    assert seen["billing_messages_given_up",] == 0


async def test_of_two_workers_one_tells(database: Database, database_url: str) -> None:
    """And when that one ends, the other does."""
    first, second = StandingMetrics(), StandingMetrics()
    async with open_database(database_url, pool_size=2, application_name="other", every_merchant=True) as other:
        stop_first, stop_second = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            one = tasks.create_task(measuring(database, first).run(stop_first))
            await told(registry(first))
            tasks.create_task(measuring(other, second).run(stop_second))
            for _ in range(20):  # now and then they take turns
                assert None in [registry(each).get_sample_value(OLDEST) for each in (first, second)]
                await asyncio.sleep(0.01)
            stop_first.set()
            await one
            silent = registry(first).get_sample_value(OLDEST)
            await told(registry(second))
            stop_second.set()

    assert silent is None


async def test_what_nobody_measured_since_is_not_told(database: Database) -> None:
    """A worker that cannot measure any more falls silent by itself: an old figure looks like a good one."""
    now_s = [0.0]
    metrics = StandingMetrics(lambda: now_s[0])
    metrics.tell(await PostgresFigures(database).read(), JOBS, running_for_s=0)

    fresh = registry(metrics).get_sample_value(OLDEST)
    now_s[0] = TOLD_FOR_S
    old = registry(metrics).get_sample_value(OLDEST)

    assert (fresh, old) == (0, None)


async def test_an_outage_is_waited_for(database_url: str) -> None:
    """Away at the start, the database is asked again; the loop goes on."""
    metrics = StandingMetrics()
    async with (
        open_database(
            "postgresql://nobody@127.0.0.1:1/none", pool_size=1, application_name="tests", every_merchant=True
        ) as away,
        running(measuring(away, metrics)),
    ):
        await asyncio.sleep(0.1)

        assert registry(metrics).get_sample_value(OLDEST) is None


async def _fill(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """
        insert into merchants (merchant_id, platform, platform_account_id, registered_at, event_sequence)
            values ('m-1', 'sandbox', 'a-1', now(), 3);
        insert into outbox (merchant_id, sequence, event_id, type, body, recorded_at, published_at) values
            ('m-1', 1, gen_random_uuid(), 'evt', '', now() - interval '2 hours', now()),
            ('m-1', 2, gen_random_uuid(), 'evt', '', now() - interval '1 hour', null),
            ('m-1', 3, gen_random_uuid(), 'evt', '', now(), null);
        insert into job_runs (job, finished_at) values ('ran', now() - interval '2 hours');
        insert into parked_messages (parked_id, source, message_id, subject, body, headers, reason, parked_at) values
            (gen_random_uuid(), 'billing-purchase-updated', '1', 's', '', '{}', 'r', now()),
            (gen_random_uuid(), 'billing-purchase-updated', '2', 's', '', '{}', 'r', now());
        insert into parked_messages (parked_id, source, message_id, subject, body, headers, reason, parked_at,
            replayed_at)
            values (gen_random_uuid(), 'billing-merchant-created', '3', 's', '', '{}', 'r', now(), now());
        """
    )
    await connection.close()
