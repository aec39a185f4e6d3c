"""Every statement of the adapters finds its rows by an index, on a database that has been in use.

The plans are those PostgreSQL makes for values it does not know yet: what a process that lives long ends up with. A
table counts as large whatever it holds, so a statement is judged by how it would do after years.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import asyncpg
import pytest
from benchmarks.past import write_past

from billing_adapters import platforms, postgres
from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres import migrations
from billing_adapters.postgres.statements import RowsWrite, Statement
from billing_adapters.postgres.tables import job_runs, metadata
from billing_core.domain.sales import SALES_KEYS

PURCHASES = 20_000
PURCHASES_PER_MERCHANT = 2  # so that merchants and trials are many, too
FEWEST_ROWS = 1000  # from here on an index is cheaper than the whole table
SMALL_TABLES = {
    job_runs.name,
    "alembic_version",
    "pg_authid",
}  # for each job or role a row, and one for the schema
# What row-level security adds to what is asked, for the tables' owner; it picks nothing for who may see everybody.
POLICY = re.compile(
    r"\(\(merchant_id = current_setting\('billing\.merchant_id'::text, true\)\) OR "
    r"COALESCE\(\(current_setting\('billing\.merchant_id'::text, true\) = '\*'::text\), false\)\)"
)

PARTIAL_INDEXES = {
    index.name
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}

# What operators ask, in a process for each question, is planned for the values they give; see the test below.
OPERATORS_ASK = {"parked._LIST_WAITING", "support._LIST", "support._OPEN"}
# What is asked about everything there is reads everything there is, but once.
ABOUT_EVERYTHING = {
    "reports._COUNT",
    *(f"reports._SALES[{by}]" for by in (None, *SALES_KEYS)),
    *(f"reports._TRIALS[{by}]" for by in (None, "platform", "day")),
}
# What is done once, after a shop has gone, may read a table; an index for it would be paid for by everybody else.
AFTER_A_SHOP = {
    "redactions._LOCK_MERCHANTS",
    *(f"redactions._RENAME_IN_BOOKS.{how}" for how in ("one", "many")),
    "redactions._GRANTS.many",  # on few rows; on many their key is used
    "redactions._PARKED.many",
}


def _written() -> Iterator[tuple[str, Statement]]:
    """Every statement the packages' modules hold, by its name."""
    for package in (postgres, platforms):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.startswith(f"{postgres.__name__}.migrations."):
                continue  # runs only when Alembic runs it
            name = module.name.rpartition(".")[-1]
            for variable, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, Statement):
                    yield f"{name}.{variable}", value
                elif isinstance(value, RowsWrite):
                    yield from ((f"{name}.{variable}.{how}", getattr(value, how)) for how in ("one", "many"))
                elif isinstance(value, dict) and any(isinstance(each, Statement) for each in value.values()):
                    yield from ((f"{name}.{variable}[{key}]", each) for key, each in value.items())


STATEMENTS = dict(_written())
Plan = Mapping[str, Any]
WaitFor = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="module")
def used_url(servers: EmbeddedServers, _wait_for: WaitFor) -> str:
    """A database with the past of many purchases."""
    url = f"{str(servers.urls.postgres).rpartition('/')[0]}/plans?sslmode=disable"
    _wait_for(_prepare(str(servers.urls.postgres), url))
    return url


@pytest.fixture(scope="module")
def plans(used_url: str, _wait_for: WaitFor) -> Mapping[str, Plan]:
    """The plan of every statement, by its name."""
    found: Mapping[str, Plan] = _wait_for(_plans(used_url, STATEMENTS))
    return found


def test_the_statements_are_found() -> None:
    """The list is read from the modules, so a new statement is tested without being named here."""
    assert len(STATEMENTS) > 50
    assert "sandbox_books._SELECT" in STATEMENTS


async def test_every_table_has_a_past(used_url: str) -> None:
    """A new table is not forgotten: on an empty one every plan looks good."""
    connection = await asyncpg.connect(used_url)
    counted = {name: await connection.fetchval(f"select count(*) from {name}") for name in metadata.tables}  # noqa: S608
    await connection.close()

    assert [name for name, rows in counted.items() if rows < FEWEST_ROWS and name not in SMALL_TABLES] == []


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - OPERATORS_ASK - ABOUT_EVERYTHING - AFTER_A_SHOP))
def test_no_statement_reads_a_whole_table(plans: Mapping[str, Plan], name: str) -> None:
    """An index leads to the rows it asks for, and to few others."""
    assert list(_whole_reads(plans[name])) == []


