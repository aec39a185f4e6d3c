"""Lending connections: a rush must not become an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
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


class Pretended:
    """A connection to nowhere, which can be ended by whoever has it or by its server."""

    def __init__(self) -> None:
        self.ended = False
        self.lent_to: object = None

    def is_closed(self) -> bool:
        """Whether it was ended."""
        return self.ended

    def terminate(self) -> None:
        """This will end it."""
        self.ended = True

    async def close(self) -> None:
        """This will end it, in its time."""
        await asyncio.sleep(0)
        self.ended = True


class PretendedServer:
    """Makes connections, some slowly and some not at all, and ends them all when it restarts."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.made: list[Pretended] = []

    async def __call__(self, *args: Any, **options: Any) -> Pretended:
        """This will make one."""
        for _ in range(self.random.randrange(6)):
            await asyncio.sleep(0)
        if self.random.random() < 0.2:
            raise OSError("not now")
        self.made.append(Pretended())
        return self.made[-1]

    def restart(self) -> None:
        """This will end what was made."""
        for each in self.made:
            each.ended = True


@pytest.mark.parametrize("seed", range(150))
async def test_whatever_is_cancelled_and_whenever_nothing_is_lost(seed: int) -> None:
    """Requests are cancelled at any of their steps, connections are refused, break while they are lent and end with
    their server: none is ever lent to two, there are never too many, and afterwards every turn is there again."""
    random = Random(seed)
    server = PretendedServer(random)
    pool = Pool("", size=3, patience=replace(PROMPT, acquire_s=30), connect_options={}, connect=server)

    async def ask() -> None:
        me = object()
        async with pool.lent(as_it_is) as connection:
            assert connection.lent_to is None
            connection.lent_to = me
            assert len(pool._all) <= 3
            try:
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
                if random.random() < 0.1:
                    raise StorageUnavailable
                assert connection.lent_to is me
            finally:
                connection.lent_to = None

    asking = [asyncio.create_task(ask()) for _ in range(40)]
    for _ in range(60):
        await asyncio.sleep(0)
        if random.random() < 0.5:
            random.choice(asking).cancel()
        if random.random() < 0.05:
            server.restart()
    told = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 30)
    while pool._left_behind:
        await asyncio.wait(pool._left_behind)
        await asyncio.sleep(0)

    assert not [each for each in told if not isinstance(each, (type(None), StorageUnavailable, asyncio.CancelledError))]
    assert pool._turns._value == 3
    assert not pool._waiting
    assert len(pool._all) <= 3
    assert {each for each in server.made if not each.ended} <= set(pool._idle)
    await pool.close()
    assert all(each.ended for each in server.made)


@pytest.mark.parametrize("seed", range(50))
async def test_closing_ends_what_is_lent_waited_for_and_being_made(seed: int) -> None:
    """Whoever has one finishes; whoever waits gets one or is told that there is none; afterwards all are ended."""
    random = Random(seed)
    server = PretendedServer(random)
    pool = Pool("", size=3, patience=replace(PROMPT, acquire_s=0.2), connect_options={}, connect=server)

    async def ask() -> None:
        async with pool.lent(as_it_is):
            for _ in range(random.randrange(5)):
                await asyncio.sleep(0)

    asking = [asyncio.create_task(ask()) for _ in range(10)]
    for _ in range(random.randrange(12)):
        await asyncio.sleep(0)
    random.choice(asking).cancel()
    await asyncio.wait_for(pool.close(), 5)
    told = await asyncio.gather(*asking, return_exceptions=True)

    assert not [each for each in told if not isinstance(each, (type(None), StorageUnavailable, asyncio.CancelledError))]
    assert all(each.ended for each in server.made)
    assert not pool._left_behind


def as_it_is(connection: Any) -> Any:
    """The connection."""
    return connection


async def _ask(pool: Pool) -> None:
    async with pool.lent(as_it_is) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_waiting_is_counted(pool: Pool, connecting: SlowToConnect) -> None:
    """Who had to wait, how long, and who waited in vain; a connection that is there costs no count."""
    with pytest.raises(StorageUnavailable):
        await _ask(pool)
    in_vain = pool.figures
    connecting.may.set()
    await _ask(pool)
    made = pool.figures
    await _ask(pool)

    assert (in_vain.waits, in_vain.timeouts, in_vain.waiting) == (1, 1, 0)
    assert in_vain.waited_s > 0
    assert (made.waits, made.timeouts, made.size, made.lent) == (2, 1, SIZE, 0)
    assert pool.figures.waits == made.waits
