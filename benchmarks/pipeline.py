"""Rounds of a process that works off what stands in a stream or in the outbox: how long from its first act to its last
event, and whether it left behind what it should."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from benchmarks.stage import ROOT, Stage
from benchmarks.webhooks import open_streams
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_cli.local_service import clean_environment
from billing_cli.processes import AppProcess

LOOK_EVERY_S: Final = 0.004
WAIT_EVERY_S: Final = 0.02
TABLES: Final = ("merchants", "trials", "purchases", "archived_purchases", "payment_claims", "history", "outbox",
                 "inbox", "idempotency_keys", "parked_messages")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Left:
    """What a round added: rows by table, events by type in the stream, and how many of the outbox still wait."""

    rows: Mapping[str, int]
    events: Mapping[str, int]
    waiting: int


class Works:
    """One contestant's database and broker, as its rounds prepare and examine them."""

    def __init__(self, stage: Stage, database: Any, nats: NatsConnection) -> None:
        self.stage, self.database, self.nats = stage, database, nats

    @property
    def environment(self) -> dict[str, str]:
        """How a process reaches the servers."""
        urls = self.stage.urls
        return {
            "BILLING_DATABASE_URL": str(urls.postgres),
            "BILLING_REDIS_URL": str(urls.redis),
            "BILLING_NATS_URL": str(urls.nats),
            "BILLING_PLATFORMS": "sandbox",
        }

    async def first_delivery_at(self, worker: AppProcess, stream: str, consumer: str, after: int) -> datetime:
        """This will wait until more than `after` messages of the consumer were ever delivered, and say when the first
        of them was."""
        while (delivered := await self.delivered(stream, consumer))["consumer_seq"] <= after:
            _is_alive(worker)
            await asyncio.sleep(LOOK_EVERY_S)
        return _moment(delivered["last_active"])

    async def delivered(self, stream: str, consumer: str) -> dict[str, Any]:
        """How far the consumer is."""
        delivered: dict[str, Any] = (await self._ask(f"CONSUMER.INFO.{stream}.{consumer}"))["delivered"]
        return delivered

    async def last_event_at(self, worker: AppProcess, many: int) -> datetime:
        """This will wait until the stream BILLING has so many events, and say when the last one was stored."""
        while (state := (await self._ask("STREAM.INFO.BILLING"))["state"])["messages"] < many:
            _is_alive(worker)
            await asyncio.sleep(WAIT_EVERY_S)
        return _moment(state["last_ts"])

    async def all_acknowledged(self, worker: AppProcess, stream: str, consumer: str) -> None:
        """This will wait until nothing waits for the consumer or for its acknowledgement."""
        while True:
            _is_alive(worker)
            info = await self._ask(f"CONSUMER.INFO.{stream}.{consumer}")
            if not info["num_pending"] and not info["num_ack_pending"]:
                return
            await asyncio.sleep(WAIT_EVERY_S)

    async def all_marked(self, worker: AppProcess) -> None:
        """This will wait until no event of the outbox waits to be published."""
        while await self.database.fetchval("select exists (select from outbox where published_at is null)"):
            _is_alive(worker)
            await asyncio.sleep(WAIT_EVERY_S)

    async def events(self) -> Mapping[str, int]:
        """How many events of each type the stream has."""
        reply = await self._ask("STREAM.INFO.BILLING", {"subjects_filter": ">"})
        return dict(reply["state"].get("subjects") or {})

    async def acknowledged_at(self, stream: str, consumer: str) -> datetime:
        """When the consumer's last acknowledgement came."""
        return _moment((await self._ask(f"CONSUMER.INFO.{stream}.{consumer}"))["ack_floor"]["last_active"])

    async def events_so_far(self, worker: AppProcess, after: int) -> tuple[int, datetime]:
        """This will wait until the stream BILLING has more than `after` events, and say how many, and since when."""
        while (state := (await self._ask("STREAM.INFO.BILLING"))["state"])["messages"] <= after:
            _is_alive(worker)
            await asyncio.sleep(LOOK_EVERY_S)
        return int(state["messages"]), _moment(state["last_ts"])

    async def standing(self) -> Left:
        """Everything there is."""
        counts = ", ".join(f"(select count(*) from {table}) as {table}" for table in TABLES)  # noqa: S608 - our names
        row = await self.database.fetchrow(f"select {counts}")
        waiting = await self.database.fetchval("select count(*) from outbox where published_at is null")
        return Left(dict(row), await self.events(), waiting)

    async def _ask(self, question: str, document: Mapping[str, object] | None = None) -> dict[str, Any]:
        reply = await self.nats.client.request(f"$JS.API.{question}", json.dumps(document or {}).encode(), timeout=10)
        answer: dict[str, Any] = json.loads(reply.data)
        if "error" in answer:
            raise RuntimeError(f"{question}: {answer['error']}")
        return answer


@asynccontextmanager
async def works(stage: Stage) -> AsyncIterator[Works]:
    """This will connect to the stage's servers and make the streams."""
    connection = await asyncpg.connect(stage.urls.postgres_admin)
    try:
        async with open_nats(str(stage.urls.nats), name="bench") as nats:
            await open_streams(nats)
            yield Works(stage, connection, nats)
    finally:
        await connection.close()


async def seconds_of(stage: Stage, environment: Mapping[str, str], module: str, *arguments: str) -> float:
    """This will run a job in a process of its own and return how long it says it took. Raises RuntimeError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env={**clean_environment(), "PYTHONPATH": str(ROOT), **environment},
        cwd=stage.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        told, complaints = await process.communicate()
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}: {complaints.decode()[-2000:]}")
    return float(told.split()[-1])


def added(before: Left, after: Left) -> Left:
    """What came between."""
    return Left(_less(after.rows, before.rows), _less(after.events, before.events), after.waiting)


def check(found: Left, *, rows: Mapping[str, int], events: Mapping[str, int], waiting: int = 0) -> None:
    """Raises AssertionError where a round left anything else behind: then it did other work than was measured."""
    wanted = Left(rows, events, waiting)
    if found != wanted:
        raise AssertionError(f"left behind {found}, wanted {wanted}")


def _is_alive(worker: AppProcess) -> None:
    if worker.exit_code is not None:
        raise RuntimeError(f"{worker.name} ended with {worker.exit_code}: {worker.last_words()}")


def _less(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    differences = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: difference for name, difference in differences.items() if difference}


def _moment(told: str) -> datetime:
    """A moment as Go writes it, with nanoseconds."""
    whole, _, rest = told.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC) + timedelta(seconds=float(f"0.{rest or 0}"))
