"""How the command line explains itself, and how quickly."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from billing_cli.main import app

HEAVY = (
    "alembic",
    "asyncpg",
    "dependency_injector",
    "httpx2",
    "joserfc",
    "matplotlib",
    "nats",
    "opentelemetry",
    "prometheus_client",
    "pyarrow",
    "pydantic_settings",
    "redis",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvloop",
)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = tuple(commands(typer.main.get_command(app)))


class TestHelp:
    def test_the_contract_s_commands_are_there(self) -> None:
        """Every command of this release is found by its name."""
        expected = {
            "demo", "up", "token", "doctor", "db upgrade", "db current", "db check", "jobs list", "jobs run",
            "merchants show", "merchants export", "merchants redact",
            "trials show", "trials extend", "trials end", "trials regrant",
            "credits grant", "report sales", "export purchases",
            "purchases list", "purchases show", "purchases history",
            "purchases reconcile", "purchases cancel", "purchases resolve", "events tail",
            "events republish", "parked list", "parked show", "parked replay", "parked drop", "config show",
            "nats upgrade", "nats new-key",
        }  # fmt: skip

        assert expected <= {" ".join(path) for path in COMMANDS}

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_command_has_an_example_and_json(self, path: tuple[str, ...]) -> None:
        """`--help` of each command shows how to call it, and that it can print JSON."""
        result = CliRunner().invoke(app, [*path, "--help"])

        assert result.exit_code == 0
        assert f"Example: billing {' '.join(path)}" in result.stdout
        assert "--json" in result.stdout

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_example_can_be_typed(self, path: tuple[str, ...]) -> None:
        """The example's options and arguments are the command's own."""
        command: Any = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]

        example = command.epilog.removeprefix("Example: billing ").split(" || ")[0]
        words = shlex.split(example)[len(path) :]

        with command.make_context(" ".join(path), words):
            pass

    def test_help_imports_nothing_heavy(self) -> None:
        """`billing --help` loads no database, broker, web or container library."""
        program = (
            "import sys\n"
            "from billing_cli.main import app\n"
            "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
            f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))\n"
        )

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

        assert done.stdout.splitlines()[-1] == "HEAVY []"


AN_ID = "0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a"


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["nonsense"],
            ["token"],
            ["token", "--merchant", "m 1", "--platform", "sandbox"],
            ["token", "--merchant", "m-1", "--platform", "paypal"],
            ["token", "--merchant", "m-1", "--platform", "sandbox", "--ttl", "soon"],
            ["token", "--merchant", "m-1", "--platform", "sandbox", "--ttl", "0h"],
            ["token", "--merchant", "m-1", "--platform", "sandbox", "--scope", "billing:rule"],
            ["jobs", "run", "expire-trials", "--now", "tomorrow"],
            ["jobs", "run", "expire-trials", "--now", "2026-12-01T00:00:00"],
            ["merchants", "export"],
            ["merchants", "redact", "m-1"],
            ["merchants", "redact", "m-1", "--reason", " "],
            ["merchants", "redact", "m-1", "--reason", "why", "--force"],
            ["trials", "extend", "m-1", "--reason", "why"],
            ["trials", "extend", "m-1", "--reason", "why", "--days", "7", "--until", "2030-01-01T00:00:00Z"],
            ["trials", "extend", "m-1", "--reason", "why", "--days", "0"],
            ["trials", "extend", "m-1", "--reason", "why", "--days", "3651"],
            ["trials", "extend", "m-1", "--reason", "why", "--until", "tomorrow"],
            ["trials", "extend", "m-1", "--days", "7"],
            ["trials", "extend", "m-1", "--days", "7", "--reason", "two\nlines"],
            ["trials", "end", "m-1"],
            ["trials", "end", "m-1", "--reason", "why", "--actor", ""],
            ["trials", "regrant", "m-1", "--reason", " "],
            ["credits", "grant", "m-1", "50"],
            ["credits", "grant", "m-1", "0", "--reason", "why"],
            ["credits", "grant", "m-1", "1000000001", "--reason", "why"],
            ["credits", "grant", "m-1", "many", "--reason", "why"],
            ["credits", "grant", "m-1", "50", "--reason", "why", "--grant-id", "ticket-7"],
            ["credits", "grant", "m-1", "50", "--reason", ""],
            ["report", "sales", "--by", "merchant"],
            ["report", "sales", "--from", "soon"],
            ["report", "sales", "--from", "2026-01-01T00:00:00"],
            ["report", "sales", "--from", "2026-02-30"],
            ["report", "sales", "--from", "2026-01-02", "--to", "2026-01-02"],
            ["report", "sales", "--csv", "--json"],
            ["report", "sales", "--plot", "sales.pdf"],
            ["export", "purchases", "--format", "xlsx"],
            ["export", "purchases", "--format", "parquet"],
            ["export", "purchases", "--json"],
            ["export", "purchases", "--from", "1d", "--to", "2d"],
            ["purchases", "show", "12"],
            ["purchases", "list", "--status", "lost"],
            ["purchases", "list", "--limit", "0"],
            ["purchases", "reconcile"],
            ["purchases", "reconcile", "--older-than", "10m"],
            ["purchases", "reconcile", "--all-open", "--merchant", "m-1"],
            ["purchases", "reconcile", "--all-open", "--older-than", "soon"],
            ["purchases", "reconcile", AN_ID, "--older-than", "10m"],
            ["purchases", "reconcile", "12"],
            ["purchases", "reconcile", AN_ID, "--actor", ""],
            ["purchases", "cancel", AN_ID],
            ["purchases", "cancel", AN_ID, "--reason", " "],
            ["purchases", "cancel", AN_ID, "--reason", "two\nlines"],
            ["purchases", "cancel", AN_ID, "--reason", "half \udc80"],
            ["purchases", "cancel", "12", "--reason", "why"],
            ["purchases", "resolve", AN_ID, "--accept"],
            ["purchases", "resolve", AN_ID, "--reason", "why"],
            ["purchases", "resolve", AN_ID, "--reason", "why", "--accept", "--dismiss"],
            ["events", "tail", "--since", "1 hour"],
            ["nats", "new-key"],
            ["doctor", "--as", "root"],
            ["parked", "replay", "x"],
            ["parked", "drop", "x", "--reason", "why"],
            ["parked", "drop", AN_ID],
            ["parked", "drop", "--reason", "why"],
            ["events", "republish"],
            ["events", "republish", "--merchant", "m-1", "--since", "1h"],
            ["events", "republish", "--from", "1", "--id", AN_ID],
            ["events", "republish", "--merchant", "m-1", "--from", "0"],
            ["events", "republish", "--since", "yesterday"],
            ["events", "republish", "--id", "12"],
            ["up", "--port", "70000"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage_exits_2_and_answers_nothing(self, arguments: list[str]) -> None:
        """A command that was called wrongly says so on stderr and exits with 2."""
        result = CliRunner().invoke(app, arguments)

        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr
