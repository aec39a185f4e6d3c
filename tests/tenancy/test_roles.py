"""What each role of a deployment may do, and that it is enough: the apps run on these in `billing up`."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from tests.tenancy.neighbours import Neighbours

from billing_adapters.postgres import migrations, roles
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.tables import metadata
from billing_core.errors import StorageUnavailable

CHANGES = ("UPDATE", "DELETE", "TRUNCATE")
MAY = (
    "select has_table_privilege($1, $2, $3) or (case when $3 = 'UPDATE' then has_any_column_privilege($1, $2, $3) end)"
)
PROCESSES = (roles.API, roles.WORKER, roles.READONLY)


@pytest.mark.parametrize("role", PROCESSES)
async def test_no_process_changes_what_has_happened(role: str, role_urls: Mapping[str, str], admin: Any) -> None:
    """History is only added to. An event is only marked as published, by workers; nobody deletes one."""
    assert role in role_urls
    history = [change for change in CHANGES if await admin.fetchval(MAY, role, "history", change)]
    outbox = [change for change in CHANGES if await admin.fetchval(MAY, role, "outbox", change)]
    columns = [
        column.name
        for column in metadata.tables["outbox"].c
        if await admin.fetchval("select has_column_privilege($1, 'outbox', $2, 'UPDATE')", role, column.name)
    ]

    assert history == []
    assert outbox == (["UPDATE"] if role == roles.WORKER else [])
    assert columns == (["published_at"] if role == roles.WORKER else [])


@pytest.mark.parametrize("role", roles.ROLES)
async def test_no_role_is_more_than_it_should_be(role: str, role_urls: Mapping[str, str], admin: Any) -> None:
    """Not above row-level security, and no maker of roles or databases."""
    assert role in role_urls
    row = await admin.fetchrow(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles where rolname = $1",
        role,
    )

    assert set(row.values()) == {False}


async def test_nobody_but_workers_may_purge_events(role_urls: Mapping[str, str], admin: Any) -> None:
    """The function runs as the owner, so who may call it is its guard."""
    may = "select has_function_privilege($1, 'billing_purge_events(timestamptz, bigint)', 'EXECUTE')"

    assert {role: await admin.fetchval(may, role) for role in PROCESSES} == {
        roles.API: False,
        roles.WORKER: True,
        roles.READONLY: False,
    }
    assert role_urls.keys() >= set(PROCESSES)


async def test_every_table_is_somebodys_business(role_urls: Mapping[str, str], admin: Any) -> None:
    """A table that is added is granted to the workers and to those who look, and owned by the migrator."""
    assert roles.MIGRATOR in role_urls
    tables = [
        row["tablename"] for row in await admin.fetch("select tablename from pg_tables where schemaname = 'public'")
    ]

    assert set(tables) == {*metadata.tables, "alembic_version"}
    assert roles.GRANTS[roles.WORKER].keys() == set(tables)
    assert roles.GRANTS[roles.READONLY].keys() == set(tables)
    owners = await admin.fetch("select distinct tableowner from pg_tables where schemaname = 'public'")
    assert [row["tableowner"] for row in owners] == [roles.MIGRATOR]


async def test_those_who_look_see_everybody_and_change_nothing(
    role_urls: Mapping[str, str], neighbours: Neighbours
) -> None:
    """With psql, say, and without any setting."""
    connection = await asyncpg.connect(role_urls[roles.READONLY])
    try:
        seen = [row["merchant_id"] for row in await connection.fetch("select merchant_id from merchants order by 1")]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from merchants")
    finally:
        await connection.close()

    assert seen == [neighbours.mine.merchant.merchant_id, neighbours.theirs.merchant.merchant_id]


async def test_the_http_app_knows_with_which_keys_shops_were_redacted(role_urls: Mapping[str, str], admin: Any) -> None:
    """It does not start with another one; of whom it was, it is told nothing."""
    await admin.execute(
        "insert into privacy_records (record_id, at, what, platform, merchant_id, actor, reason, key_id)"
        " values (gen_random_uuid(), now(), 'redacted', 'shopify', 'm-1', 'a', '', 'k-1')"
    )
    async with open_database(role_urls[roles.API], pool_size=1, application_name="tests") as database:
        known = await PostgresMerchantData(database).redaction_keys()
    connection = await asyncpg.connect(role_urls[roles.API])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("select merchant_id from privacy_records")
    finally:
        await connection.close()

    assert known == {"k-1"}


async def test_making_them_again_changes_nothing(role_urls: Mapping[str, str]) -> None:
    """Safe to repeat, and a dry run tells what would be run without running it."""
    again = await roles.create_roles(role_urls["admin"])
    dry = await roles.create_roles(role_urls["admin"], dry_run=True)

    assert again.created == []
    assert dry.statements == again.statements


async def test_an_upgrade_goes_on_by_the_login_that_did_it_before(role_urls: Mapping[str, str]) -> None:
    """The owner until now may upgrade as ever, and the roles get their rights to what is new."""
    await migrations.upgrade(role_urls["owner"])

    assert await migrations.current(role_urls["owner"]) == migrations.head()


async def test_an_upgrade_taken_back_and_done_again_gives_the_same_rights(
    role_urls: Mapping[str, str], admin: Any
) -> None:
    """Owners, policies and privileges, to the letter."""
    before = await _rights(admin)
    await migrations.downgrade(role_urls["owner"], "0004")

    await migrations.upgrade(role_urls["owner"])

    assert await _rights(admin) == before


async def _rights(admin: Any) -> Mapping[str, set[tuple[Any, ...]]]:
    tables = "select relname, relowner::regrole::text, relacl::text from pg_class"
    named = ", ".join(f"'{name}'" for name in (*metadata.tables, "alembic_version"))
    questions = {
        "tables": f"{tables} where relkind = 'r' and relname in ({named})",
        "columns": "select attrelid::regclass::text, attname, attacl::text from pg_attribute where attacl is not null",
        "functions": "select proname, proowner::regrole::text, proacl::text from pg_proc where proname like 'billing%'",
        "policies": "select tablename, policyname, roles::text, cmd, qual from pg_policies",
        "domains": "select typname, typowner::regrole::text from pg_type where typname = 'billing_caller'",
    }
    return {name: {tuple(row) for row in await admin.fetch(asked)} for name, asked in questions.items()}


async def test_upgrades_at_once_renew_the_rights_one_after_the_other(role_urls: Mapping[str, str], admin: Any) -> None:
    """As several processes of a deployment do that begin with one: none of them fails."""
    before = await _rights(admin)

    await asyncio.gather(*(migrations.upgrade(role_urls["owner"]) for _ in range(8)))

    assert await _rights(admin) == before


async def test_renewed_rights_wait_for_nobody_who_reads(role_urls: Mapping[str, str], admin: Any) -> None:
    """What is as it should be is left alone: an upgrade with nothing to do takes no table from those who use it."""
    reading = admin.transaction()
    await reading.start()
    for table in metadata.tables:
        await admin.execute(f'select from "{table}" limit 1')

    await migrations.upgrade(role_urls["owner"])

    await reading.rollback()


async def test_rights_that_were_changed_are_put_right(role_urls: Mapping[str, str], admin: Any) -> None:
    """Owners, policies and privileges, each by itself."""
    await admin.execute("alter table purchases owner to postgres")
    await admin.execute("drop policy of_billing_worker on trials")
    await admin.execute("drop policy of_billing_readonly on trials")
    await admin.execute("create policy of_billing_readonly on trials for all to billing_readonly using (true)")
    await admin.execute("alter policy of_every_merchant on trials to public")
    await admin.execute("grant update on history to billing_api")

    await roles.create_roles(role_urls["admin"])

    found = await admin.fetch("select policyname, roles, cmd from pg_policies where tablename = 'trials' order by 1")
    assert [tuple(each) for each in found if each["policyname"] != "of_one_merchant"] == [
        ("of_billing_readonly", [roles.READONLY], "SELECT"),
        ("of_billing_worker", [roles.WORKER], "ALL"),
        ("of_every_merchant", [roles.MIGRATOR], "ALL"),
    ]
    assert await admin.fetchval("select tableowner from pg_tables where tablename = 'purchases'") == roles.MIGRATOR
    assert not await admin.fetchval(MAY, roles.API, "history", "UPDATE")


async def test_who_may_not_make_roles_is_told_who_may(role_urls: Mapping[str, str]) -> None:
    """An ordinary login is refused with what to do."""
    with pytest.raises(roles.RolesRefused, match="superuser"):
        await roles.create_roles(role_urls[roles.WORKER])


async def test_without_a_schema_there_is_nothing_to_give(empty_database_url: str, servers: Any) -> None:
    """First the upgrade, then the roles."""
    admin = str(servers.urls.postgres_admin).rpartition("/")[0] + "/" + empty_database_url.rpartition("/")[2]
    with pytest.raises(StorageUnavailable, match="billing db upgrade"):
        await roles.create_roles(admin)


async def test_only_our_own_roles_are_let_in(role_urls: Mapping[str, str]) -> None:
    """A password is given to no other role."""
    with pytest.raises(ValueError, match="billing_api"):
        await roles.let_in(role_urls["admin"], "postgres")
