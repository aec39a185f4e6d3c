"""How long storage may take before the answer is 503: below the contract's two seconds, however it hangs.

Adapters have time-outs of their own for each command; these bound the whole.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from billing_core.errors import StorageUnavailable
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork

STORAGE_S = 1.7
# Two transactions and a platform call of at most 12 s between them; below the 30 s a key stays locked.
PURCHASE_S = 16.0


@asynccontextmanager
async def within(limit_s: float) -> AsyncIterator[None]:
    """This will end what takes longer than `limit_s` seconds. Raises StorageUnavailable for it."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as late:
        raise StorageUnavailable from late


class BoundedUnits:
    """Opens transactions that last at most `STORAGE_S`: the platform call between two of them is not counted."""

    def __init__(self, units: OpenUnitOfWork) -> None:
        self._units = units

    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """See `OpenUnitOfWork`. Raises StorageUnavailable where the transaction takes too long."""
        return self._bounded()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[UnitOfWork]:
        async with within(STORAGE_S), self._units() as unit:
            yield unit
