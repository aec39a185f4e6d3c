"""The database's roles: what each process may do, and nothing else (`billing db roles`).

| role | for |
|---|---|
| `billing_migrator` | owns every table; upgrades the schema |
| `billing_api` | the HTTP app: one merchant at a time; no row of history or outbox is ever changed by it |
| `billing_worker` | workers, operators: every merchant; history is only added to, an event only marked as published |
| `billing_readonly` | whoever looks: every merchant, no change |

They are groups: make a login for each process and grant it its role. `billing db upgrade` renews their rights.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from billing_adapters.postgres.database import asyncpg_url
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.refusals import translated
from billing_adapters.postgres.tables import metadata
from billing_core.errors import BillingError

MIGRATOR: Final = "billing_migrator"
API: Final = "billing_api"
WORKER: Final = "billing_worker"
READONLY: Final = "billing_readonly"
ROLES: Final = (MIGRATOR, API, WORKER, READONLY)

_ROWS = "select, insert, update"
# What each role may do with each table. The privilege to lock rows comes with the one to change any column of them.
GRANTS: Final[Mapping[str, Mapping[str, str]]] = {
    API: {
        "alembic_version": "select",
        "merchants": "select, update (event_sequence)",
        "trials": "select, insert",
        "trial_claims": "select, insert",
        "purchases": _ROWS,
        "archived_purchases": "select, delete",  # one that is asked for again comes back
        "payment_claims": "select, insert, update (purchase_id)",
        "history": "select, insert",
        "outbox": "select, insert",
        "idempotency_keys": _ROWS,
        "privacy_records": "select (key_id)",  # by which keys shops were redacted, and nothing of whom
        "sandbox_payments": "select, insert, update (reference)",
    },
    WORKER: {
        "alembic_version": "select",
        "merchants": _ROWS,
        "trials": _ROWS,
        "trial_claims": "select, insert, update, delete",  # moved, and put under other names
        "purchases": f"{_ROWS}, delete",  # by being archived
        "archived_purchases": f"{_ROWS}, delete",
        "payment_claims": "select, insert, update (purchase_id)",
        "credit_grants": "select, insert, update (reason)",
        "history": "select, insert",
        "outbox": "select, insert, update (published_at)",
        "inbox": "select, insert, update (received_at), delete",
        "idempotency_keys": f"{_ROWS}, delete",
        "parked_messages": _ROWS,
        "privacy_records": "select, insert",
        "job_runs": _ROWS,
        "sandbox_payments": "select, insert, update (reference, platform_account_id)",
    },
    READONLY: dict.fromkeys(("alembic_version", *metadata.tables), "select"),
}
# Who may have done what only the owner may, in the ways its functions do it.
_MAY_CALL: Final = {
    "billing_purge_events": (WORKER,),
    "billing_redact_history": (WORKER,),
    "billing_redact_events": (WORKER,),
    "billing_trial_is_claimed": (API, WORKER),
}
# Who sees every merchant whatever the setting says, and for which commands.
_SEES_EVERYBODY: Final = {WORKER: "all", READONLY: "select"}
_OF_MERCHANTS: Final = tuple(table.name for table in metadata.sorted_tables if "merchant_id" in table.c)
# Who upgraded the schema until now goes on doing so, and whoever hands a table over must be what it goes to.
_LOGINS: Final = """
    select quote_ident(rolname) as login from pg_catalog.pg_roles
    where rolname <> $1 and (
        rolname = current_user or oid = (select relowner from pg_catalog.pg_class where oid = to_regclass('merchants'))
    )
"""
_IS_HANDED_OVER: Final = """
    select exists (
        select from pg_catalog.pg_class join pg_catalog.pg_roles on pg_roles.oid = relowner
        where pg_class.oid = to_regclass('merchants') and rolname = $1
    )
"""
_LOCK_TIMEOUT: Final = "2s"  # how long a statement waits for a table
_TURN_TIMEOUT_S: Final = 60
_TURN: Final = 1651076207  # the number of the advisory lock of whoever gives rights
# What is as it should be: who owns a table and who has a policy are changed by nobody without taking the whole table.
_OWNED: Final = """
    select relname from pg_catalog.pg_class join pg_catalog.pg_roles on pg_roles.oid = relowner
    where relnamespace = current_schema()::regnamespace and rolname = $1
"""
_POLICIES: Final = """
    select policyname as name, tablename as of, roles::text[] as roles, lower(cmd) as commands
    from pg_catalog.pg_policies where schemaname = current_schema() and permissive = 'PERMISSIVE'
    and (policyname = 'of_every_merchant' or (qual = 'true' and with_check is null))
"""


class RolesRefused(BillingError):
    """The role we log in as may not make roles or hand tables over."""

    code = "ROLES_REFUSED"


@contextmanager
def _who_may_is_told() -> Iterator[None]:
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as refused:
        raise RolesRefused(
            f"{refused}: run `billing db roles` with BILLING_DATABASE_URL of a superuser, or of the tables' owner with "
            "CREATEROLE; --dry-run prints the statements for whoever may"
        ) from refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesReport:
    """Which roles were made, and every statement that was (or with a dry run would be) run."""

    created: Sequence[str]
    statements: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """Who sees every row of a table, and for which commands."""

    name: str
    of: str
    role: str
    commands: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is in place already."""

    owned: frozenset[str]
    policies: frozenset[_Policy]


