"""`python -m tests.faults.defects.processes` with `CHAOS_APP=tests.e2e.canary.commands`: many commands in one process.

Standard input is a JSON list of `[app, arguments, environment]`; each is run in its environment as it would be by
itself, between two lines that say so, the second with its exit code. A process for each would take most of the time.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

BEGINS, ENDS = "== begins", "== ended with"


def main() -> None:
    """This will run them all."""
    for app, arguments, environment in json.load(sys.stdin):
        os.environ.clear()
        os.environ.update(environment)
        _say(BEGINS)
        _say(f"{ENDS} {_http() if app == 'billing_http' else _cli(arguments)}")


def read(output: str) -> list[tuple[int, str]]:
    """The exit code of each command and what it printed."""
    ended = (each.partition(f"{ENDS} ") for each in output.split(f"{BEGINS}\n")[1:])
    return [(int(code.split("\n")[0]), text) for text, _, code in ended]


def asked(commands: Sequence[tuple[str, Sequence[str], Mapping[str, str]]]) -> str:
    """The commands as they are told to the process."""
    return json.dumps(commands)


def _http() -> int:
    from billing_http.main import main as serve

    return serve()


def _cli(arguments: Sequence[str]) -> Any:
    from billing_cli.main import app

    try:
        app(list(arguments), prog_name="billing")
    except SystemExit as ended:
        return ended.code
    return 0


def _say(line: str) -> None:
    for stream in (sys.stderr, sys.stdout):
        stream.flush()
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
