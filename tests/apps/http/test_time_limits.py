"""How long a request may wait, and what it is told then."""

import asyncio

import pytest

from billing_core.errors import StorageUnavailable
from billing_http.time_limits import within

SOON_S, LONG_S = 0.01, 30.0


class TestWithin:
    async def test_what_takes_longer_is_ended(self) -> None:
        """It is cancelled at the limit, and storage is said to be away."""
        with pytest.raises(StorageUnavailable):
            async with within(SOON_S):
                await asyncio.sleep(LONG_S)

    async def test_a_limit_inside_that_ran_out_is_told_alike(self) -> None:
        """Whoever waited inside with a limit of its own waited for storage too."""
        with pytest.raises(StorageUnavailable):
            async with within(LONG_S):
                raise TimeoutError

    async def test_other_errors_pass(self) -> None:
        """They are told as what they are."""
        with pytest.raises(ZeroDivisionError):
            async with within(LONG_S):
                raise ZeroDivisionError

    async def test_who_is_cancelled_from_outside_stays_cancelled(self) -> None:
        """A process that stops is not told that storage is away."""

        async def wait() -> None:
            async with within(LONG_S):
                await asyncio.sleep(LONG_S)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