async def create_roles(url: str, *, dry_run: bool = False) -> RolesReport:
    """This will make the roles that are missing, hand the tables to `billing_migrator`, and give every role its rights
    and no others; in one transaction, and safe to repeat: what is as it should be is left alone. The URL's role must
    be a superuser, or own the tables and be allowed to make roles.

    Raises RolesRefused where it may not, StorageUnavailable where there is no such database or no schema.
    """
    connection = await _connect(url)
    try:
        with translated, _who_may_is_told():
            async with connection.transaction():
                if not dry_run:
                    await _wait_for_turn(connection)
                missing = await _missing(connection)
                logins = [row["login"] for row in await connection.fetch(_LOGINS, MIGRATOR)]
                found = await _found(connection)
                statements = [*_made(missing, logins), *_handed_over(found), *_rights(found)]
                for statement in () if dry_run else statements:
                    await connection.execute(statement)
    finally:
        await connection.close(timeout=PATIENT.connect_s)
    return RolesReport(created=missing, statements=statements)


async def renew_rights(url: str) -> None:
    """This will give the roles their rights to what an upgrade has made; nothing where the database's owner has not
    handed its tables over to them yet. Raises as `create_roles` does."""
    connection = await _connect(url)
    try:
        with translated, _who_may_is_told():
            async with connection.transaction():
                await _wait_for_turn(connection)
                if await connection.fetchval(_IS_HANDED_OVER, MIGRATOR):
                    found = await _found(connection)
                    for statement in (*_handed_over(found), *_rights(found)):
                        await connection.execute(statement)
    finally:
        await connection.close(timeout=PATIENT.connect_s)


async def let_in(admin_url: str, role: str) -> str:
    """This will let one of the roles log in itself, with a new password, and return its URL: for development, where
    nobody makes logins. Raises ValueError for another role, StorageUnavailable."""
    if role not in ROLES:
        raise ValueError(f"not one of {', '.join(ROLES)}")
    password = secrets.token_urlsafe(24)
    connection = await _connect(admin_url)
    try:
        with translated:
            await connection.execute(f"alter role {role} login password '{password}'")
    finally:
        await connection.close(timeout=PATIENT.connect_s)
    place = urlsplit(admin_url)
    return urlunsplit(place._replace(netloc=f"{role}:{password}@{place.netloc.rpartition('@')[2]}"))


async def _connect(url: str) -> asyncpg.Connection:
    with translated:
        return await asyncpg.connect(
            asyncpg_url(url),
            timeout=PATIENT.connect_s,
            command_timeout=PATIENT.statement_s,
            server_settings={"application_name": "billing-roles", "lock_timeout": _LOCK_TIMEOUT},
        )


async def _missing(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("select rolname from pg_catalog.pg_roles where rolname = any($1)", list(ROLES))
    return [role for role in ROLES if role not in {row["rolname"] for row in rows}]


async def _found(connection: asyncpg.Connection) -> _Found:
    owned = await connection.fetch(_OWNED, MIGRATOR)
    policies = [dict(row) for row in await connection.fetch(_POLICIES)]
    return _Found(
        owned=frozenset(row["relname"] for row in owned),
        policies=frozenset(_Policy(role=",".join(row.pop("roles")), **row) for row in policies),
    )


async def _wait_for_turn(connection: asyncpg.Connection) -> None:
    """This will hold the turn until the transaction ends: of two that grant on one table at once one would fail."""
    await connection.execute(f"set local lock_timeout = '{_TURN_TIMEOUT_S}s'")
    await connection.execute(f"select pg_advisory_xact_lock({_TURN})", timeout=_TURN_TIMEOUT_S + PATIENT.statement_s)
    await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")


def _made(missing: Sequence[str], logins: Sequence[str]) -> Iterator[str]:
    for role in missing:
        yield f"create role {role} nologin nosuperuser nocreatedb nocreaterole nobypassrls noreplication"
    for login in logins:
        yield f"grant {MIGRATOR} to {login}"


def _handed_over(found: _Found) -> Iterator[str]:
    yield f"""do $$ begin
        execute format('grant create, usage on schema %I to {MIGRATOR}', current_schema());
        execute format('grant usage on schema %I to {API}, {WORKER}, {READONLY}', current_schema());
    end $$"""
    for table in (*metadata.tables, "alembic_version"):
        if table not in found.owned:
            yield f"alter table {table} owner to {MIGRATOR}"
    yield f"alter domain billing_caller owner to {MIGRATOR}"
    for function in _MAY_CALL:
        yield f"alter function {function} owner to {MIGRATOR}"
    for table in _OF_MERCHANTS:
        if _Policy(name="of_every_merchant", of=table, role=MIGRATOR, commands="all") not in found.policies:
            yield f"alter policy of_every_merchant on {table} to {MIGRATOR}"


def _rights(found: _Found) -> Iterator[str]:
    for role, grants in GRANTS.items():
        yield f"revoke all on {', '.join((*metadata.tables, 'alembic_version'))} from {role}"
        for table, privileges in grants.items():
            yield f"grant {privileges} on {table} to {role}"
    for function, callers in _MAY_CALL.items():
        yield f"grant execute on function {function} to {', '.join(callers)}"
    for policy in _policies():
        if policy not in found.policies:
            yield f"drop policy if exists {policy.name} on {policy.of}"
            yield f"create policy {policy.name} on {policy.of} for {policy.commands} to {policy.role} using (true)"


def _policies() -> Iterator[_Policy]:
    yield _Policy(name=f"of_{API}", of="privacy_records", role=API, commands="select")
    for role, commands in _SEES_EVERYBODY.items():
        for table in _OF_MERCHANTS:
            yield _Policy(name=f"of_{role}", of=table, role=role, commands=commands)
