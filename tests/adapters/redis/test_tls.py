"""`rediss://`: the server's certificate is checked, ours is shown, and files that cannot work are refused at once."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from tests.certificates import Authority
from tests.redis_ensembles import DEADLINE_S, AnyRedis
from tests.tls_front import tls_in_front_of

from billing_adapters.redis.client import REDIS_FAILURES, RedisClient, is_up, open_redis
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.tls import CertificateFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whose certificates the server has, and accepts."""
    return Authority(tmp_path)


@pytest.fixture
def secured(server: Any, authority: Authority) -> Iterator[str]:
    """A URL of the real server behind TLS, which asks for a certificate."""
    start, _, port = server.url.removesuffix("/0").rpartition(":")
    with tls_in_front_of(int(port), authority.server(), client_ca=authority.ca) as front:
        yield f"{start.replace('redis://', 'rediss://')}:{front}/0"


def files(**given: Path) -> CertificateFiles:
    """Certificates of Redis."""
    return CertificateFiles(prefix="BILLING_REDIS", **given)


async def answers(url: str, certificates: CertificateFiles) -> bool:
    """Whether a client of ours gets an answer."""
    async with open_redis(url, certificates=certificates, timeout_s=5) as client:
        return await is_up(client)


async def test_with_the_right_certificates_it_answers(secured: str, authority: Authority) -> None:
    """Theirs is one we trust, and ours one they do."""
    mine = authority.client()

    assert await answers(secured, files(ca=authority.ca, cert=mine.cert, key=mine.key))


async def test_with_wrong_ones_nothing_is_sent(secured: str, authority: Authority, tmp_path: Path) -> None:
    """A server we do not trust, one of another name, no certificate of ours, and one of a stranger."""
    mine, strangers = authority.client(), Authority(tmp_path / "stranger")
    theirs = strangers.client()
    right = files(ca=authority.ca, cert=mine.cert, key=mine.key)

    outcomes = {
        "unknown authority": await answers(secured, files(cert=mine.cert, key=mine.key)),
        "another authority": await answers(secured, files(ca=strangers.ca, cert=mine.cert, key=mine.key)),
        "another name": await answers(secured.replace("127.0.0.1", "localhost"), right),
        "no certificate": await answers(secured, files(ca=authority.ca)),
        "a stranger's": await answers(secured, files(ca=authority.ca, cert=theirs.cert, key=theirs.key)),
        "in the clear": await answers(secured.replace("rediss://", "redis://"), files()),
    }

    assert outcomes == dict.fromkeys(outcomes, False)


async def test_certificates_without_tls_are_refused(authority: Authority) -> None:
    """Or they would be configured, and nothing be encrypted."""
    with pytest.raises(InvalidConfiguration, match="rediss://"):
        async with open_redis("redis://127.0.0.1:1", certificates=files(ca=authority.ca)):
            pass


async def test_a_file_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    """When opening, with its variable."""
    missing = tmp_path / "missing.pem"

    for given, variable in (({"ca": missing}, "CA_FILE"), ({"cert": authority.client().cert}, "KEY_FILE")):
        with pytest.raises(InvalidConfiguration, match=f"BILLING_REDIS_{variable}"):
            async with open_redis("rediss://127.0.0.1:1", certificates=files(**given)):
                pass


async def test_every_node_of_a_cluster_is_spoken_to_over_tls(redises: AnyRedis, authority: Authority) -> None:
    """The ones that are named, and those they name; without our certificate none of them answers."""
    cluster, mine = redises.of("cluster"), authority.client()
    with ExitStack() as closing:
        fronts = []
        for member in cluster.data_members:
            front = tls_in_front_of(cluster.port(member), authority.server(), client_ca=authority.ca)
            fronts.append(str(closing.enter_context(front)))
            cluster.ask(member, "CONFIG", "SET", "cluster-announce-port", fronts[-1])
            closing.callback(cluster.ask, member, "CONFIG", "SET", "cluster-announce-port", "0")
        url = f"rediss+cluster://:{cluster.password}@127.0.0.1:{fronts[0]}"
        async with open_redis(
            url, certificates=files(ca=authority.ca, cert=mine.cert, key=mine.key), timeout_s=5
        ) as ours:
            async with asyncio.timeout(DEADLINE_S):
                while not await _has_all(ours):  # noqa: ASYNC110 - nodes tell each other of their ports in their own time
                    await asyncio.sleep(0.05)
        stranger = await answers(url, files(ca=authority.ca))

    assert not stranger


async def _has_all(client: RedisClient) -> bool:
    try:
        found = [await client.set(f"billing:tls:{number}", "1") for number in range(20)]
    except REDIS_FAILURES:
        return False
    return all(found)


async def test_sentinels_are_asked_over_tls_and_so_is_whom_they_name(redises: AnyRedis, authority: Authority) -> None:
    """With the same certificates; a sentinel that does not know us tells nothing."""
    watched, mine = redises.of("sentinel"), authority.client()
    right = files(ca=authority.ca, cert=mine.cert, key=mine.key)
    with tls_in_front_of(watched.port("sentinel-1"), authority.server(), client_ca=authority.ca) as front:
        url = f"rediss+sentinel://:{watched.password}@127.0.0.1:{front}/billing?sentinel_password={watched.password}"
        async with open_redis(url, certificates=right, timeout_s=5) as client:
            pool = client.connection_pool if isinstance(client, Redis) else None
            assert isinstance(pool, SentinelConnectionPool)
            told = await pool.get_master_address()  # type: ignore[no-untyped-call]
        async with open_redis(url, certificates=files(ca=authority.ca), timeout_s=5) as nobody:
            refused = await is_up(nobody)

    assert told == ("127.0.0.1", watched.port(watched.primary()))
    assert issubclass(pool.connection_class, SSLConnection)
    assert pool.connection_kwargs["ssl_ca_certs"] == str(authority.ca)
    assert not refused
