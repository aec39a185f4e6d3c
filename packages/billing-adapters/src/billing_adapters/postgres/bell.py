"""The bell's rope: tells the relays, wherever they are, that events were committed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from billing_adapters.logs import get_logger
from billing_core.errors import StorageUnavailable

CHANNEL: Final = "billing_outbox"
# What is committed within this time is told of once.
GATHER_S: Final = 0.005


class BellRope:
    """Rings after commits, and never inside them: PostgreSQL lets only one transaction that notifies commit at a time,
    so whoever notified in its own would wait for the disk once for each of the others. Only a hint: a process that dies
    before it has rung is heard of when the relay looks by itself."""

    def __init__(self, notify: Callable[[str], Awaitable[object]]) -> None:
        """This will ring by `notify`, which runs a command."""
        self._notify = notify
        self._pulled = asyncio.Event()
        self._ringing: asyncio.Task[None] | None = None

    def pull(self) -> None:
        """This will ring soon. At most once in `GATHER_S` seconds, and after the last pull in any case."""
        self._pulled.set()
        if self._ringing is None:
            self._ringing = asyncio.create_task(self._ring())

    async def let_go(self) -> None:
        """This will ring no more."""
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)

    async def _ring(self) -> None:
        while await self._pulled.wait():
            await asyncio.sleep(GATHER_S)
            self._pulled.clear()
            try:
                await self._notify(f"notify {CHANNEL}")
            except StorageUnavailable as away:  # then there is nobody to hear it either
                get_logger("postgres").debug("bell.not_rung", reason=str(away))
