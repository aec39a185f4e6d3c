"""One connection to NATS that may be away at any time, also at the start, and comes back by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from billing_adapters.logs import get_logger
from billing_adapters.settings import InvalidConfiguration
from billing_core.errors import PublishingUnavailable

# Whatever nats-py raises when the broker is away, slow or refuses: its own errors, the socket's, an answer that is
# no JSON (`ValueError`). Its time-outs are `asyncio.TimeoutError`, which is `TimeoutError`.
NATS_FAILURES: Final = (nats.errors.Error, OSError, TimeoutError, ValueError)

REQUEST_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 3.0
RECONNECT_WAIT_S = 0.5
# A broken network shows as silence. With these a silent connection is given up after 20 to 30 seconds.
PING_INTERVAL_S = 10
MAX_OUTSTANDING_PINGS = 2
WATCH_EVERY_S = 0.5
SAME_WARNING_EVERY_S = 30.0


class NatsConnection:
    """The connection of a process. Nothing is buffered while it is away: whatever needs it fails at once."""

    def __init__(self, url: str, *, name: str, ping_interval_s: float = PING_INTERVAL_S) -> None:
        """This will take the URL (or several, separated by commas), the name to show in NATS's monitoring, and how
        often a silent server is asked whether it is there."""
        self._servers = _checked_servers(url)
        self._name, self._ping_interval_s = name, ping_interval_s
        self._client = Client()
        self._heard = asyncio.Event()
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._pings: set[asyncio.Task[float]] = set()
        self._ping: asyncio.Task[float] | None = None
        self._warned_at: dict[str, float] = {}
        self._closing = self._ending = False
        self._log = get_logger("nats")
        # Counts up with every connection made: who prepared something looks whether to do it again.
        self.connections = 0

    @property
    def is_connected(self) -> bool:
        """Whether NATS can be asked right now, as far as is known."""
        return self._client.is_connected

    @property
    def client(self) -> Client:
        """The connected client. It may be another one later. Raises PublishingUnavailable while NATS is away."""
        if not self._client.is_connected:
            raise PublishingUnavailable("NATS cannot be reached right now")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over the connected client. Raises PublishingUnavailable while NATS is away."""
        return self.client.jetstream(timeout=REQUEST_TIMEOUT_S)

    async def ping(self) -> None:
        """This will return once NATS answered. Raises PublishingUnavailable when it did not within a second."""
        # A ping that nats-py gives up breaks its reader when the answer comes late, so ours is left to go on.
        if self._ping is None or self._ping.done():
            self._ping = self._send_ping(self.client)
        answered, _ = await asyncio.wait({self._ping}, timeout=PING_TIMEOUT_S)
        if not self.is_connected or not all(ping.exception() is None for ping in answered if not ping.cancelled()):
            raise PublishingUnavailable("NATS cannot be reached right now")
        if not answered:
            raise PublishingUnavailable(f"NATS did not answer within {PING_TIMEOUT_S} s")

    async def wait_connected(self, timeout_s: float) -> bool:
        """This will wait up to `timeout_s` seconds for a connection, and say whether there is one."""
        if not self.is_connected:  # nats-py tells of a loss a moment after it; who waits must wait already
            self._connected.clear()
        with suppress(TimeoutError):  # told by the answer
            await asyncio.wait_for(self._connected.wait(), max(timeout_s, 0))
        return self.is_connected

    def warn(self, event: str, error: object = "no reason given") -> None:
        """This will log a warning, but the same one at most every 30 seconds."""
        told = f"{event}: {error!r}"
        now = time.monotonic()
        if now - self._warned_at.get(told, -SAME_WARNING_EVERY_S) >= SAME_WARNING_EVERY_S:
            if len(self._warned_at) > 100:  # a text that is different every time must not fill the memory
                self._warned_at.clear()
            self._warned_at[told] = now
            self._log.warning(event, error=str(error) or repr(error), connection=self._name)

    async def keep(self) -> None:
        """This will keep a client connected until it is told to `end`."""
        while not self._ending:
            client = self._client = Client()
            self._lost, self._closing = asyncio.Event(), False
            try:
                await self._connect(client)
                await self._watch(client)
            except NATS_FAILURES:
                pass  # told to `_on_error`
            except Exception as failure:  # noqa: BLE001 - whatever it was: without a keeper there is no connection ever
                self.warn("NATS connection failed", failure)
            finally:
                await self._close(client)
            await asyncio.sleep(RECONNECT_WAIT_S)

    async def end(self, keeper: asyncio.Task[None]) -> None:
        """This will end `keep`, and return once the connection is closed."""
        self._ending = True
        if not self._closing:
            keeper.cancel()
        # A client that is being closed is closed to the end. Where nats-py swallowed the cancellation instead, its
        # attempt to connect mostly ends by itself; one that does not is cancelled again.
        while (await asyncio.wait({keeper}, timeout=2 * CLOSE_TIMEOUT_S + 1))[1]:
            keeper.cancel()

    async def heard(self, timeout_s: float) -> None:
        """This will wait until the first attempt to connect has succeeded or failed, up to `timeout_s` seconds."""
        with suppress(TimeoutError):  # a silent network is an outage like another
            await asyncio.wait_for(self._heard.wait(), timeout_s)

    async def _connect(self, client: Client) -> None:
        await client.connect(
            servers=self._servers,
            name=self._name,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            closed_cb=self._on_closed,
            connect_timeout=2,
            # A lost connection gets a new client. nats-py's own reconnecting can stop for good, swallows cancellations,
            # and sends what waited in its buffer to the server after the caller was told that it failed.
            allow_reconnect=False,
            max_reconnect_attempts=1,  # rounds over the servers before `keep` begins anew
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # declared int, only slept and compared
            ping_interval=self._ping_interval_s,  # type: ignore[arg-type]  # declared int, only slept
            max_outstanding_pings=MAX_OUTSTANDING_PINGS,
            pending_size=-1,  # publishing while disconnected fails at once: the outbox is our buffer
        )
        if client.is_connected:  # not when the server hung up at the last moment
            self.connections += 1
            self._heard.set()
            self._connected.set()
            self._warned_at.clear()
            self._log.info("NATS connected", connection=self._name)

    async def _watch(self, client: Client) -> None:
        """This will return once the client is not connected any more."""
        while client.is_connected and not self._ending:
            with suppress(TimeoutError):  # nats-py does not tell of every end: so look from time to time
                await asyncio.wait_for(self._lost.wait(), WATCH_EVERY_S)

    async def _close(self, client: Client) -> None:
        self._connected.clear()
        self._closing = True
        self._ping = None  # one sent through this client is never answered
        if client.is_connected:
            # Acknowledgements on their way arrive before the ping does; nothing else is worth waiting for.
            await asyncio.wait({self._send_ping(client)}, timeout=CLOSE_TIMEOUT_S)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()
        except NATS_FAILURES as failure:  # it is given up anyway
            self.warn("NATS connection not closed in order", failure)
        for ping in self._pings:
            ping.cancel()

    def _send_ping(self, client: Client) -> asyncio.Task[float]:
        ping = asyncio.create_task(client.rtt(timeout=60))
        self._pings.add(ping)
        ping.add_done_callback(self._forget_ping)
        return ping

    def _forget_ping(self, ping: asyncio.Task[float]) -> None:
        self._pings.discard(ping)
        if not ping.cancelled():
            ping.exception()  # `ping` told it to whoever waited

    async def _on_disconnected(self) -> None:
        self._connected.clear()
        if not self._closing:
            self._log.warning("NATS disconnected", connection=self._name)

    async def _on_error(self, error: Exception) -> None:
        # A publish or subscribe that is not permitted only shows here; its caller sees a time-out.
        self._heard.set()
        self.warn("NATS error", error)

    async def _on_closed(self) -> None:
        self._lost.set()


