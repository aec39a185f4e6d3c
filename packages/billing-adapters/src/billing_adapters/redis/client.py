"""A client that gives up fast: nothing waits for Redis longer than for asking the database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias

from redis.asyncio import ConnectionPool, Redis, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from billing_adapters.logs import get_logger
from billing_adapters.redis.cluster import BillingCluster
from billing_adapters.redis.places import RedisPlaces, places_of
from billing_adapters.redis.refusals import CODE, refusal
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.tls import CertificateFiles

TIMEOUT_S = 0.25
MAX_CONNECTIONS = 10
NO_CERTIFICATES: Final = CertificateFiles(prefix="BILLING_REDIS")
# Whatever the client raises when Redis is away, slow, full or wrong.
REDIS_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)

RedisClient: TypeAlias = Redis | BillingCluster


@asynccontextmanager
async def open_redis(
    url: str, *, timeout_s: float = TIMEOUT_S, certificates: CertificateFiles = NO_CERTIFICATES
) -> AsyncIterator[RedisClient]:
    """This will give a client that connects when first used, so that it opens also when Redis is away: to one server,
    to the primary that sentinels name (`redis+sentinel://`), or to a cluster (`redis+cluster://`). Connecting may take
    `timeout_s` seconds; how long a command may take is for whoever sends it to say: one that is cancelled gives its
    connection up. `certificates` are for `rediss://` and the like.

    Raises InvalidConfiguration for a URL or certificates that can never work.
    """
    certificates.context()  # whether they can be used; the client reads them anew at every connection
    if certificates.any and not url.startswith("rediss"):
        raise InvalidConfiguration("BILLING_REDIS_CA_FILE and _CERT_FILE are for TLS: write rediss://HOST:PORT")
    options = _options(timeout_s, certificates)
    async with AsyncExitStack() as closing:
        places = places_of(url)
        if places is None:
            client: RedisClient = _single(url, options)
        elif places.kind == "cluster":
            client = _cluster(places, options)
        else:
            sentinel = _sentinel(places, options, timeout_s)
            closing.push_async_callback(sentinel.aclose)
            client = sentinel.master_for(places.service)
        closing.push_async_callback(client.aclose)
        yield client


def _options(timeout_s: float, certificates: CertificateFiles) -> dict[str, Any]:
    tls = {
        "ssl_ca_certs": certificates.ca,
        "ssl_certfile": certificates.cert,
        "ssl_keyfile": certificates.key,
    }
    return {
        "max_connections": MAX_CONNECTIONS,
        "socket_timeout": None,  # a timer for every command, beside the sender's
        "socket_connect_timeout": timeout_s,
        # By default a command is tried for some six seconds.
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        # Asks every server on connecting for notices that stretch the time-outs above.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        **{name: str(path) for name, path in tls.items() if path is not None},
    }


def _single(url: str, options: Mapping[str, Any]) -> Redis:
    try:
        return Redis.from_pool(ConnectionPool.from_url(url, **options))
    except ValueError:  # it may tell a part of the password
        raise InvalidConfiguration(
            "BILLING_REDIS_URL: write redis://:PASSWORD@HOST:PORT/0 (rediss:// for TLS; redis+sentinel:// and "
            "redis+cluster:// for several hosts), with / ? # % in the password as %2F %3F %23 %25"
        ) from None


def _sentinel(places: RedisPlaces, options: Mapping[str, Any], timeout_s: float) -> Sentinel:
    # They are asked one after the other at every connection, and one that is silent must leave time for the others.
    each_s = timeout_s / len(places.hosts)
    asking = {
        **options,
        "ssl": places.tls,
        "username": places.sentinel_username,
        "password": places.sentinel_password,
        "socket_timeout": each_s,
        "socket_connect_timeout": each_s,
    }
    login = {"username": places.username, "password": places.password, "db": places.db, "ssl": places.tls}
    return Sentinel(  # type: ignore[no-untyped-call]
        places.hosts, sentinel_kwargs=asking, **{**options, **login}
    )


def _cluster(places: RedisPlaces, options: Mapping[str, Any]) -> BillingCluster:
    nodes = [ClusterNode(host, port) for host, port in places.hosts]
    return BillingCluster(
        startup_nodes=nodes,
        # What one node has and nobody else is missed by itself.
        require_full_coverage=False,
        username=places.username,
        password=places.password,
        ssl=places.tls,
        **options,
    )


async def is_up(client: RedisClient) -> bool:
    """Whether Redis answers us now; one that refuses us does not, and why is logged."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await client.ping()
    except REDIS_FAILURES as failure:  # that is the answer
        if (why := refusal(failure)) is not None:
            get_logger("redis").warning("Redis refuses Billing", code=CODE, error=why)
        return False
    return True
