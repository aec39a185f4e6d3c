"""A client that gives up fast: nothing waits for Redis longer than for asking the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from billing_adapters.logs import get_logger
from billing_adapters.redis.refusals import CODE, refusal
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.tls import CertificateFiles

TIMEOUT_S = 0.25
MAX_CONNECTIONS = 10
NO_CERTIFICATES: Final = CertificateFiles(prefix="BILLING_REDIS")
# Whatever the client raises when Redis is away, slow, full or wrong.
REDIS_FAILURES: Final = (RedisError, OSError, TimeoutError)


@asynccontextmanager
async def open_redis(
    url: str, *, timeout_s: float = TIMEOUT_S, certificates: CertificateFiles = NO_CERTIFICATES
) -> AsyncIterator[Redis]:
    """This will give a client that connects when first used, so that it opens also when Redis is away. Connecting may
    take `timeout_s` seconds; how long a command may take is for whoever sends it to say: one that is cancelled gives
    its connection up. `certificates` are for `rediss://`.

    Raises InvalidConfiguration for a URL or certificates that can never work.
    """
    certificates.context()  # whether they can be used; the client reads them anew at every connection
    if certificates.any and not url.startswith("rediss://"):
        raise InvalidConfiguration("BILLING_REDIS_CA_FILE and _CERT_FILE are for TLS: write rediss://HOST:PORT")
    tls = {
        "ssl_ca_certs": certificates.ca,
        "ssl_certfile": certificates.cert,
        "ssl_keyfile": certificates.key,
    }
    try:
        pool = ConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            socket_timeout=None,  # a timer for every command, beside the sender's
            socket_connect_timeout=timeout_s,
            # By default a command is tried for some six seconds.
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
            # Asks every server on connecting for notices that stretch the time-outs above.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **{name: str(path) for name, path in tls.items() if path is not None},
        )
    except ValueError:  # it may tell a part of the password
        raise InvalidConfiguration(
            "BILLING_REDIS_URL: write redis://:PASSWORD@HOST:PORT/0 (rediss:// for TLS), "
            "with / ? # % in the password as %2F %3F %23 %25"
        ) from None
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


async def is_up(client: Redis) -> bool:
    """Whether Redis answers us now; one that refuses us does not, and why is logged."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await client.ping()
    except REDIS_FAILURES as failure:  # that is the answer
        if (why := refusal(failure)) is not None:
            get_logger("redis").warning("Redis refuses Billing", code=CODE, error=why)
        return False
    return True
