"""Pings that nobody gives up: one nats-py gives up breaks its reader when the answer comes late."""

import asyncio

from nats.aio.client import Client


class Pings:
    """The pings of one connection, over all its clients."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[float]] = set()
        self._last: asyncio.Task[float] | None = None

    def send(self, client: Client) -> asyncio.Task[float]:
        """This will send a ping; the task ends with its answer."""
        ping = asyncio.create_task(client.rtt(timeout=60))
        self._under_way.add(ping)
        ping.add_done_callback(self._forget)
        return ping

    def last_or_new(self, client: Client) -> asyncio.Task[float]:
        """The ping that is still on its way, or a new one."""
        if self._last is None or self._last.done():
            self._last = self.send(client)
        return self._last

    def leave(self) -> None:
        """This will wait for none of them any more, for the client they went through is never answered; `send` may
        still be used to take leave of it."""
        self._last = None

    def cancel(self) -> None:
        """This will end those that are still on their way."""
        for ping in self._under_way:
            ping.cancel()

    def _forget(self, ping: asyncio.Task[float]) -> None:
        self._under_way.discard(ping)
        if not ping.cancelled():
            ping.exception()  # whoever waited was told
