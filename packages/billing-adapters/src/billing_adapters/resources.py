"""The connections of one process: opened in order, closed in reverse, even when half of them were open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.permissions import CLI, DOOR, HTTP, WORKER, NatsUser
from billing_adapters.platforms import Platforms, open_platforms
from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT, Patience
from billing_adapters.redis.client import open_redis
from billing_adapters.settings import Settings
from billing_adapters.tls import CertificateFiles
from billing_adapters.tracing import open_tracing, spans_of_queries

if TYPE_CHECKING:
    from billing_adapters.opentelemetry.tracing import Tracing
    from billing_adapters.redis.client import RedisClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the adapters of one process share. `tracing` is None where no traces are exported."""

    database: Database
    redis: "RedisClient"
    nats: NatsConnection
    platforms: Platforms
    tracing: "Tracing | None" = None


@asynccontextmanager
async def open_resources(
    settings: Settings,
    *,
    app: str,
    patience: Patience = PATIENT,
    every_merchant: bool = False,
    traced: bool = False,
    nats_user: NatsUser | None = None,
) -> AsyncIterator[Resources]:
    """This will open Postgres, Redis, NATS and the payment platforms' clients, under the name `billing-{app}`; where it
    is to be `traced` and traces are configured, their exporter before all others.

    `patience` is how long Postgres is waited for, `every_merchant` is for who works for all of them, `nats_user` is as
    whom to come to NATS, if not as the app. None of the servers need be there: each connects when it can, and what
    needs it says so until then.

    Raises InvalidConfiguration for what can never work.
    """
    access = NatsAccess.of(settings, nats_user or nats_user_of(settings, app))
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(open_tracing(settings, app=app)) if traced else None
        database = await stack.enter_async_context(
            open_database(
                settings.database_url.get_secret_value(),
                pool_size=settings.database_pool_size,
                application_name=f"billing-{app}",
                patience=patience,
                every_merchant=every_merchant,
                queried=spans_of_queries(tracing),
            )
        )
        redis = await stack.enter_async_context(
            open_redis(settings.redis_url.get_secret_value(), certificates=redis_certificates(settings))
        )
        nats = await stack.enter_async_context(
            open_nats(settings.nats_url.get_secret_value(), name=f"billing-{app}", access=access)
        )
        platforms = await stack.enter_async_context(open_platforms(settings, database))
        yield Resources(database=database, redis=redis, nats=nats, platforms=platforms, tracing=tracing)


def nats_user_of(settings: Settings, app: str) -> NatsUser:
    """The user of NATS that an app is: `http` another one where it passes webhooks on."""
    if app == "http":
        return DOOR if settings.webhook_door or "sandbox" in settings.platforms else HTTP
    return WORKER if app == "worker" else CLI


def redis_certificates(settings: Settings) -> CertificateFiles:
    """The certificates for Redis."""
    return CertificateFiles(
        prefix="BILLING_REDIS", ca=settings.redis_ca_file, cert=settings.redis_cert_file, key=settings.redis_key_file
    )
