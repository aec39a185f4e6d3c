"""Live events: one merchant's, as they are published, until the client, NATS or the server goes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message
from tests.apps.http_pages.conftest import Pages

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import ensure_streams

DEADLINE_S = 20.0


class Client:
    """A browser's `EventSource`, as the server sees it."""

    def __init__(self, pages: Pages, merchant_id: str) -> None:
        self._pages, self._merchant_id = pages, merchant_id
        self._gone = asyncio.Event()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.headers: dict[str, str] = {}

    async def serve(self) -> None:
        """This will answer the request, as uvicorn would."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/development/events",
            "query_string": f"merchant={self._merchant_id}".encode(),
            "headers": [],
            "state": self._pages.state,
        }
        await self._pages.app(scope, self._receive, self._send)

    def leave(self) -> None:
        """This will close the connection."""
        self._gone.set()

    async def event(self) -> tuple[str, str]:
        """The next event's name and data; comments are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                lines = dict(line.split(": ", 1) for line in (await self._chunks.get()).decode().splitlines() if line)
                if "event" in lines:
                    return lines["event"], lines["data"]

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["body"]:
            await self._chunks.put(message["body"])


@asynccontextmanager
async def listening(pages: Pages, merchant_id: str) -> "AsyncIterator[tuple[Client, asyncio.Task[None]]]":
    """A client with its request under way; it leaves at the end."""
    client = Client(pages, merchant_id)
    serving = asyncio.create_task(client.serve())
    try:
        yield client, serving
    finally:
        client.leave()
        async with asyncio.timeout(DEADLINE_S):
            await serving


@pytest.fixture
async def nats(nats_url: str) -> AsyncIterator[NatsConnection]:
    """A connection to a server with Billing's stream."""
    async with open_nats(nats_url, name="tests") as connection:
        assert await connection.wait_connected(DEADLINE_S)
        await ensure_streams(connection, manage_all=False)
        yield connection


async def publish(nats: NatsConnection, merchant_id: str, number: int) -> None:
    """This will publish an event of the merchant."""
    event = {"specversion": "1.0", "id": f"{merchant_id}-{number}", "subject": merchant_id, "sequence": number}
    await nats.jetstream.publish("evt.billing.trial.started", json.dumps(event).encode())


async def numbers(client: Client, count: int) -> list[Any]:
    """The sequence numbers of the next events."""
    return [json.loads((await client.event())[1])["sequence"] for _ in range(count)]


def readers() -> list[str]:
    """The tasks that read from NATS for somebody."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("live events")]


class TestLiveEvents:
    """`GET /development/events`."""

    async def test_it_tells_one_merchants_events_old_and_new(self, nats: NatsConnection) -> None:
        """Those of the last hour first, then each as it comes; another merchant's never."""
        await publish(nats, "m-1", 1)
        await publish(nats, "m-2", 1)

        async with listening(Pages(nats=nats), "m-1") as (client, _):
            before = await numbers(client, 1)
            await nats.jetstream.publish("evt.billing.trial.started", b"no JSON")
            await publish(nats, "m-2", 2)
            await publish(nats, "m-1", 2)
            after = await numbers(client, 1)

        assert (before, after) == ([1], [2])
        assert client.headers["content-type"].startswith("text/event-stream")
        assert client.headers["cache-control"] == "no-store"

    async def test_it_ends_with_its_client(self, nats: NatsConnection) -> None:
        """Nothing goes on reading for somebody who left."""
        await publish(nats, "m-1", 1)

        async with listening(Pages(nats=nats), "m-1") as (client, _):
            await numbers(client, 1)
            during = readers()

        assert during == ["live events of m-1"]
        assert readers() == []

    async def test_it_ends_when_the_server_stops(self, nats: NatsConnection) -> None:
        """A page left open never holds up an orderly stop."""
        pages = Pages(nats=nats)
        await publish(nats, "m-1", 1)

        async with listening(pages, "m-1") as (client, serving):
            await numbers(client, 1)
            pages.drain.begin()
            async with asyncio.timeout(DEADLINE_S):
                await serving

        assert readers() == []

    async def test_without_nats_it_says_so_and_ends(self) -> None:
        """The page shows it, and its browser asks again by itself."""
        async with listening(Pages(nats=None), "m-1") as (client, serving):
            told = await client.event()
            async with asyncio.timeout(DEADLINE_S):
                await serving

        assert told[0] == "away"
