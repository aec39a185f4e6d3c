"""Connections that are lent: made when they are needed, kept for the next, and never waited for without end.

Two things keep a rush from becoming an outage. A connection that is being made is finished even if whoever wanted it
gave up meanwhile: where making one takes longer than anybody waits, they would be begun over and over and never had.
And whoever could not be served in time can be told so before waiting: see `Pool.is_crowded`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from billing_adapters.postgres.patience import Patience
from billing_adapters.postgres.refusals import is_broken, translated

CLOSE_TIMEOUT_S: Final = 5.0
# What part of their patience somebody has waited for a connection when those who come now are better sent away.
CROWDED: Final = 1 / 3


class Pool:
    """At most `size` connections to one database. `connect_options` are asyncpg's."""

    def __init__(self, url: str, *, size: int, patience: Patience, connect_options: dict[str, Any]) -> None:
        self._size, self._patience = size, patience
        # asyncpg lets newcomers take what was given back for those who wait; here they are served in their order.
        self._turns = asyncio.Semaphore(size)
        self._waiting: dict[object, float] = {}  # since when, the longest first
        self._left_behind: set[asyncio.Task[Any]] = set()
        self._pool: Any = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            # Nothing of ours changes a session: settings are made when it opens, everything else ends with the
            # transaction. So the round trip that resets one is saved.
            reset=_leave_as_it_is,
            **connect_options,
        )

    @property
    def is_crowded(self) -> bool:
        """Whether all connections are made, and yet somebody waits for one so long that more would wait in vain and
        take the processor from those who have one."""
        longest_since_s = next(iter(self._waiting.values()), None)
        if longest_since_s is None or self._pool.get_size() < self._size:
            return False
        return time.monotonic() - longest_since_s > CROWDED * self._patience.acquire_s

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """This will lend a connection. Raises StorageUnavailable where there is none in time."""
        with translated:
            connection = await self._acquire()
        try:
            yield connection
        except BaseException as error:
            if is_broken(error):
                throw_away(connection)
            raise
        finally:
            await self._release(connection)

    async def open(self) -> None:
        """This will make the pool usable. No connection is made yet: a process starts while the database is away, and
        works once it is there."""
        await self._pool

    async def close(self) -> None:
        """This will close every connection, also those that are still held where that takes long."""
        for task in self._left_behind:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()  # whoever still holds a connection is too late, or the server is away

    async def _acquire(self) -> Any:
        if not self._turns.locked() and self._pool.get_idle_size():
            await self._turns.acquire()  # at once
            return await self._take()
        me = object()
        self._waiting[me] = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.acquire_s):
                await self._turns.acquire()
                return await (self._take() if self._pool.get_idle_size() else self._make())
        finally:
            del self._waiting[me]

    async def _take(self) -> Any:
        try:
            return await self._pool.acquire(timeout=self._patience.acquire_s)
        except BaseException:
            self._turns.release()
            raise

    async def _make(self) -> Any:
        making = asyncio.ensure_future(self._pool.acquire(timeout=self._patience.acquire_s + self._patience.connect_s))
        try:
            return await asyncio.shield(making)
        except BaseException:
            # Nobody waits for it any more, but somebody will: it is made for the others.
            self._left_behind.add(making)
            making.add_done_callback(self._give_back)
            raise

    def _give_back(self, made: "asyncio.Task[Any]") -> None:
        self._left_behind.discard(made)
        if made.cancelled() or made.exception() is not None:
            self._turns.release()
            return  # whoever wanted it was told long ago that there was none
        giving = asyncio.ensure_future(self._release(made.result()))
        self._left_behind.add(giving)
        giving.add_done_callback(self._left_behind.discard)

    async def _release(self, connection: Any) -> None:
        try:
            with translated:
                await self._pool.release(connection)
        finally:
            self._turns.release()


def throw_away(connection: Any) -> None:
    """This will end a connection that may hang or be half-way through an answer."""
    # A connection that the server ended has left the pool by itself, and its stand-in knows nothing any more.
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _leave_as_it_is(_: object) -> None:
    return None
