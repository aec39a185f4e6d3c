"""A primary that dies or falls silent: what stood in Redis is missed for a while, and then used again."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from anyio import to_thread
from tests.adapters.redis.test_replay_cache import a_key, an_answer, remembered_again
from tests.adapters.redis.test_shared_usage import HOUR_US, told_again
from tests.redis_ensembles import PRIMARIES, AnyRedis, Redises

from billing_adapters.embedded.layout import SENTINELS
from billing_adapters.redis.client import RedisClient, is_up, open_redis
from billing_adapters.redis.cluster import BillingCluster
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.redis.shared_usage import RedisUsage
from billing_core.domain.idempotency import RequestKey
from billing_core.errors import SharedUsageUnavailable

DEADLINE_S = 60.0
USERS: Final = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"


@pytest.fixture
def sentinel(redises: AnyRedis) -> Iterator[Redises]:
    """A primary and its replica, watched by three sentinels."""
    watched = redises.of("sentinel")
    yield watched
    watched.mend()


@pytest.fixture
def cluster(redises: AnyRedis) -> Iterator[Redises]:
    """Three primaries, each with its part."""
    nodes = redises.of("cluster")
    yield nodes
    nodes.mend()


class TestSentinels:
    @pytest.mark.parametrize("how", ["kill_server", "pause_server"])
    async def test_the_promoted_replica_is_used(self, sentinel: Redises, how: str) -> None:
        """Killed, or frozen so that it takes everything and answers nothing: nothing is raised but that shared usage is
        unavailable, and what was remembered before is there again."""
        former = sentinel.primary()
        async with open_redis(sentinel.url) as client:
            cache, usage = RedisReplayCache(client), RedisUsage(client)
            await usage.charge({"merchant-1": HOUR_US}, 0)
            await followed(sentinel, client)

            await to_thread.run_sync(getattr(sentinel.servers, how), former)
            with pytest.raises(SharedUsageUnavailable):
                await usage.charge({"merchant-2": 0}, 0)
            back, owed = await remembered_again(cache), await told_again(usage)

        assert back == an_answer()
        assert owed["merchant-1"] > 0
        assert sentinel.primary() != former
        assert {former, sentinel.primary()} == set(PRIMARIES)

    async def test_one_sentinel_is_enough_to_find_the_primary(self, sentinel: Redises) -> None:
        """Those that are away, or take connections and say nothing, cost a part of the time, and the next is asked."""
        dead, silent, _ = SENTINELS
        await to_thread.run_sync(sentinel.servers.kill_server, dead)
        await to_thread.run_sync(sentinel.servers.pause_server, silent)

        async with open_redis(sentinel.url) as client, asyncio.timeout(DEADLINE_S):
            while not await is_up(client):  # noqa: ASYNC110 - where the machine is busy, the first time is over too soon
                await asyncio.sleep(0.05)

    async def test_without_sentinels_redis_is_away(self, sentinel: Redises) -> None:
        """That is told as an outage like others, by whatever is asked."""
        for each in SENTINELS:
            await to_thread.run_sync(sentinel.servers.kill_server, each)

        async with open_redis(sentinel.url) as client:
            up, found = await is_up(client), await RedisReplayCache(client).get(a_key())
            with pytest.raises(SharedUsageUnavailable):
                await RedisUsage(client).charge({}, 0)

        assert (up, found) == (False, None)

    async def test_a_user_of_the_sentinels_needs_one_permission(self, sentinel: Redises) -> None:
        """Beside those every connection has: to ask for the primaries."""
        rules = ["on", ">sample", "resetkeys", "resetchannels", "-@all", "+sentinel|masters", "+client|setinfo"]
        for each in SENTINELS:
            await to_thread.run_sync(sentinel.ask, each, "ACL", "SETUSER", "billing", *rules)
        url = sentinel.url.partition("?")[0] + "?sentinel_username=billing&sentinel_password="

        async with open_redis(f"{url}sample", timeout_s=DEADLINE_S) as client:
            allowed = await client.ping()
        async with open_redis(f"{url}wrong") as client:
            refused = await is_up(client)

        assert (allowed, refused) == (True, False)


class TestCluster:
    async def test_every_node_has_its_part(self, cluster: Redises) -> None:
        """Answers and what merchants used are spread over the nodes, and all of it is found, and forgotten, again."""
        keys, merchants = [a_key(key=f"k-{n}") for n in range(30)], {f"merchant-{n}": HOUR_US for n in range(60)}
        async with opened(cluster) as client:
            cache = RedisReplayCache(client)
            for key in keys:
                await cache.put(key, an_answer())
            await RedisUsage(client).charge(merchants, 0)
            sizes = [cluster.ask(each, "DBSIZE") for each in cluster.data_members]
            found = [await cache.get(key) for key in keys]
            owed = await RedisUsage(client).charge(dict.fromkeys(merchants, 0), 0)
            await cache.forget(keys)
            forgotten = [await cache.get(key) for key in keys]

        assert all(isinstance(size, int) and size > 5 for size in sizes)
        assert found == [an_answer()] * len(keys)
        assert list(owed) == list(merchants)
        assert all(owed.values())
        assert forgotten == [None] * len(keys)

    async def test_without_any_node_redis_is_away(self) -> None:
        """That is told as an outage like others, by whatever is asked."""
        async with open_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2") as client:
            up, found = await is_up(client), await RedisReplayCache(client).get(a_key())
            with pytest.raises(SharedUsageUnavailable):
                await RedisUsage(client).charge({}, 0)

        assert (up, found) == (False, None)

    async def test_the_shipped_user_is_enough(self, cluster: Redises) -> None:
        """What it may do on one server it may on each node, and the cluster's map it may ask for."""
        (rules,) = re.findall(r"^user billing on \S+ (.+)$", USERS.read_text("utf-8"), re.MULTILINE)
        for each in cluster.data_members:
            told = await to_thread.run_sync(
                cluster.ask, each, "ACL", "SETUSER", "billing", "on", ">sample", *rules.split()
            )
            assert told == "OK"
        place = cluster.url.partition("@")[2]

        async with open_redis(f"redis+cluster://billing:sample@{place}", timeout_s=DEADLINE_S) as client:
            cache = RedisReplayCache(client, timeout_s=DEADLINE_S)
            up = await is_up(client)
            await cache.put(a_key(), an_answer())
            found = await cache.get(a_key())
            owed = await RedisUsage(client, timeout_s=DEADLINE_S).charge({"merchant-1": 0, "merchant-2": 0}, 0)

        assert (up, found, set(owed)) == (True, an_answer(), {"merchant-1", "merchant-2"})

    @pytest.mark.parametrize("how", ["kill_server", "pause_server"])
    async def test_what_the_others_have_is_used_while_a_node_is_away(self, cluster: Redises, how: str) -> None:
        """Killed or frozen, it takes its own part with it; given back, it has that again."""
        async with opened(cluster) as client:
            cache = RedisReplayCache(client)
            theirs, its = key_on(client, cluster, "redis-2"), key_on(client, cluster, "redis-1")
            await cache.put(theirs, an_answer())

            await to_thread.run_sync(getattr(cluster.servers, how), "redis-1")
            missed = await cache.get(its)
            found = await found_again(cache, theirs)
            await to_thread.run_sync(cluster.mend)
            back = await remembered_again(cache)

        assert (missed, found, back) == (None, an_answer(), an_answer())

    async def test_a_part_that_moved_is_found_though_its_former_node_is_silent(self, cluster: Redises) -> None:
        """The map of the cluster is asked for anew after whatever failed, also where nobody answered at all."""
        async with opened(cluster) as client:
            cache = RedisReplayCache(client)
            key = key_on(client, cluster, "redis-1")
            await cache.put(key, an_answer())
            await cache.forget([key])
            await to_thread.run_sync(move_slot, cluster, slot_of(client, key), "redis-2")
            try:
                await to_thread.run_sync(cluster.servers.pause_server, "redis-1")
                async with asyncio.timeout(DEADLINE_S):
                    while await cache.get(key) is None:
                        await cache.put(key, an_answer())
                        await asyncio.sleep(0.05)
            finally:
                await to_thread.run_sync(cluster.servers.resume_server, "redis-1")
                await to_thread.run_sync(cluster.mend)
                await to_thread.run_sync(move_slot, cluster, slot_of(client, key), "redis-1")


