"""Embedded servers as their tests look at them: what they hold, and which processes they are."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import redis.asyncio
from nats.js.errors import NotFoundError

from billing_adapters.embedded import ServerUrls

DEADLINE_S = 20.0
OWNER = """
import sys, json, pathlib
from billing_adapters.embedded import EmbeddedServers
servers = EmbeddedServers(pathlib.Path(sys.argv[1]), durable=False)
servers.start()
print(json.dumps(servers.pids()), flush=True)
sys.stdin.read()
"""


async def write_everywhere(urls: ServerUrls, value: str) -> None:
    """This will write the value to each server and return when each has acknowledged it."""
    url = present(urls)
    connection = await asyncpg.connect(url["postgres"])
    await connection.execute("create table if not exists kept (value text)")
    await connection.execute("insert into kept values ($1)", value)
    await connection.close()
    async with redis.asyncio.from_url(url["redis"]) as client:
        await client.set(value, value)
    messaging = await nats.connect(url["nats"])
    stream = messaging.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish(f"kept.{value}", value.encode())
    await messaging.close()


async def read_everywhere(urls: ServerUrls, value: str) -> dict[str, str | None]:
    """This will return what each server has of the value."""
    url = present(urls)
    row = await fetch_row(url["postgres"], "select max(value) as value from kept where value = $1", value)
    async with redis.asyncio.from_url(url["redis"], decode_responses=True) as client:
        found = await client.get(value)
    messaging = await nats.connect(url["nats"])
    message = None
    with contextlib.suppress(NotFoundError):  # the assertion shows the None
        message = await messaging.jetstream().get_last_msg("KEPT", f"kept.{value}")
    await messaging.close()
    return {
        "postgres": row["value"],
        "redis": found,
        "nats": message.data.decode() if message and message.data else None,
    }


async def fetch_row(url: str | None, query: str, *arguments: object) -> asyncpg.Record:
    """This will return the only row of a query, asked over a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(query, *arguments)
    finally:
        await connection.close()


async def ignore(_error: Exception) -> None:
    """This will drop an error that nats-py would print besides raising it."""


def present(urls: ServerUrls) -> dict[str, str]:
    """This will return the URLs by server name, which must all be there."""
    assert urls.postgres
    assert urls.redis
    assert urls.nats
    return {"postgres": urls.postgres, "redis": urls.redis, "nats": urls.nats}


def ports(urls: ServerUrls) -> dict[str, int]:
    """This will return the port of each server that has a URL."""
    given = {"postgres": urls.postgres, "redis": urls.redis, "nats": urls.nats}
    return {name: int(url.rpartition(":")[2].partition("/")[0]) for name, url in given.items() if url is not None}


def without_password(url: str) -> str:
    """This will take the password out of a URL, and the user too unless it is Postgres."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{'billing@' if scheme == 'postgresql' else ''}{rest.partition('@')[2]}"


def connects(port: int) -> bool:
    """This will tell whether somebody accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def an_owner(data: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """This will run another Python process that owns servers, and give its process and theirs."""
    command = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        yield owner, json.loads(owner.stdout.readline())
        owner.kill()


def family(pid: int) -> list[psutil.Process]:
    """This will return the process and all below it."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def is_alive(pid: int) -> bool:
    """This will tell whether the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(fact: Callable[[], bool]) -> None:
    """This will wait until the fact is so, and fail at the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline_s, "not so within the deadline"
        time.sleep(0.01)