@pytest.mark.parametrize("name", sorted(ABOUT_EVERYTHING))
def test_a_report_reads_each_table_once(plans: Mapping[str, Plan], name: str) -> None:
    """From end to end, and never again for each merchant or day: nothing in the plan is done in a loop."""
    read = [node["Relation Name"] for node in _nodes(plans[name]) if "Relation Name" in node]

    assert sorted(read) == sorted(["trials"] if "_TRIALS" in name else ["archived_purchases", "purchases"])
    assert not {node["Node Type"] for node in _nodes(plans[name])} & {"Nested Loop", "CTE Scan"}


@pytest.mark.parametrize("name", sorted(AFTER_A_SHOP))
def test_what_is_done_after_a_shop_reads_a_table_once(plans: Mapping[str, Plan], name: str) -> None:
    """However many shops are gone at once."""
    read = [node["Relation Name"] for node in _nodes(plans[name]) if node["Node Type"] == "Seq Scan"]

    assert len(read) == 1
    assert "Nested Loop" not in {node["Node Type"] for node in _nodes(plans[name])}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("reports._PAGE", "archived_purchases_purchase_id_unique"),
        ("reports._PAGE", "purchases_purchase_id_unique"),
        ("grants._GRANTED", "credit_grants_by_actor"),
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
        ("outbox._UNPUBLISHED_OF_LANE", "outbox_unpublished"),
        ("outbox._MARK", "outbox_event_id_unique"),
        ("inbox._SEEN", "inbox_pk"),
        ("keys._LOCK", "idempotency_keys_pk"),
        ("records._PAGES[False]", "purchases_pk"),
        ("records.HISTORY", "history_pk"),
        ("housekeeping._PURGE_KEYS", "idempotency_keys_created"),
        ("housekeeping._PURGE_INBOX", "inbox_received"),
        ("support._FIND", "purchases_purchase_id_unique"),
        ("merchants._ADD_KNOWN_AGAIN", "trial_claims_pk"),
        ("privacy._HISTORY", "history_pk"),
        ("privacy._RECORDS", "privacy_records_of_merchant"),
        ("privacy._REDACTION_KEYS", "privacy_records_key"),
        ("redactions._PURCHASES.many", "purchases_purchase_id_unique"),
    ],
)
def test_the_index_made_for_it_is_used(plans: Mapping[str, Plan], name: str, index: str) -> None:
    """The predicate in the statement is the predicate of the index."""
    assert index in {node.get("Index Name") for node in _nodes(plans[name])}


async def test_purging_events_uses_the_index_made_for_it(used_url: str) -> None:
    """The statement is the function's body, which no plan of a caller shows."""
    connection = await asyncpg.connect(used_url)
    body = await connection.fetchval("select prosrc from pg_proc where proname = 'billing_purge_events'")
    text = body.replace("published_before", "$1").replace("limit most", "limit $2")
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare it (timestamptz, bigint) as {text}")
    plan = json.loads(await connection.fetchval("explain (format json) execute it (null, null)"))[0]["Plan"]
    await connection.close()

    assert "outbox_published" in {node.get("Index Name") for node in _nodes(plan)}
    assert list(_whole_reads(plan)) == []


