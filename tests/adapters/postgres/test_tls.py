"""`sslmode=verify-full`: the pool, whoever listens and the migrations all check the server's certificate and name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest
from tests.certificates import Authority
from tests.tls_front import tls_in_front_of

from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import open_database
from billing_core.errors import StorageUnavailable

DEADLINE_S = 30.0


class Secured:
    """A database behind TLS that asks for a certificate, and the files one gets in with."""

    def __init__(self, url: str, port: int, authority: Authority) -> None:
        self._parts, self._port = urlsplit(url), port
        self.authority, self.mine = authority, authority.client()

    def url(self, *, host: str = "127.0.0.1", **changed: str | Path | None) -> str:
        """The URL, with `sslmode` and the files in it."""
        given: dict[str, str | Path | None] = {
            "sslmode": "verify-full",
            "sslrootcert": self.authority.ca,
            "sslcert": self.mine.cert,
            "sslkey": self.mine.key,
            **changed,
        }
        login = self._parts.netloc.rpartition("@")[0]
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return urlunsplit(self._parts._replace(netloc=f"{login}@{host}:{self._port}", query=query))


@pytest.fixture
def secured(database_url: str, tmp_path: Path) -> Iterator[Secured]:
    """The test's database behind TLS."""
    authority = Authority(tmp_path)
    port = urlsplit(database_url).port or 0
    with tls_in_front_of(port, authority.server(), client_ca=authority.ca, postgres=True) as front:
        yield Secured(database_url, front, authority)


async def answers(url: str) -> bool:
    """Whether a pool of ours gets an answer."""
    async with open_database(url, pool_size=1, application_name="tests", every_merchant=True) as database:
        try:
            await database.ping()
        except StorageUnavailable:
            return False
    return True


async def test_the_pool_and_the_listener_work(secured: Secured) -> None:
    """As they do in the clear."""
    heard, ended = asyncio.Event(), asyncio.Event()
    async with open_database(secured.url(), pool_size=2, application_name="tests", every_merchant=True) as database:
        await asyncio.gather(*(database.ping() for _ in range(8)))
        await database.listen("a_channel", heard=heard.set, ended=ended.set, timeout_s=DEADLINE_S)
        async with database.wire() as wire:
            await wire.command("notify a_channel")

        await asyncio.wait_for(heard.wait(), DEADLINE_S)


async def test_migrations_work(secured: Secured) -> None:
    """They have a connection of their own."""
    assert await migrations.current(secured.url()) == migrations.head()


async def test_with_wrong_certificates_nothing_is_sent(secured: Secured, tmp_path: Path) -> None:
    """A server we do not trust, one of another name, no certificate of ours, and one of a stranger."""
    strangers = Authority(tmp_path / "stranger")
    theirs = strangers.client()

    outcomes = {
        "another authority": await answers(secured.url(sslrootcert=strangers.ca)),
        "another name": await answers(secured.url(host="localhost")),
        "no certificate": await answers(secured.url(sslcert=None, sslkey=None)),
        "a stranger's": await answers(secured.url(sslcert=theirs.cert, sslkey=theirs.key)),
        "in the clear": await answers(secured.url(sslmode="disable")),
    }

    assert outcomes == dict.fromkeys(outcomes, False)
    assert await answers(secured.url())
