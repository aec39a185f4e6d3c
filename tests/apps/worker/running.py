"""The real worker as a process, and what tests ask while it works."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 60.0


@contextmanager
def running(folder: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A `python -m billing_worker` in the folder, writing to `log` there, and gone at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker"], cwd=folder, env={**clean, **environment}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until(fact: Callable[[], Awaitable[Any]], what: str) -> Any:
    """This will ask until the answer is true, and give it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := await fact():
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"never came true: {what}")