@pytest.mark.parametrize(
    "name", ["records._PAGES[False]", "records._PAGES[True]", "reports._PAGE", "privacy._PURCHASES"]
)
def test_a_page_begins_where_the_one_before_ended(plans: Mapping[str, Plan], name: str) -> None:
    """The last page costs what the first one does."""
    tables = {"archived_purchases", "purchases"}
    conditions = [node.get("Index Cond", "") for node in _nodes(plans[name]) if node.get("Relation Name") in tables]
    assert conditions
    assert all(re.search("purchase_id [<>]", each) for each in conditions)


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("support._LIST", {"merchant_id": "'past-1'"}, "purchases_pk"),
        ("support._LIST", {"needs_review": "true"}, "purchases_to_review"),
        ("support._OPEN", {}, "purchases_to_expire"),
        ("support._OPEN", {"merchant_id": "'past-1'"}, "purchases_open"),
        ("parked._LIST_WAITING", {}, "parked_messages_waiting_once"),
    ],
)
async def test_an_operators_question_is_planned_for_its_values(
    used_url: str, name: str, values: Mapping[str, str], index: str
) -> None:
    """What is left open costs nothing, and what is asked leads to its index."""
    plan = (await _plans(used_url, {name: STATEMENTS[name]}, values={"limit": "50", **values}))[name]

    assert index in {node.get("Index Name") for node in _nodes(plan)}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("outbox._UNPUBLISHED", "outbox_unpublished"),
        ("trials._LOCK_DUE", "trials_due"),
        ("purchases._DUE_FOR_CHECK", "purchases_to_check"),
        ("purchases._ARCHIVE", "purchases_to_archive"),
        ("housekeeping._PURGE_INBOX", "inbox_received"),
    ],
)
async def test_a_missing_index_is_noticed(used_url: str, name: str, index: str) -> None:
    """Without it the statement reads a whole table, and the test above says so."""
    plan = (await _plans(used_url, {name: STATEMENTS[name]}, before=f"drop index {index}"))[name]

    assert list(_whole_reads(plan)) != []


async def test_every_index_is_needed(used_url: str, plans: Mapping[str, Plan]) -> None:
    """Each one leads some statement to its rows, or keeps something from happening twice."""
    connection = await asyncpg.connect(used_url)
    indexes = await connection.fetch(
        "select indexrelid::regclass::text as name from pg_index join pg_class on pg_class.oid = indrelid"
        " where relnamespace = 'public'::regnamespace and relname <> 'alembic_version' and not indisunique"
    )
    await connection.close()
    used = {node.get("Index Name") for plan in plans.values() for node in _nodes(plan)}

    assert {row["name"] for row in indexes} - used == set()


ONE_ROW = {"keys._LOCK", "merchants._LOCK", "trials._LOCK_CLAIM"}
LOCKING = [name for name, each in STATEMENTS.items() if re.search(r"FOR (NO KEY )?UPDATE", each.text)]
WAITING_INSERTS = [
    "inbox._RECORD",
    "merchants._ADD",
    "merchants._ADD_KNOWN_AGAIN",
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


async def _prepare(owner_url: str, url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("create database plans template template0 strategy wal_log")
    await owner.close()
    await migrations.upgrade(url)
    connection = await asyncpg.connect(url)
    await write_past(connection, PURCHASES, per_merchant=PURCHASES_PER_MERCHANT)
    await connection.close()


async def _plans(
    url: str, statements: Mapping[str, Statement], *, values: Mapping[str, str] | None = None, before: str = ""
) -> dict[str, Plan]:
    """The plans for any values, or for these (those left out are null); `before` is run first and undone."""
    connection = await asyncpg.connect(url)
    plans: dict[str, Plan] = {}
    try:
        await connection.execute(f"set plan_cache_mode = force_{'generic' if values is None else 'custom'}_plan")
        await connection.execute(f"begin; {before}")
        for name, statement in statements.items():
            await connection.execute(f"prepare it as {statement.text}")
            arguments = ", ".join((values or {}).get(each, "null") for each in statement.names)
            call = f"it ({arguments})" if arguments else "it"
            plans[name] = json.loads(await connection.fetchval(f"explain (format json) execute {call}"))[0]["Plan"]
            await connection.execute("deallocate it")
    finally:
        await connection.close()
    return plans


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _whole_reads(plan: Plan, *, limited: bool = False) -> Iterator[str]:
    """What of the plan reads a whole table, or an index from end to end. The first few in an index's own order are not
    that, and neither is all of an index that holds nothing but what is asked for."""
    kind, index = plan["Node Type"], plan.get("Index Name")
    limited = limited or kind == "Limit"
    if kind == "Seq Scan" and plan["Relation Name"] not in SMALL_TABLES:
        yield f"reads all of {plan['Relation Name']}"
    picks = re.search("[a-z]", POLICY.sub("", plan.get("Filter", ""))) is not None or kind == "Bitmap Index Scan"
    if index is not None and "Index Cond" not in plan and (picks or not (limited or index in PARTIAL_INDEXES)):
        yield f"reads all of {index}"
    for part in plan.get("Plans", ()):
        yield from _whole_reads(part, limited=limited)
