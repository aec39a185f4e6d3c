"""The drill of docs/operations.md: an older backup is restored, and the streams bring back what it missed."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from nats.js.errors import NotFoundError
from tests.postgres_storage import PostgresStorage

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.embedded.binaries import find_programs
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.nats.streams import (
    CONSUMERS,
    MERCHANT_CREATED,
    PURCHASE_UPDATED,
    ConsumerPlan,
    ensure_consumers,
    ensure_streams,
)
from billing_adapters.nats.tail import tail
from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_core.messages import InboundMessage
from billing_core.testing import FixedClock, InMemoryBilling, a_merchant, a_merchant_created, a_purchase_updated
from billing_core.testing.scripted_platform import ScriptedPlatform
from billing_core.use_cases.consume_messages import ConsumeMessages, Handler
from billing_core.use_cases.relay_events import RelayEvents
from billing_worker.consuming import Consumption
from billing_worker.metrics import WorkerMetrics

DEADLINE_S = 60.0
KEPT = ("merchants", "purchases", "trials", "history", "outbox", "inbox", "payment_claims", "parked_messages")


@dataclass(kw_only=True)
class Town:
    """What outlives a database: the platform with its books, the streams, and the way to the server."""

    database_url: str
    admin_url: str
    connection: NatsConnection
    platform: ScriptedPlatform = field(default_factory=ScriptedPlatform)
    clock: FixedClock = field(default_factory=FixedClock)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def billing(self) -> AsyncIterator[InMemoryBilling]:
        """The processes: the real use cases on the database as it is now."""
        async with open_database(
            self.database_url, pool_size=4, application_name="drill", every_merchant=True, patience=PATIENT
        ) as database:
            storage: Any = PostgresStorage.over(database, self.numbers)
            yield InMemoryBilling(platforms=[self.platform], clock=self.clock, storage=storage)

    async def tell(self, *messages: InboundMessage) -> None:
        """This will put messages of other services into their streams."""
        for each in messages:
            await NatsMessageSender(self.connection).send(each.subject, each.body, each.headers)

    async def work(self, billing: InMemoryBilling) -> None:
        """This will consume both streams to their ends, as a worker does, and relay what there is to tell."""
        await self._consume(MERCHANT_CREATED, billing.register_merchants, billing)
        await self._consume(PURCHASE_UPDATED, billing.handle_webhooks, billing)
        storage = billing.storage
        publisher = NatsEventPublisher(self.connection)
        await RelayEvents(outbox=storage.outbox, publisher=publisher, leadership=storage.leadership, clock=self.clock)()

    async def published(self) -> Sequence[tuple[str, bytes]]:
        """Every event on the stream: its id and its body."""
        events = tail(self.connection, "evt.billing.>", since_s=3600, follow=False)
        return [(each.headers["Nats-Msg-Id"], each.body) async for each in events]

    async def reset_consumers(self) -> None:
        """This will have every message of the streams delivered again."""
        for plan in CONSUMERS:
            await self.connection.jetstream.delete_consumer(plan.stream, plan.durable)
        async with asyncio.timeout(DEADLINE_S):
            while not await self._made_again():
                pass

    async def _made_again(self) -> bool:
        try:
            return not await ensure_consumers(self.connection)
        except NotFoundError:
            return False

    async def _consume(self, plan: ConsumerPlan, handle: Handler, billing: InMemoryBilling) -> None:
        consumer = NatsConsumer(self.connection, stream=plan.stream, durable=plan.durable, subject=plan.subject)
        consume = ConsumeMessages(
            source=plan.durable, handle=handle, units=billing.storage.units, clock=self.clock, new_id=billing.new_id
        )
        consumption = Consumption(name=plan.durable, consumer=consumer, consume=consume, metrics=WorkerMetrics())
        async with asyncio.timeout(DEADLINE_S):
            while await consumer.pending():
                await consumption.handle(await consumer.fetch(100, 1.0))


@pytest.fixture
async def town(servers: EmbeddedServers, empty_database_url: str, nats_url: str) -> AsyncIterator[Town]:
    """A database with the newest schema and every stream."""
    await migrations.upgrade(empty_database_url)
    async with open_nats(nats_url, name="drill") as connection:
        await ensure_streams(connection, manage_all=True)
        await ensure_consumers(connection)
        admin = str(servers.urls.postgres_admin).rpartition("/")[0] + "/" + empty_database_url.rpartition("/")[2]
        yield Town(database_url=empty_database_url, admin_url=admin, connection=connection)


def back_up(url: str, to: Path) -> None:
    """This will dump the database while it is in use, as a superuser: nobody else sees every merchant's rows unasked,
    and a dump that lacks some must not be had by oversight."""
    _run("pg_dump", "--format=custom", f"--file={to}", url)


def restore(url: str, backup: Path) -> None:
    """This will put the database back to what the backup has."""
    _run("pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={url}", str(backup))


def _run(program: str, *arguments: str) -> None:
    path = Path(find_programs(frozenset({"postgres"}))["postgres"]).with_name(program)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr


async def counted(url: str) -> dict[str, int]:
    """How many rows each table has."""
    connection = await asyncpg.connect(url)
    try:
        return {name: await connection.fetchval(f"select count(*) from {name}") for name in KEPT}  # noqa: S608
    finally:
        await connection.close()


async def test_the_streams_bring_back_what_the_backup_missed(town: Town, tmp_path: Path) -> None:
    """Merchants announced and payments made after the backup are there again, each once and under the same event id;
    what the backup had is not touched, and another replay changes nothing."""
    merchants = [a_merchant(f"m-{number}") for number in range(1, 5)]
    async with town.billing() as billing:
        await town.tell(*(a_merchant_created(each) for each in merchants[:3]))
        await town.work(billing)
        callers = [await billing.register(each) for each in merchants[:3]]
        bought = [await billing.buy(caller) for caller in callers]
        references = [str(each.platform_reference) for each in bought]
        town.platform.pay(references[0])
        await town.tell(a_purchase_updated(references[0]))
        await town.work(billing)
        await asyncio.to_thread(back_up, town.admin_url, tmp_path / "backup")
        for reference in references[1:]:
            town.platform.pay(reference)
            await town.tell(a_purchase_updated(reference))
        await town.tell(a_merchant_created(merchants[3]))
        await town.work(billing)
    told, rows = await town.published(), await counted(town.database_url)

    await asyncio.to_thread(restore, town.database_url, tmp_path / "backup")
    missed = await counted(town.database_url)
    await town.reset_consumers()
    async with town.billing() as billing:
        await town.work(billing)
        back = await counted(town.database_url)
        await town.reset_consumers()
        await town.work(billing)
        statuses = [
            (await billing.read.purchase(caller, each.id)).status for caller, each in zip(callers, bought, strict=True)
        ]

    assert (missed["merchants"], missed["outbox"]) == (3, rows["outbox"] - 2)
    assert back == rows
    assert await counted(town.database_url) == rows
    assert statuses == ["completed"] * 3
    assert [event_id for event_id, _ in await town.published()] == [event_id for event_id, _ in told]
    assert len({event_id for event_id, _ in told}) == len(told) == rows["outbox"]
