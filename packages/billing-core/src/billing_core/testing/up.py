"""`billing up --json` for end-to-end tests: the whole service as processes, for as long as a test session needs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOPPED_WITHIN_S = 60
COMMAND_WITHIN_S = 120
# What the line tells that tests need; whatever else it tells may come and go.
_TOLD = ("http", "postgres", "redis", "nats", "token", "merchant_id")
_VARIABLES = {"postgres": "BILLING_DATABASE_URL", "redis": "BILLING_REDIS_URL", "nats": "BILLING_NATS_URL"}


class BillingDidNotStart(Exception):
    """`billing up` ended before it was ready; the text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBilling:
    """A running `billing up`: what its line told, and a way to type further `billing` commands on its servers."""

    http: str
    postgres: str
    redis: str
    nats: str
    token: str | None
    merchant_id: str
    command: str
    folder: Path

    def headers(self, **more: str) -> dict[str, str]:
        """What every request as the ready-made sandbox merchant needs, and `more`."""
        return {"Authorization": f"Bearer {self.token}", "X-Platform": "sandbox", **more}

    def billing(self, *arguments: str) -> list[Any]:
        """This will run `billing … --json` on the same servers and return what it printed, a document for each line.
        Raises subprocess.CalledProcessError, whose `stderr` tells why."""
        done = subprocess.run(
            [self.command, *arguments, "--json"],
            cwd=self.folder,
            env={**_environment({}), **{variable: getattr(self, name) for name, variable in _VARIABLES.items()}},
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN_S,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def find_billing() -> str | None:
    """The `billing` command: that of this Python's environment, else the one on PATH; None where there is none."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("billing", path=beside)


@contextmanager
def running_billing(command: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningBilling]:
    """This will run `billing up --json` on a free port, with servers and data in the folder and under these settings
    (`BILLING_…`; none of the machine's are taken), until the end of the block. Raises BillingDidNotStart."""
    log_file = folder / "up.log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [command, "up", "--json", "--port", "0", "--data", str(folder / "data")],
            cwd=folder,
            env=_environment(settings or {}),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BillingDidNotStart(log_file.read_text())
        told = json.loads(line)
        yield RunningBilling(**{name: told[name] for name in _TOLD}, command=command, folder=folder)
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its servers end with it
        process.communicate()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    return {**kept, **settings}
