"""Every statement of the package fits the schema and finds its rows by an index."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from billing_adapters import postgres
from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres import migrations
from billing_adapters.postgres.statements import RowsWrite, Statement


def _written() -> Iterator[tuple[str, Statement]]:
    """Every statement the package's modules hold, by its name."""
    for module in pkgutil.iter_modules(postgres.__path__):
        held = vars(importlib.import_module(f"{postgres.__name__}.{module.name}"))
        for name, value in held.items():
            if isinstance(value, Statement):
                yield f"{module.name}.{name}", value
            elif isinstance(value, RowsWrite):
                yield from ((f"{module.name}.{name}.{how}", getattr(value, how)) for how in ("one", "many"))
            elif isinstance(value, dict) and any(isinstance(each, Statement) for each in value.values()):
                yield from ((f"{module.name}.{name}[{key}]", each) for key, each in value.items())


STATEMENTS = dict(_written())


@pytest.fixture(scope="module")
def never_used_url(servers: EmbeddedServers, _wait_for: Callable[[Coroutine[Any, Any, None]], None]) -> str:
    """A database no row was ever in: what other tests left in the statistics must not change the plans."""
    url = f"{str(servers.urls.postgres).rpartition('/')[0]}/plans?sslmode=disable"
    _wait_for(_prepare(str(servers.urls.postgres), url))
    return url


async def _prepare(owner_url: str, url: str) -> None:
    connection = await asyncpg.connect(owner_url)
    await connection.execute("create database plans template template0 strategy wal_log")
    await connection.close()
    await migrations.upgrade(url)


async def _plan(url: str, statement: Statement) -> str:
    """The plan for values not known yet, at a price for reading whole tables that no planner pays."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
        await connection.execute(f"prepare it as {statement.text}")
        arguments = f"({', '.join(['null'] * len(statement.names))})" if statement.names else ""
        rows = await connection.fetch(f"explain (costs off) execute it{arguments}")
    finally:
        await connection.close()
    return "\n".join(row[0] for row in rows)


def test_the_statements_are_found() -> None:
    """The list is read from the modules, so a new statement is tested without being named here."""
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_reads_a_whole_table(never_used_url: str, name: str) -> None:
    """The server accepts the statement, and an index leads to what it asks for."""
    plan = await _plan(never_used_url, STATEMENTS[name])

    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("purchases._OPEN_OF", "purchases_open"),
        ("purchases._DUE_FOR_CHECK", "purchases_to_check"),
        ("purchases._PAST_DEADLINE", "purchases_to_expire"),
        ("purchases._ARCHIVE", "purchases_to_archive"),
        ("purchases._LOCK", "purchases_purchase_id_unique"),
        ("purchases._SAVE.many", "purchases_purchase_id_unique"),
        ("purchases._REPLACE.one", "purchases_purchase_id_unique"),
        ("purchases._OWNERS", "payment_claims_pk"),
        ("trials._LOCK_DUE", "trials_due"),
        ("trials._LOCK_TO_REMIND", "trials_due"),
        ("trials._LOCK_RUNNING", "trials_one_active_per_merchant"),
        ("journal._HOLD", "merchants_pk"),
        ("outbox._UNPUBLISHED", "outbox_unpublished"),
        ("inbox._SEEN", "inbox_pk"),
        ("keys._LOCK", "idempotency_keys_pk"),
        ("records._PAGES[False]", "purchases_pk"),
        ("records.HISTORY", "history_pk"),
        ("housekeeping._PURGE_KEYS", "idempotency_keys_created"),
        ("housekeeping._PURGE_EVENTS", "outbox_published"),
        ("housekeeping._PURGE_INBOX", "inbox_received"),
        ("support._FIND", "purchases_purchase_id_unique"),
    ],
)
async def test_the_index_made_for_it_is_used(never_used_url: str, name: str, index: str) -> None:
    """The predicate in the statement is the predicate of the index."""
    plan = await _plan(never_used_url, STATEMENTS[name])

    assert re.search(rf"(using|Bitmap Index Scan on) {index}\b", plan), plan


ONE_ROW = {"keys._LOCK", "merchants._LOCK"}
LOCKING = [name for name, each in STATEMENTS.items() if re.search(r"FOR (NO KEY )?UPDATE", each.text)]
WAITING_INSERTS = [
    "inbox._RECORD",
    "merchants._ADD",
    "parked._ADD",
    "purchases._ADD.many",
    "purchases._CLAIM.many",
    "trials._ADD.many",
]


@pytest.mark.parametrize("name", sorted({*LOCKING, *WAITING_INSERTS} - ONE_ROW))
def test_many_rows_are_taken_in_one_order(name: str) -> None:
    """Two transactions that want the same rows never wait for each other in a ring.

    On the small tables of a test the planner happens to keep an order by itself, so this reads the statement.
    """
    assert re.search(r"ORDER BY [^)]*?(FOR (NO KEY )?UPDATE|ON CONFLICT|$)", STATEMENTS[name].text, re.DOTALL)
