"""What goes on beside everything else, and must have come to its end before anybody judges."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Errands:
    """Tasks nobody waits for one by one."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, errand: Coroutine[Any, Any, None]) -> None:
        """This will let it run."""
        task = asyncio.create_task(errand)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def all_done(self) -> None:
        """This will return once there is none left. Raises what went wrong with one."""
        while self._running:
            await asyncio.gather(*self._running)

    async def wait(self) -> None:
        """This will return once those that run now have ended, however."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def give_up(self) -> None:
        """This will cancel all of them."""
        for task in self._running:
            task.cancel()
        await self.wait()
