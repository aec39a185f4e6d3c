"""The real HTTP process on real servers, asked in raw bytes, and what it has stored."""

import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import redis
from tests.apps.http.test_process import Process, token

from billing_adapters.postgres.tables import metadata

DEADLINE_S = 20.0

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back: nothing at all where `status` is 0."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document; empty where it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return {}
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Service:
    """A running process and the servers it stores in. `merchant-1` is known to it."""

    process: Process
    url: str
    database_url: str
    redis_url: str

    def connect(self) -> socket.socket:
        """A new connection to it."""
        where = urlsplit(self.url)
        return socket.create_connection((str(where.hostname), int(where.port or 0)), DEADLINE_S)

    def ask(self, sent: bytes) -> Answer:
        """This will send the bytes on a connection of their own and read one answer."""
        with self.connect() as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough; what it said can be read
                connection.sendall(sent)
            return read_answer(connection)

    def is_well(self) -> bool:
        """Whether it answers a good request, and no fault of its own was logged."""
        answer = self.ask(request("GET", "/api/billing", good_headers()))
        log = self.process.log.read_text("utf-8")
        return answer.status == 200 and "request_failed" not in log and "Traceback" not in log

    async def stored(self) -> dict[str, int]:
        """How many rows each table has, and how many keys Redis."""
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = {
                name: await connection.fetchval(f'select count(*) from "{name}"')  # noqa: S608 - our own names
                for name in metadata.tables
            }
        finally:
            await connection.close()
        with redis.Redis.from_url(self.redis_url) as client:
            return {**rows, "redis": len(client.keys("*"))}


def good_headers(*, without: Sequence[str] = (), more: Fields = ()) -> list[tuple[str, str]]:
    """The headers of a good request, less those named and with more at the end."""
    good = [
        ("Host", "billing.test"),
        ("Authorization", f"Bearer {token()}"),
        ("X-Platform", "sandbox"),
        ("Idempotency-Key", "hostile"),
        ("Content-Type", "application/json"),
    ]
    return [*(each for each in good if each[0] not in without), *more]


def request(method: str, target: str, headers: Fields, body: bytes | None = None) -> bytes:
    """The bytes of a request, every part as it is; a body is announced with its length."""
    fields = [*headers, *([] if body is None else [("Content-Length", str(len(body)))])]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def read_answer(connection: socket.socket) -> Answer:
    """This will read one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := _piece(connection)):
            return Answer(0, {}, received)
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)) and (piece := _piece(connection)):
        body += piece
    return Answer(int(first.split(" ")[1]), headers, body)


def _piece(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
