"""What `billing doctor` looks at in PostgreSQL: the server, its schema, and what waits there for somebody."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import func, literal_column, select

from billing_adapters.postgres import migrations
from billing_adapters.postgres.database import IS_UNBOUND, MOST_CLOCK_OFFSET_S, Database
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.support import PostgresSupport
from billing_adapters.postgres.wire import Record
from billing_adapters.settings import Settings
from billing_cli.configuration import mask_url
from billing_cli.findings import Finding, fail, grave, ok, warn
from billing_core.errors import BillingError

OLDEST_POSTGRES: Final = 18
# A relay publishes within a second. After half a minute something is wrong, after five minutes somebody must look.
OUTBOX_WARN_S: Final = 30.0
OUTBOX_FAIL_S: Final = 300.0
# A setting that makes an acknowledged commit disappear in a crash, and what it must not be.
_LOSES_COMMITS: Final = {
    "fsync": "A crash of the machine may lose payments: set fsync = on.",
    "full_page_writes": "A crash in the middle of a write may ruin a table: set full_page_writes = on.",
    "synchronous_commit": "A crash of the server loses what was acknowledged: set synchronous_commit = on.",
}

_POSTGRES: Final = Statement(
    select(
        literal_column("current_setting('server_version')").label("version"),
        literal_column("current_setting('server_version_num')::int / 10000").label("major"),
        IS_UNBOUND.label("unbound"),
        *(literal_column(f"current_setting('{name}')").label(name) for name in _LOSES_COMMITS),
        func.clock_timestamp().label("now"),
    )
)


async def examine_postgres(database: Database, settings: Settings) -> Sequence[Finding]:
    """This will check the server and what is in it. Never raises for what it looks for: that is a finding."""
    url = settings.database_url.get_secret_value()
    try:
        row = await database.row(_POSTGRES)
    except BillingError as away:
        remedy = f"Start PostgreSQL at {mask_url(url)}, or set BILLING_DATABASE_URL."
        return [fail("postgres", str(away), remedy)]
    if row is None:
        return [fail("postgres", "it answered nothing", "See its log.")]
    production = settings.env == "production"
    return [
        _version(row["version"], row["major"]),
        _role(unbound=row["unbound"], production=production),
        *_durability(row, production=production),
        _clocks(row["now"]),
        await _schema(url),
        *await _backlogs(PostgresSupport(database)),
        await _redaction(PostgresMerchantData(database), settings),
    ]


def _version(version: str, major: int) -> Finding:
    if major < OLDEST_POSTGRES:
        return fail("postgres", f"version {version}", f"Use PostgreSQL {OLDEST_POSTGRES} or later.")
    return ok("postgres", f"version {version}")


def _role(*, unbound: bool, production: bool) -> Finding:
    if not unbound:
        return ok("postgres role", "no superuser, and row-level security holds")
    remedy = "Give each process a role of its own: `billing db roles` makes them."
    return grave("postgres role", "is superuser, or has BYPASSRLS", remedy, production=production)


def _durability(row: Record, *, production: bool) -> Sequence[Finding]:
    off = [name for name in _LOSES_COMMITS if row[name] == "off"]
    if not off:
        return [ok("postgres durability", f"{', '.join(_LOSES_COMMITS)} are on")]
    return [grave("postgres durability", f"{name} is off", _LOSES_COMMITS[name], production=production) for name in off]


def _clocks(now: datetime) -> Finding:
    offset_s = abs((datetime.now(UTC) - now).total_seconds())
    if offset_s > MOST_CLOCK_OFFSET_S:
        detail = f"{offset_s:.1f} s apart from the database's"
        return warn("clock", detail, "Run a time service (chrony, systemd-timesyncd) on both machines.")
    return ok("clock", "agrees with the database's within a second")


async def _schema(url: str) -> Finding:
    try:
        at, pending = await migrations.current(url), tuple(await migrations.pending(url))
    except BillingError as trouble:
        return fail("schema", str(trouble), "Run `billing db upgrade`.")
    if pending:
        return fail("schema", f"at {at or 'nothing'}; {len(pending)} migration(s) wait", "Run `billing db upgrade`.")
    return ok("schema", f"at {at}, the newest")


async def _backlogs(support: PostgresSupport) -> Sequence[Finding]:
    try:
        backlog, parked = await support.unpublished_count_and_oldest(), await support.parked_count()
    except BillingError as trouble:
        return [fail("outbox", str(trouble), "Mend the schema first.")]
    return [_outbox(backlog.events, backlog.oldest_at), _parked(parked)]


async def _redaction(data: PostgresMerchantData, settings: Settings) -> Finding:
    try:
        used = await data.redaction_keys()
    except BillingError as trouble:
        return fail("redaction", str(trouble), "Mend the schema first.")
    pseudonyms = settings.pseudonyms
    if used - ({pseudonyms.key_id} if pseudonyms else set()):
        detail = "shops were redacted with another key than this one, and are not known again when they come back"
        return fail("redaction", detail, "Set BILLING_REDACTION_KEY to the key that was used.")
    if pseudonyms is None:
        remedy = "Set BILLING_REDACTION_KEY to what `openssl rand -base64 48` makes, and never change it."
        return warn("redaction", "no key: requests to redact a shop are parked", remedy)
    return ok("redaction", "its key is set" + (", and is the one that was used" if used else ""))


def _outbox(events: int, oldest_at: datetime | None) -> Finding:
    if oldest_at is None:
        return ok("outbox", "nothing waits to be published")
    age_s = (datetime.now(UTC) - oldest_at).total_seconds()
    detail = f"{events} event(s) wait to be published, the oldest for {age_s:.0f} s"
    if age_s < OUTBOX_WARN_S:
        return ok("outbox", detail)
    remedy = "See that a worker runs and reaches NATS (its log says `relay.waits`); or `billing jobs run relay-events`."
    return (fail if age_s > OUTBOX_FAIL_S else warn)("outbox", detail, remedy)


def _parked(waiting: int) -> Finding:
    if not waiting:
        return ok("parked", "no message waits for a person")
    remedy = "See `billing parked list`: mend the cause and `replay`, or `drop` with a reason."
    return warn("parked", f"{waiting} message(s) wait for a person", remedy)