@asynccontextmanager
async def opened(cluster: Redises) -> AsyncIterator[BillingCluster]:
    """A client of the cluster, which knows its map."""
    async with open_redis(cluster.url) as client:
        assert isinstance(client, BillingCluster)
        await client.initialize()
        yield client


async def followed(sentinel: Redises, client: RedisClient) -> None:
    """This will return once the replica has what the primary has."""
    async with asyncio.timeout(DEADLINE_S):
        while int(await client.execute_command("WAIT", 1, 100)) < 1:  # type: ignore[no-untyped-call]  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def found_again(cache: RedisReplayCache, key: RequestKey) -> Any:
    """What is remembered under a key, once Redis is asked again."""
    async with asyncio.timeout(DEADLINE_S):
        while (found := await cache.get(key)) is None:  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.05)
    return found


def slot_of(client: BillingCluster, key: RequestKey) -> int:
    """The slot an answer is kept in."""
    from billing_adapters.redis.replay_cache import _name

    return client.keyslot(_name(key))


def key_on(client: BillingCluster, cluster: Redises, member: str) -> RequestKey:
    """A key whose answer this node keeps."""
    mine = str(cluster.ask(member, "CLUSTER", "MYID"))
    slots = cluster.ask(member, "CLUSTER", "SLOTS")
    assert isinstance(slots, list)
    ranges = [
        (int(str(each[0])), int(str(each[1]))) for each in slots if isinstance(each, list) and mine in str(each[2])
    ]
    keys = (a_key(key=f"key-{number}") for number in range(1000))
    return next(each for each in keys if any(low <= slot_of(client, each) <= high for low, high in ranges))


def move_slot(cluster: Redises, slot: int, to: str) -> None:
    """This will have every node know the slot as another's; there is nothing in it."""
    owner = str(cluster.ask(to, "CLUSTER", "MYID"))
    for member in (to, *(each for each in cluster.data_members if each != to)):
        assert cluster.ask(member, "CLUSTER", "SETSLOT", str(slot), "NODE", owner) == "OK"
    cluster.ask(to, "CLUSTER", "BUMPEPOCH")