@asynccontextmanager
async def open_nats(url: str, *, name: str, ping_interval_s: float = PING_INTERVAL_S) -> AsyncIterator[NatsConnection]:
    """This will give a connection that is kept up in the background for as long as the block runs.

    It opens also when NATS is away. Raises InvalidConfiguration for a URL that can never work.
    """
    connection = NatsConnection(url, name=name, ping_interval_s=ping_interval_s)
    keeper = asyncio.create_task(connection.keep(), name=f"keep NATS connection {name}")
    try:
        await connection.heard(timeout_s=PING_TIMEOUT_S)
        yield connection
    finally:
        await connection.end(keeper)


def _checked_servers(url: str) -> list[str]:
    servers = [each.strip() for each in url.split(",") if each.strip()]
    for server in servers:
        try:
            parts = urlsplit(server)
            # A token with a slash in it would end as a path, and a part of it be taken, and told, for the host.
            whole = "@" not in parts.path + parts.query + parts.fragment
            fine = parts.scheme in {"nats", "tls", "ws", "wss"} and parts.hostname and parts.port != 0 and whole
        except ValueError:  # a port that is no number
            fine = False
        if not fine:
            raise InvalidConfiguration("BILLING_NATS_URL: write nats://HOST:PORT, or several separated by commas")
    if not servers:
        raise InvalidConfiguration("BILLING_NATS_URL is empty: write nats://HOST:PORT")
    return servers
