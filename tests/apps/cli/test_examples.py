"""Every example of the command line does what it says: those of `--help`, and those of the pages for support."""

import asyncio
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import typer
from tests.apps.cli.conftest import Billing, Books, Sandbox, fill
from tests.apps.cli.test_help import COMMANDS
from tests.documents.pages import Claim

from billing_cli.main import app

CLAIMS = (Claim(page="docs/support.md", languages=("sh",)), Claim(page="docs/privacy.md", languages=("sh",)))
AN_ID = "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"
# They run the whole service, and tests/e2e runs them.
WHOLE_SERVICE = {("demo",), ("up",)}
# What has to have happened for an example to make sense.
BEFORE = {("trials", "regrant"): 'billing trials end dev-merchant --reason "it is over"'}


def command_of(words: list[str]) -> tuple[Any, tuple[str, ...]]:
    """The command that is meant, and its path."""
    command: Any = typer.main.get_command(app)
    path: tuple[str, ...] = ()
    while hasattr(command, "commands"):
        command, path = command.commands[words[len(path)]], (*path, words[len(path)])
    return command, path


def example_of(path: tuple[str, ...]) -> str:
    """The example in the command's help."""
    command, _ = command_of(list(path))
    example: str = command.epilog.removeprefix("Example: ").split(" || ")[0]
    return example


class Desk:
    """Somebody who types examples: with the ids of what there is, and `yes` to every question."""

    def __init__(self, billing: Billing, books: Books) -> None:
        self._billing, self._books = billing, books

    def types(self, example: str) -> None:
        """This will run the example, which must end with 0."""
        words = shlex.split(example)[1:]
        command, path = command_of(words)
        takes_yes = any("--yes" in each.opts for each in command.params)
        if takes_yes and "--dry-run" not in words:
            words.append("--yes")
        result = self._billing(*(self._id(path) if word == AN_ID else word for word in words))
        assert result.exit_code == 0, f"{example}: {result.stderr}"

    def _id(self, path: tuple[str, ...]) -> str:
        if path[0] == "parked":
            return str(self._books.parked_id)
        return str(self._books.open_id if path[1] == "resolve" else self._books.review_id)


@pytest.fixture
async def desk(billing: Billing, database_url: str, streams: None, sandbox: Sandbox) -> Desk:
    """A merchant with a trial, an open purchase, one to review that was paid with another amount, and told events."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        books = executor.submit(asyncio.run, fill(database_url, "dev-merchant")).result()
    await sandbox.pay(books.open_id, amount_minor=500)
    billing.json("purchases", "reconcile", str(books.open_id))
    billing.json("jobs", "run", "relay-events")
    await sandbox.execute("update purchases set expires_at = now()")  # so that nobody need be waited for
    return Desk(billing, books)


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - WHOLE_SERVICE), ids=" ".join)
async def test_the_example_of_each_command_can_be_run(desk: Desk, path: tuple[str, ...]) -> None:
    """By whoever types it as it stands there, on a merchant of that name."""
    if path in BEFORE:
        desk.types(BEFORE[path])

    desk.types(example_of(path))


@pytest.mark.parametrize(("claim", "at_least"), [(CLAIMS[0], 16), (CLAIMS[1], 3)])
async def test_a_page_can_be_typed_from_top_to_bottom(desk: Desk, claim: Claim, at_least: int) -> None:
    """Each command of each block, one after the other."""
    examples = [line for block in claim.blocks() for line in block.commands]

    assert len(examples) >= at_least
    for example in examples:
        desk.types(example)
