"""Finding what a command left behind: its processes are known by a variable that all of them inherit."""

import os
import uuid
from pathlib import Path

from billing_adapters.embedded.processes import LINUX, process_table

MARK = "BILLING_TEST_MARK"


def marked_environment(**variables: str) -> dict[str, str]:
    """The environment for a command whose processes are to be found again, without settings of the machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    return {**kept, f"X_{MARK}": uuid.uuid4().hex, **variables}


def running(environment: dict[str, str]) -> dict[int, str]:
    """The processes that were started with the environment, by id, with their command lines."""
    assert LINUX, "the environment of other processes is read from /proc"
    wanted = f"X_{MARK}={environment[f'X_{MARK}']}".encode()
    return {
        row.pid: row.command
        for row in process_table().values()
        if not row.is_zombie and wanted in _environment_of(row.pid)
    }


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended while we looked, or another user's
        return []
