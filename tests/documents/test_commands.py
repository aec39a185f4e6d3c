"""Every command that a sentence on a page names is one: its name, its options and what they take."""

import re
import shlex
from typing import Any

import asyncpg
import pytest
from nats.js.errors import NotFoundError
from tests.documents.commands import OURS, faults_of, is_command
from tests.documents.pages import PAGES, Inline, inline_of

from billing_adapters.nats.advisories import ensure_advisories
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import CONSUMERS

EVERYWHERE = [each for page in PAGES for each in inline_of(page)]
COMMANDS = [each for each in EVERYWHERE if is_command(each.text)]
SQL = [each for each in EVERYWHERE if re.match(r"(select|insert|update|delete|set|alter|create) \S", each.text)]
# What another program of the trade is asked for, and what the same request is called in nats-py.
NATS = [each for each in EVERYWHERE if each.text.startswith("nats ")]


def test_every_command_in_a_sentence_is_one() -> None:
    """Of the command line, of `script/`, of a module that is run, of a package that is installed."""
    assert len(COMMANDS) > 100
    assert [f"{each}: {faults}" for each in COMMANDS if (faults := faults_of(each.text))] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("billing merchant show ID", "no command merchant"),
        ("billing merchants show ID --jsno", "--jsno"),
        ("billing parked list ID", "unexpected ID"),
        ("billing doctor --as root", "root"),
        (".venv/bin/billing docter", "no command docter"),
        ("script/chaoss --seed 1", "no script/chaoss"),
        ("script/chaos --sed 1", "--sed"),
        ("script/simulate --seeds N [--form SEED]", "--form"),
        ("script/nightly fuz", "has no fuz"),
        ("script/test tests/faults/test_races_33.py", "test_races_33"),
        ("python -m billing_htp", "no module billing_htp"),
        (".venv/bin/python -m tests.fuzz NAME --execution 100000", "--execution"),
        ("pip install billing-cor", "no package billing-cor"),
        ("pip install 'billing-core[test]'", "no extra test"),
    ],
)
def test_a_command_that_is_none_is_told(text: str, complaint: str) -> None:
    """With the word that nobody knows."""
    assert is_command(text)
    (fault,) = faults_of(text)

    assert complaint in fault


@pytest.mark.parametrize(
    "text", ["billing", "billing-core", "billing_http", "billing.storage", "scripts/x", "billing:"]
)
def test_what_only_looks_like_a_command_is_none(text: str) -> None:
    """Names of packages, modules, fixtures and keys."""
    assert not is_command(text)
    assert OURS.match("billing doctor")


@pytest.mark.parametrize("inline", SQL, ids=str)
async def test_sql_in_a_sentence_is_understood(inline: Inline, database_url: str, servers: Any) -> None:
    """By PostgreSQL, with our schema, as a superuser; what it changes is undone."""
    admin = str(servers.urls.postgres_admin).rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    connection = await asyncpg.connect(admin)
    try:
        async with connection.transaction():
            await connection.execute("create role role_of_the_page")
            await connection.execute(inline.text.replace("ROLE", "role_of_the_page"))
            await connection.execute("drop role role_of_the_page")
    finally:
        await connection.close()


def test_there_is_sql_in_sentences() -> None:
    """So that the test above is one."""
    assert len(SQL) > 3


@pytest.mark.parametrize("inline", NATS, ids=str)
async def test_a_request_to_nats_does_what_the_page_says(inline: Inline, broker: NatsConnection) -> None:
    """The tool of that name sends one request, which nats-py sends as well: what it names is there, and goes."""
    _, kind, act, *names = shlex.split(inline.text)
    jetstream = broker.jetstream

    if (kind, act) == ("consumer", "rm"):
        stream, durable = names
        consumers = {plan.durable: plan.stream for plan in CONSUMERS}
        if (stream, durable) == ("STREAM", "CONSUMER"):
            durable, stream = next(iter(consumers.items()))
        assert consumers[durable] == stream
        assert await jetstream.delete_consumer(stream, durable)
        with pytest.raises(NotFoundError):
            await jetstream.consumer_info(stream, durable)
    else:
        assert (kind, act) == ("stream", "purge")
        (stream,) = names
        await ensure_advisories(broker)
        assert await jetstream.purge_stream(stream)
        assert (await jetstream.stream_info(stream)).state.messages == 0


def test_the_requests_to_nats_are_those_nats_py_has() -> None:
    """A new one gets its way to be tried here."""
    assert {tuple(shlex.split(each.text)[1:3]) for each in NATS} == {("consumer", "rm"), ("stream", "purge")}
