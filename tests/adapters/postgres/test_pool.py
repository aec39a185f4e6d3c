"""Lending connections: a rush must not become an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from billing_adapters.postgres import pool as pool_module
from billing_adapters.postgres.patience import PROMPT
from billing_adapters.postgres.pool import Pool
from billing_core.errors import StorageUnavailable

SIZE = 2
IMPATIENT = replace(PROMPT, acquire_s=0.3)


class SlowToConnect:
    """Makes connections, each only once it may, and counts them."""

    def __init__(self) -> None:
        self.begun, self.made = 0, 0
        self.has_begun, self.may, self.has_made = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, *args: Any, **options: Any) -> Any:
        """This will make one."""
        self.begun += 1
        self.has_begun.set()
        await self.may.wait()
        connection = await asyncpg.connect(*args, **options)
        self.made += 1
        self.has_made.set()
        return connection


@pytest.fixture
def connecting() -> SlowToConnect:
    """How the pool makes connections."""
    return SlowToConnect()


@pytest.fixture
async def pool(database_url: str, connecting: SlowToConnect) -> AsyncIterator[Pool]:
    """Two connections at most, and little patience."""
    pool = Pool(database_url, size=SIZE, patience=IMPATIENT, connect_options={}, connect=connecting)
    yield pool
    await pool.close()


async def test_a_connection_nobody_waits_for_any_more_is_finished_and_kept(
    pool: Pool, connecting: SlowToConnect
) -> None:
    """Where making one takes longer than anybody waits, the next one finds it made instead of beginning another."""
    with pytest.raises(StorageUnavailable):
        await _ask(pool)

    connecting.may.set()
    while pool._left_behind:
        await asyncio.wait(pool._left_behind)
    await _ask(pool)

    assert (connecting.begun, connecting.made) == (1, 1)


async def test_who_is_cancelled_leaves_its_connection_to_the_others(pool: Pool, connecting: SlowToConnect) -> None:
    """A request that is given up takes nothing with it."""
    asking = asyncio.create_task(_ask(pool))
    await connecting.has_begun.wait()
    asking.cancel()
    connecting.may.set()
    await asyncio.wait_for(connecting.has_made.wait(), 30)

    await asyncio.gather(*(_ask(pool) for _ in range(SIZE)))

    assert connecting.made <= SIZE


async def test_it_is_crowded_while_somebody_waits_for_long(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when all are lent, nor at the moment somebody begins to wait, but from a third of their patience on; and no
    longer once they were served."""
    now_s = 1000.0
    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    pool = Pool(database_url, size=SIZE, patience=replace(PROMPT, acquire_s=30), connect_options={})
    async with AsyncExitStack() as held:
        for _ in range(SIZE):
            await held.enter_async_context(pool.lent(as_it_is))
        assert not pool.is_crowded
        waiting = asyncio.create_task(_ask(pool))
        await asyncio.sleep(0)

        crowded = []
        for waited_s in (0, 10, 10.1):
            now_s = 1000.0 + waited_s
            crowded.append(pool.is_crowded)

        assert crowded == [False, False, True]
    await waiting
    assert not pool.is_crowded
    await pool.close()


async def test_who_only_queued_does_not_queue_on(pool: Pool, connecting: SlowToConnect) -> None:
    """When every connection is made, whoever gave up is not in the way of those who still wait."""
    connecting.may.set()
    async with AsyncExitStack() as held:
        for _ in range(SIZE):
            await held.enter_async_context(pool.lent(as_it_is))
        with pytest.raises(StorageUnavailable):
            await _ask(pool)

    await asyncio.gather(*(_ask(pool) for _ in range(3 * SIZE)))

    assert connecting.made == SIZE


async def test_closing_does_not_wait_for_a_connection_that_never_comes(database_url: str) -> None:
    """What is still being made when the process stops is given up."""
    connecting = SlowToConnect()
    pool = Pool(database_url, size=SIZE, patience=IMPATIENT, connect_options={}, connect=connecting)
    with pytest.raises(StorageUnavailable):
        await _ask(pool)

    await pool.close()

    assert connecting.made == 0


def as_it_is(connection: Any) -> Any:
    """The connection."""
    return connection


async def _ask(pool: Pool) -> None:
    async with pool.lent(as_it_is) as connection:
        assert await connection.fetchval("select 1") == 1
