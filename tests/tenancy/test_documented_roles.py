"""The roles of `docs/security.md`, made as the page says: each gets in and is what it is called, and nothing more."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from tests.documents.pages import Claim

CLAIMS = (Claim(page="docs/security.md", languages=("sql",)),)
MADE = re.compile(r"create role (\w+) login password '(.+)' in role (\w+);")


async def test_each_can_log_in_and_do_its_part(role_urls: Mapping[str, str], admin: Any) -> None:
    """With its password, reading purchases as its group may; and none may make roles."""
    (block,) = CLAIMS[0].blocks()
    made = MADE.findall(block.text)
    url = urlsplit(role_urls["admin"])
    try:
        await admin.execute(block.text)
        seen = {}
        for name, password, group in made:
            place = url.netloc.rpartition("@")[2]
            as_role = urlunsplit(url._replace(netloc=f"{name}@{place}"))
            connection = await asyncpg.connect(as_role, password=password)
            seen[group] = await connection.fetchval("select pg_has_role($1, 'member')", group)
            await connection.fetchval("select count(*) from purchases")
            await connection.close()
        above = await admin.fetchval(
            "select count(*) from pg_roles where rolname = any($1) and (rolsuper or rolcreaterole or rolbypassrls)",
            [name for name, _, _ in made],
        )
    finally:
        for name, _, _ in made:
            await admin.execute(f"drop role if exists {name}")

    assert len(made) == len(block.commands) == 4
    assert seen == dict.fromkeys(("billing_api", "billing_worker", "billing_migrator", "billing_readonly"), True)
    assert above == 0
