"""What `billing doctor` looks at, one small check after the other; a check that fails never hides the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from redis.asyncio import Redis
from sqlalchemy import func, literal_column, select

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import check_streams
from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.patience import PROMPT
from billing_adapters.postgres.statements import Statement
from billing_adapters.redis.client import REDIS_FAILURES
from billing_adapters.resources import open_resources
from billing_adapters.settings import DEVELOPMENT_SECRET, InvalidConfiguration, Settings, load_settings
from billing_cli.configuration import mask_url
from billing_cli.quiet import quiet_logs
from billing_core.errors import BillingError, InvalidCatalog, PublishingUnavailable

OLDEST_POSTGRES: Final = 18
MOST_CLOCK_OFFSET_S: Final = 1.0

_POSTGRES: Final = Statement(
    select(
        literal_column("current_setting('server_version')").label("version"),
        literal_column("current_setting('server_version_num')::int / 10000").label("major"),
        literal_column("current_setting('is_superuser') = 'on'").label("superuser"),
        literal_column("current_setting('fsync') = 'on'").label("fsync"),
        func.clock_timestamp().label("now"),
    )
)

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, and the remedy where there is something to mend."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str | None = None


async def examine() -> Sequence[Finding]:
    """This will check everything a deployment needs. Never raises for what it looks for: that is a finding."""
    quiet_logs()
    try:
        settings = load_settings()
    except InvalidConfiguration as wrong:
        return [_fail("configuration", str(wrong), "Mend the variables named; `.env.example` lists them all.")]
    findings = [_configuration(settings), _catalogue(settings), *_platforms(settings)]
    try:
        async with open_resources(settings, app="doctor", patience=PROMPT) as resources:
            findings += await _postgres(resources.database, settings)
            findings += await _redis(resources.redis, settings)
            findings += await _nats(resources.nats, settings)
    except InvalidConfiguration as wrong:
        findings.append(_fail("configuration", str(wrong), "Mend the variable named."))
    return findings


def _configuration(settings: Settings) -> Finding:
    if settings.signing_secret() == DEVELOPMENT_SECRET:
        remedy = "Fine for development only: everybody knows it. Set BILLING_JWT_SECRET."
        return _warn("configuration", f"{settings.env}; tokens are signed with the sample secret", remedy)
    return _ok("configuration", f"{settings.env}; platforms {', '.join(settings.platforms)}")


def _catalogue(settings: Settings) -> Finding:
    try:
        price_book = settings.load_price_book()
    except InvalidCatalog as wrong:
        return _fail("catalogue", str(wrong), "Mend the entry named, or unset BILLING_CATALOG.")
    names = ", ".join(catalog.version for catalog in price_book.versions)
    return _ok("catalogue", f"{settings.catalog or 'built in'}: {names}")


def _platforms(settings: Settings) -> Sequence[Finding]:
    given = {
        "shopify": (settings.shopify_token_url or settings.shopify_access_token, settings.shopify_client_secret),
        "stripe": (settings.stripe_secret_key, settings.stripe_webhook_secret),
    }
    variables = {
        "shopify": ("BILLING_SHOPIFY_TOKEN_URL or BILLING_SHOPIFY_ACCESS_TOKEN", "BILLING_SHOPIFY_CLIENT_SECRET"),
        "stripe": ("BILLING_STRIPE_SECRET_KEY", "BILLING_STRIPE_WEBHOOK_SECRET"),
    }
    findings = []
    for name in (each for each in settings.platforms if each in given):
        credentials, webhook_secret = given[name]
        if credentials is None:
            findings.append(_fail(name, "no credentials: every call is refused", f"Set {variables[name][0]}."))
        elif settings.webhook_door and webhook_secret is None:
            findings.append(_warn(name, "its webhook door is closed: no secret", f"Set {variables[name][1]}."))
        else:
            findings.append(_ok(name, "credentials are set"))
    return findings


async def _postgres(database: Database, settings: Settings) -> Sequence[Finding]:
    url = settings.database_url.get_secret_value()
    try:
        row = await database.row(_POSTGRES)
    except BillingError as away:
        remedy = f"Start PostgreSQL at {mask_url(url)}, or set BILLING_DATABASE_URL."
        return [_fail("postgres", str(away), remedy)]
    if row is None:
        return [_fail("postgres", "it answered nothing", "See its log.")]
    return [
        _version(row["version"], row["major"]),
        _role(settings, superuser=row["superuser"]),
        _durability(fsync=row["fsync"]),
        _clocks(row["now"]),
        await _schema(url),
    ]


def _version(version: str, major: int) -> Finding:
    if major < OLDEST_POSTGRES:
        return _fail("postgres", f"version {version}", f"Use PostgreSQL {OLDEST_POSTGRES} or later.")
    return _ok("postgres", f"version {version}")


def _role(settings: Settings, *, superuser: bool) -> Finding:
    if not superuser:
        return _ok("postgres role", "no superuser")
    remedy = "Give Billing a role of its own: create role billing login; alter database … owner to billing."
    verdict = _fail if settings.env == "production" else _warn
    return verdict("postgres role", "is superuser", remedy)


def _durability(*, fsync: bool) -> Finding:
    if fsync:
        return _ok("postgres durability", "fsync is on")
    return _warn("postgres durability", "fsync is off", "A crash of the machine may lose payments: set fsync = on.")


def _clocks(now: datetime) -> Finding:
    offset_s = abs((datetime.now(UTC) - now).total_seconds())
    if offset_s > MOST_CLOCK_OFFSET_S:
        detail = f"{offset_s:.1f} s apart from the database's"
        return _warn("clock", detail, "Run a time service (chrony, systemd-timesyncd) on both machines.")
    return _ok("clock", "agrees with the database's within a second")


async def _schema(url: str) -> Finding:
    try:
        at, pending = await migrations.current(url), tuple(await migrations.pending(url))
    except BillingError as trouble:
        return _fail("schema", str(trouble), "Run `billing db upgrade`.")
    if pending:
        return _fail("schema", f"at {at or 'nothing'}; {len(pending)} migration(s) wait", "Run `billing db upgrade`.")
    return _ok("schema", f"at {at}, the newest")


async def _redis(redis: Redis, settings: Settings) -> Sequence[Finding]:
    try:
        info = await redis.info("server", "memory")
    except REDIS_FAILURES as away:
        remedy = (
            f"Start Redis at {mask_url(settings.redis_url.get_secret_value())}, or set BILLING_REDIS_URL. "
            "Without it Billing answers correctly, only slower."
        )
        return [_warn("redis", f"does not answer: {away}", remedy)]
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory") and policy == "noeviction":
        remedy = "Set maxmemory-policy to allkeys-lru: what Billing keeps there may be forgotten."
        return [_warn("redis", f"version {info.get('redis_version')}; full memory refuses writes", remedy)]
    return [_ok("redis", f"version {info.get('redis_version')}")]


async def _nats(nats: NatsConnection, settings: Settings) -> Sequence[Finding]:
    try:
        await nats.ping()
    except PublishingUnavailable as away:
        remedy = f"Start NATS at {mask_url(settings.nats_url.get_secret_value())}, or set BILLING_NATS_URL."
        return [_fail("nats", str(away), f"{remedy} Until then events wait in the outbox.")]
    version = nats.client.connected_server_version
    answers = _ok("nats", f"version {version.major}.{version.minor}.{version.patch}")
    problems = await check_streams(nats)
    streams = [_fail("streams", problem, None) for problem in problems] or [_ok("streams", "as they should be")]
    # The setting is the server's own and shown to no client.
    sync = _ok("jetstream sync", "not visible from here; see that the server has `sync_interval: always`")
    return [answers, *streams, sync]


def _ok(check: str, detail: str) -> Finding:
    return Finding(check=check, verdict="ok", detail=detail)


def _warn(check: str, detail: str, remedy: str | None) -> Finding:
    return Finding(check=check, verdict="warn", detail=detail, remedy=remedy)


def _fail(check: str, detail: str, remedy: str | None) -> Finding:
    return Finding(check=check, verdict="fail", detail=detail, remedy=remedy)
