"""The locks of the storage in memory, where they meet what only a cancelled request brings about."""

import asyncio

from billing_core.testing.memory.locks import RowLocks


class TestRowLocks:
    async def test_whoever_gave_up_waiting_stands_in_nobodys_way(self) -> None:
        """One that was cancelled while it waited, and has not heard of it yet, waits for nothing any more: who wants
        what it holds can wait for it."""
        locks = RowLocks()
        await locks.hold("first", ("wanted",))
        await locks.hold("second", ("held",))
        giving_up = asyncio.create_task(locks.hold("second", ("wanted",)))
        await asyncio.sleep(0)
        giving_up.cancel()
        locks.let_go("first")

        asyncio.get_running_loop().call_later(0.01, locks.let_go, "second")
        await locks.hold("third", ("held",))  # at once: nobody has run since

        assert locks.is_held("third", ("held",))
        assert giving_up.cancelled()
