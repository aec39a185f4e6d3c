"""A real process under load while the Redis it uses loses its primary: every answer is the one it would have been."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx2
import pytest
from anyio import to_thread
from tests.apps.http.door import RETURN_URL, signed, some_claims
from tests.apps.http.test_process import Process, running
from tests.redis_ensembles import AnyRedis, Redises

from billing_adapters.clock import SystemClock
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.testing import a_merchant

DEADLINE_S: Final = 60.0
PACE_S: Final = 0.3
SHOPS: Final = 4
REPEATED: Final = 5
BURST: Final = 400
TOO_MANY: Final = 40
AWAY: Final = "Redis is away; repeated requests are answered from the database"
BACK: Final = "Redis is back"
Answers = Mapping[str, tuple[int, bytes]]


@pytest.fixture(params=["sentinel", "cluster"])
def redis(request: pytest.FixtureRequest, redises: AnyRedis) -> Iterator[Redises]:
    """One behind sentinels, which promote the replica; and a cluster, of which a third is gone for a while."""
    ours = redises.of(request.param)
    yield ours
    ours.mend()


async def test_no_answer_is_another_while_the_primary_dies(
    tmp_path: Path, database: Database, database_url: str, redis: Redises, nats_url: str
) -> None:
    """No 5xx; repeats are answered with the same bytes; whoever has had enough requests is refused, and nobody else."""
    environment = {
        "BILLING_DATABASE_URL": database_url,
        "BILLING_REDIS_URL": redis.url,
        "BILLING_NATS_URL": nats_url,
        "BILLING_RATE_LIMIT_PER_MINUTE": "1",
        "BILLING_RATE_LIMIT_BURST": str(BURST),
    }
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add([a_merchant(each) for each in names()])
        await uow.commit()
    with running(tmp_path, **environment) as process:
        async with shops(process) as load:
            await load.go_on()
            former = await to_thread.run_sync(redis.primary)
            await to_thread.run_sync(redis.servers.kill_server, former)
            await told(process, AWAY)
            await succeeded(redis, former)
            await load.go_on()
            await to_thread.run_sync(redis.servers.start_server, former)
            await told(process, BACK)
            await load.go_on()
            await load.ask_too_often(BURST + TOO_MANY - load.greedy.total())

    assert load.wrong == Counter()
    assert load.greedy[200] in range(BURST, BURST + 3)  # one a minute is earned
    assert load.greedy[429] == BURST + TOO_MANY - load.greedy[200]


def names() -> list[str]:
    """The merchants."""
    return [f"merchant-{number}" for number in range(SHOPS + 1)]


async def succeeded(redis: Redises, former: str) -> None:
    """This will return once another primary is in its place; in the cluster there is none for it."""
    async with asyncio.timeout(DEADLINE_S):
        while redis.kind == "sentinel" and redis.primary() == former:  # noqa: ASYNC110 - sentinels tell when asked
            await asyncio.sleep(0.05)


async def told(process: Process, event: str) -> None:
    """This will return once the process has logged it."""
    async with asyncio.timeout(DEADLINE_S):
        while event not in {each["event"] for each in process.lines()}:  # noqa: ASYNC110 - a file tells of nothing
            await asyncio.sleep(0.05)


@cache
def token_of(merchant_id: str) -> str:
    """A token of the merchant's, good now."""
    return signed(
        some_claims(SystemClock(), merchant_id, iss="billing-development", scope="billing:read billing:write")
    )


class Load:
    """Shops that repeat what they asked, and judge what they are told by what they were told first."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.wrong: Counter[str] = Counter()
        self.greedy: Counter[int] = Counter()
        self._answered: dict[str, int] = dict.fromkeys(names()[:SHOPS], 0)
        self.stop = asyncio.Event()

    async def shop(self, merchant_id: str) -> None:
        """This will be one of them until told to stop."""
        first = {key: await self._buy(merchant_id, key) for key in map(str, (uuid4() for _ in range(REPEATED)))}
        for turn in itertools.count():
            if self.stop.is_set():
                return
            await self._judge(merchant_id, first, key=list(first)[turn % REPEATED])
            self._answered[merchant_id] += 1
            await asyncio.sleep(PACE_S)

    async def go_on(self) -> None:
        """This will return once every shop has judged three rounds more, and somebody has asked for much."""
        wanted = {each: answered + 3 for each, answered in self._answered.items()}
        await self.ask_too_often(BURST // 4)
        async with asyncio.timeout(DEADLINE_S):
            while any(self._answered[each] < many for each, many in wanted.items()):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)

    async def ask_too_often(self, times: int) -> None:
        """This will be a merchant that asks so many times more, and count how it is answered."""
        answers = [await self._ask("GET", "/api/billing", names()[SHOPS]) for _ in range(times)]
        self.greedy.update(each.status_code for each in answers)

    async def _judge(self, merchant_id: str, first: Answers, *, key: str) -> None:
        again = await self._buy(merchant_id, key)
        other = await self._buy(merchant_id, key, return_url="https://elsewhere.example/")
        reading = await self._ask("GET", "/api/billing", merchant_id)
        found = {
            f"a repeat was answered {again[0]} and not {first[key][0]}": again[0] != first[key][0],
            f"a repeat was answered {again[1]!r} and not {first[key][1]!r}": again[1] != first[key][1],
            f"another request under the key was answered {other[0]}": other[0] != 422,
            f"reading was answered {reading.status_code}": reading.status_code != 200,
        }
        self.wrong.update(each for each, is_so in found.items() if is_so)

    async def _buy(self, merchant_id: str, key: str, *, return_url: str = RETURN_URL) -> tuple[int, bytes]:
        wanted = {"pack": "large", "return_url": return_url}
        answer = await self._ask("POST", "/api/billing/purchases", merchant_id, key=key, json=wanted)
        return answer.status_code, answer.content

    async def _ask(
        self, method: str, path: str, merchant_id: str, *, key: str = "none", **more: Any
    ) -> httpx2.Response:
        headers = {"X-Platform": "sandbox", "Idempotency-Key": key}
        headers["Authorization"] = f"Bearer {token_of(merchant_id)}"
        return await self._client.request(method, path, headers=headers, **more)


@asynccontextmanager
async def shops(process: Process) -> AsyncIterator[Load]:
    """The load, for as long as the block runs."""
    url = await asyncio.to_thread(process.url)
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client, asyncio.TaskGroup() as trading:
        load = Load(client)
        for each in names()[:SHOPS]:
            trading.create_task(load.shop(each))
        try:
            yield load
        finally:
            load.stop.set()
