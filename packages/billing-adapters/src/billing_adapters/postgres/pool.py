"""Connections that are lent: made when they are needed, kept for the next, and never waited for without end.

asyncpg has a pool, too. In this one what is lent is the connection itself, and giving it back is no task of its own;
and two things keep a rush from becoming an outage. A connection that is being made is finished even if whoever wanted
it gave up meanwhile: where making one takes longer than anybody waits, they would be begun over and over and never had.
And whoever could not be served in time can be told so before waiting: see `Pool.is_crowded`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import asyncpg

from billing_adapters.postgres.patience import Patience
from billing_adapters.postgres.refusals import FOREIGN, is_broken, translated
from billing_core.errors import StorageUnavailable

CLOSE_TIMEOUT_S: Final = 5.0
# What part of their patience somebody has waited for a connection when those who come now are better sent away.
CROWDED: Final = 1 / 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures:
    """How a pool stands: connections made, and those who wait; and since it was opened how often somebody waited, how
    long altogether, and in vain."""

    size: int
    idle: int
    lent: int
    waiting: int
    waits: int
    waited_s: float
    timeouts: int


class Pool:
    """At most `size` connections to one database. `connect_options` are asyncpg's."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        patience: Patience,
        connect_options: dict[str, Any],
        connect: Callable[..., Awaitable[Any]] = asyncpg.connect,
    ) -> None:
        self._size, self._patience = size, patience
        self._connect = partial(connect, url, **connect_options)
        self._turns = asyncio.Semaphore(size)  # who waits is served in order, and newcomers do not pass
        self._waiting: dict[object, float] = {}  # since when, the longest first
        self._idle: list[Any] = []
        self._all: set[Any] = set()  # idle or lent
        self._left_behind: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._waits, self._waited_s, self._timeouts = 0, 0.0, 0

    @property
    def figures(self) -> PoolFigures:
        """How it stands now."""
        idle = len(self._idle)
        return PoolFigures(
            size=self._size,
            idle=idle,
            lent=len(self._all) - idle,
            waiting=len(self._waiting),
            waits=self._waits,
            waited_s=self._waited_s,
            timeouts=self._timeouts,
        )

    @property
    def is_crowded(self) -> bool:
        """Whether all connections are made, and yet somebody waits for one so long that more would wait in vain and
        take the processor from those who have one."""
        longest_since_s = next(iter(self._waiting.values()), None)
        if longest_since_s is None or sum(not each.is_closed() for each in self._all) < self._size:
            return False
        return time.monotonic() - longest_since_s > CROWDED * self._patience.acquire_s

    def lent(self, wrap: Callable[[Any], T]) -> "Lent[T]":
        """A connection as `wrap` makes it usable, for `async with`. Entering raises StorageUnavailable where there is
        none in time."""
        return Lent(self, wrap)

    async def close(self) -> None:
        """This will close every connection, also those that are still held where that takes long."""
        self._is_closed = True
        for task in self._left_behind:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                for _ in range(self._size):
                    await self._turns.acquire()
                await asyncio.gather(*(each.close() for each in self._all))
        except FOREIGN:  # whoever still holds a connection is too late, or the server is away
            for each in self._all:
                each.terminate()

    async def acquire(self) -> Any:
        """This will lend a connection, to be given back. Raises TimeoutError, and what asyncpg raises."""
        if self._idle and not self._turns.locked():
            await self._turns.acquire()  # at once
            if (connection := self._warm()) is not None:
                return connection
            self._turns.release()
        me, began_s = object(), time.monotonic()
        self._waiting[me] = began_s
        try:
            async with asyncio.timeout(self._patience.acquire_s):
                await self._turns.acquire()
                return self._warm() or await self._make()
        except TimeoutError:
            self._timeouts += 1
            raise
        finally:
            del self._waiting[me]
            self._waits += 1
            self._waited_s += time.monotonic() - began_s

    def give_back(self, connection: Any) -> None:
        """This will have the connection for the next; one that was ended is forgotten."""
        if self._is_closed:
            connection.terminate()
        if connection.is_closed():
            self._all.discard(connection)
        else:
            self._idle.append(connection)
        self._turns.release()

    def _warm(self) -> Any:
        """The connection that was given back last; None where each was ended meanwhile, or there is none."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._all.discard(connection)
        return None

    async def _make(self) -> Any:
        if self._is_closed:
            self._turns.release()
            raise StorageUnavailable
        making = asyncio.ensure_future(self._connected())
        try:
            return await asyncio.shield(making)
        except BaseException:
            # Nobody waits for it any more, but somebody will: it is made for the others.
            self._left_behind.add(making)
            making.add_done_callback(self._keep)
            raise

    async def _connected(self) -> Any:
        connection = await self._connect()
        self._all.add(connection)
        return connection

    def _keep(self, made: "asyncio.Task[Any]") -> None:
        self._left_behind.discard(made)
        if made.cancelled() or made.exception() is not None:
            self._turns.release()  # whoever wanted it was told long ago that there was none
        else:
            self.give_back(made.result())


class Lent(Generic[T]):
    """A connection while a block lasts. A class and no generator: every request passes here several times."""

    __slots__ = ("_connection", "_pool", "_wrap")

    def __init__(self, pool: Pool, wrap: Callable[[Any], T]) -> None:
        self._pool, self._wrap = pool, wrap

    async def __aenter__(self) -> T:
        with translated:
            self._connection = await self._pool.acquire()
        return self._wrap(self._connection)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if is_broken(error):
            self._connection.terminate()  # it may hang or be half-way through an answer
        self._pool.give_back(self._connection)
