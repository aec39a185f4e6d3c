"""How long storage may take before the answer is 503: below the contract's two seconds, however it hangs.

Adapters have time-outs of their own for each command; these bound the whole.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.purchases import Purchase, PurchaseDecision
from billing_core.errors import StorageUnavailable
from billing_core.ports.storage import OpenUnitOfWork, PurchaseRequests, Standing, UnitOfWork

STORAGE_S = 1.7


class within:  # noqa: N801 - reads as what it does
    """Ends what takes longer than `limit_s` seconds. Raises StorageUnavailable for it.

    A class and no generator: every request passes here several times.
    """

    __slots__ = ("_timeout",)

    def __init__(self, limit_s: float) -> None:
        self._timeout = asyncio.timeout(limit_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise StorageUnavailable from late
        if isinstance(error, TimeoutError):  # what was waited for inside had a limit of its own
            raise StorageUnavailable from error


class BoundedUnits:
    """Opens transactions that last at most `STORAGE_S`: the platform call between two of them is not counted."""

    def __init__(self, units: OpenUnitOfWork) -> None:
        self._units = units

    def __call__(self, merchant_id: str | None = None) -> AbstractAsyncContextManager[UnitOfWork]:
        """See `OpenUnitOfWork`. Raises StorageUnavailable where the transaction takes too long."""
        return self._bounded(merchant_id)

    @asynccontextmanager
    async def _bounded(self, merchant_id: str | None) -> AsyncIterator[UnitOfWork]:
        async with within(STORAGE_S), self._units(merchant_id) as unit:
            yield unit


class BoundedRequests:
    """Lets each step of the short way last at most `STORAGE_S`."""

    def __init__(self, requests: PurchaseRequests) -> None:
        self._requests = requests

    async def look(self, key: RequestKey) -> Standing | None:
        """See `PurchaseRequests.look`. Raises StorageUnavailable where it takes too long."""
        async with within(STORAGE_S):
            return await self._requests.look(key)

    async def open(self, standing: Standing, opened: PurchaseDecision, record: KeyRecord) -> None:
        """See `PurchaseRequests.open`. Raises StorageUnavailable where it takes too long."""
        async with within(STORAGE_S):
            await self._requests.open(standing, opened, record)

    async def hand_out(self, before: Purchase, taken: PurchaseDecision, held: KeyRecord, answered: KeyRecord) -> None:
        """See `PurchaseRequests.hand_out`. Raises StorageUnavailable where it takes too long."""
        async with within(STORAGE_S):
            await self._requests.hand_out(before, taken, held, answered)
