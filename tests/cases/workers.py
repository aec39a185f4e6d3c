"""Two processes of Billing on one PostgreSQL, and the order in which they come to what they share."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from sqlalchemy import literal_column, select, text
from tests.postgres_storage import PostgresStorage

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.statements import Statement
from billing_core.domain.packs import Catalog
from billing_core.ports.storage import UnitOfWork
from billing_core.testing import FixedClock, InMemoryBilling, InMemoryStorage, ScriptedPlatform
from billing_core.views import PurchaseView

DEADLINE_S: Final = 20
T = TypeVar("T")
Hold = Callable[[UnitOfWork], Awaitable[object]]

_WAITING: Final = Statement(
    select(literal_column("count(*)").label("waiting"))
    .select_from(text("pg_stat_activity"))
    .where(text("datname = current_database() and wait_event_type = 'Lock'"))
)


class Workers:
    """`one` and `other` are processes that share a database, a platform and the time, and nothing else: each has its
    own replay cache and broker."""

    def __init__(
        self, database: Database, *, platform: ScriptedPlatform | None = None, catalog: Catalog | None = None
    ) -> None:
        self._database = database
        self.clock, self.platform = FixedClock(), platform or ScriptedPlatform()
        self.storage, self._catalog = PostgresStorage.over(database), catalog
        self.one, self.other = self.another(), self.another()

    def another(self) -> InMemoryBilling:
        """One more process."""
        return InMemoryBilling(
            catalog=self._catalog,
            platforms=[self.platform],
            clock=self.clock,
            storage=cast("InMemoryStorage", self.storage),  # it has the same ports
        )

    async def in_order(self, hold: Hold, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """This will hold something on a connection of its own, start each work once the one before waits for it on
        its connection, let go, and give the results. PostgreSQL serves who waits for a row in the order they came."""
        tasks: list[asyncio.Task[Any]] = []
        async with self.storage.units() as uow:
            await hold(uow)
            for work in works:
                tasks.append(asyncio.create_task(work))
                await self.until_waiting(len(tasks), tasks)
        return await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE_S)

    async def until_waiting(self, number: int, tasks: "list[asyncio.Task[Any]]") -> None:
        """This will return once so many connections wait for a lock; none of the tasks may have got through."""
        async with asyncio.timeout(DEADLINE_S):
            while await self._waiting() < number:
                if through := [task for task in tasks if task.done()]:
                    raise AssertionError(f"did not wait for what another transaction holds: {through}")
                await asyncio.sleep(0.005)

    async def _waiting(self) -> int:
        row = await self._database.row(_WAITING)
        return 0 if row is None else int(row["waiting"])


def the_purchase(purchase: PurchaseView) -> Hold:
    """Holds the purchase's row."""
    return lambda uow: uow.purchases.lock([(purchase.merchant_id, purchase.id)])


def the_merchant(merchant_id: str) -> Hold:
    """Holds the merchant's row."""
    return lambda uow: uow.merchants.lock(merchant_id)
