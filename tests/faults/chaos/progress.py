"""How far a run is, while it goes on: one line that changes on a terminal, a line every five seconds elsewhere."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

LIVE_EVERY_S, PLAIN_EVERY_S = 0.25, 5.0

T = TypeVar("T")


async def with_progress(run: Callable[[], Awaitable[T]], line: Callable[[], str]) -> T:
    """This will run it, telling by `line` how far it is, and return what it returns."""
    telling = asyncio.create_task(_tell(line))
    try:
        return await run()
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):  # we did that
            await telling
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[2K")


async def _tell(line: Callable[[], str]) -> None:
    live = sys.stderr.isatty()
    while True:
        sys.stderr.write(f"\r\033[2K{line()}" if live else f"{line()}\n")
        sys.stderr.flush()
        await asyncio.sleep(LIVE_EVERY_S if live else PLAIN_EVERY_S)
