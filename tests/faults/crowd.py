"""Thirty-two at once, round after round: each round is another purchase, shop or key.

`RACE_ROUNDS` in the environment asks for more rounds than a hundred.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.merchants import Merchant
from billing_core.errors import BillingError, StorageConflict, StorageUnavailable

WAYS = 32
ROUNDS = int(os.environ.get("RACE_ROUNDS", "100"))
# Comings of one of the thirty-two: with ten connections and one row, each waits for the others.
TRIES = 500
T = TypeVar("T")


async def at_once(
    work: Callable[[int], Awaitable[T]], *, again_on: tuple[type[BillingError], ...] = (StorageUnavailable,)
) -> Sequence[T | BaseException]:
    """This will do the work thirty-two times at once; who is told to come again (`again_on`) does, as callers do. A
    conflict is no answer: nothing here may end in a deadlock."""

    async def again(number: int) -> T:
        for _ in range(TRIES - 1):
            try:
                return await work(number)
            except StorageConflict:
                raise
            except again_on:
                await asyncio.sleep(0.02)
        return await work(number)

    return await asyncio.gather(*(again(number) for number in range(WAYS)), return_exceptions=True)


async def register(database: Database, *merchants: Merchant) -> None:
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add(merchants)
        await uow.commit()


async def told_in(database: Database) -> Mapping[str, Sequence[str]]:
    """The kinds of each merchant's events, in order, whose numbers have no gap."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for event in await PostgresOutbox(database).unpublished(100 * ROUNDS):
        kinds[event.merchant_id].append(event.type)
        assert event.sequence == len(kinds[event.merchant_id])
    return kinds
