"""One connection to NATS that may be away at any time, also at the start, and comes back by itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from billing_adapters.logs import get_logger
from billing_adapters.nats.access import ANYBODY, NatsAccess, checked_servers
from billing_adapters.nats.client import NatsClient
from billing_adapters.nats.denials import Denial, Denials, Tell
from billing_adapters.nats.permissions import USER_INFO
from billing_adapters.nats.pings import Pings
from billing_adapters.nats.rare_warnings import RareWarnings
from billing_adapters.nats.rounds import Rounds
from billing_core.errors import BrokerDenied, PublishingUnavailable

# Whatever nats-py raises when the broker is away, slow or refuses: its own errors, the socket's, an answer that is
# no JSON (`ValueError`). Its time-outs are `asyncio.TimeoutError`, which is `TimeoutError`.
NATS_FAILURES: Final = (nats.errors.Error, OSError, TimeoutError, ValueError)

REQUEST_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 3.0
CLOSE_UNUSED_TIMEOUT_S = 0.5
INBOX_TIMEOUT_S = 2
RECONNECT_WAIT_S = 0.5
# Whoever is not let in, or gets no answers, tries again all the same, for that may be mended; but seldom.
DENIED_WAIT_S = 5.0
# A broken network shows as silence. With these a silent connection is given up after 20 to 30 seconds.
PING_INTERVAL_S = 10
MAX_OUTSTANDING_PINGS = 2
WATCH_EVERY_S = 0.5


class NatsConnection:
    """The connection of a process. Nothing is buffered while it is away: whatever needs it fails at once."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        access: NatsAccess = ANYBODY,
        ping_interval_s: float = PING_INTERVAL_S,
        denied_wait_s: float = DENIED_WAIT_S,
    ) -> None:
        """This will take the URL (or several, separated by commas), the name to show in NATS's monitoring, how to get
        in, how often a silent server is asked whether it is there, and how soon one that denied us is asked again.
        Raises InvalidConfiguration for what can never work."""
        servers = checked_servers(url)
        self._rounds, self._unheard = Rounds(servers), len(servers)
        self._access, self._login = access, access.check(servers)
        self._name, self._ping_interval_s, self._denied_wait_s = name, ping_interval_s, denied_wait_s
        self._client = Client()
        self._warnings = RareWarnings("nats", name)
        self._denials = Denials(access.user, inbox_prefix=access.inbox_prefix, warnings=self._warnings)
        self._why: str | Denial | None = None  # there is no connection
        self._heard = asyncio.Event()
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._pings = Pings()
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
            raise self._away()
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream over the connected client. Raises PublishingUnavailable while NATS is away."""
        return self.client.jetstream(timeout=REQUEST_TIMEOUT_S)

    def asking(self, subject: str) -> AbstractAsyncContextManager[None]:
        """For `async with`: a block that waits for the answer to what it publishes to the subject. Where NATS does not
        permit that, the block is ended with BrokerDenied. Requests of `client` and `jetstream` do so by themselves."""
        return self._denials.watching(subject)

    def tell_denials(self, tell: Tell) -> None:
        """This will call `tell` with everything NATS does not permit from now on."""
        self._denials.listeners.append(tell)

    async def granted(self) -> Mapping[str, Any] | None:
        """What NATS permits us, as it tells it itself; None: everything. Raises BrokerDenied where not even that may be
        asked, PublishingUnavailable, or what nats-py raises."""
        reply = await self.client.request(USER_INFO, timeout=PING_TIMEOUT_S)
        answer: dict[str, Any] = json.loads(reply.data)
        if "data" not in answer:
            raise ValueError(f"NATS does not tell what it permits: {answer.get('error')}")
        permissions: Mapping[str, Any] | None = answer["data"].get("permissions")
        return permissions

    async def ping(self) -> None:
        """This will return once NATS answered. Raises PublishingUnavailable when it did not within a second."""
        answered, _ = await asyncio.wait({self._pings.last_or_new(self.client)}, timeout=PING_TIMEOUT_S)
        if not self.is_connected or not all(ping.exception() is None for ping in answered if not ping.cancelled()):
            raise self._away()
        if not answered:
            raise PublishingUnavailable(f"NATS did not answer within {PING_TIMEOUT_S} s")

    async def wait_connected(self, timeout_s: float) -> bool:
        """This will wait up to `timeout_s` seconds for a connection, and say whether there is one."""
        if not self.is_connected:  # nats-py tells of a loss a moment after it; who waits must wait already
            self._connected.clear()
        with suppress(TimeoutError):  # told by the answer
            await asyncio.wait_for(self._connected.wait(), max(timeout_s, 0))
        return self.is_connected

    def warn(self, event: str, error: object = "no reason given", **more: object) -> None:
        """This will log a warning, but the same one at most every 30 seconds."""
        self._warnings.warn(event, error, **more)

    async def keep(self) -> None:
        """This will keep a client connected until it is told to `end`."""
        while not self._ending:
            client = Client()
            self._lost, self._closing = asyncio.Event(), False
            try:
                self._login = self._access.login()
                client = self._new_client()
                await self._connect(client)
                await self._watch(client)
            except (BrokerDenied, *NATS_FAILURES) as failure:  # mostly told to `_on_error`, better than here
                self._why = self._why or str(failure)
            except Exception as failure:  # noqa: BLE001 - whatever it was: without a keeper there is no connection ever
                self._why = str(failure)
                self.warn("NATS connection failed", failure)
            finally:
                self._heard.set()
                await self._close(client)
            self._closing = False  # whoever ends us from now on may cancel us
            if not self._ending:
                await asyncio.sleep(self._denied_wait_s if isinstance(self._why, Denial) else RECONNECT_WAIT_S)

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
        """This will wait until the first attempt to connect has succeeded, or failed with every server, up to
        `timeout_s` seconds for each of them."""
        with suppress(TimeoutError):  # a silent network is an outage like another
            await asyncio.wait_for(self._heard.wait(), max(self._unheard, 1) * timeout_s)

    def _new_client(self) -> Client:
        has_certificate = self._access.certificates.cert is not None
        return NatsClient(self._denials, public_key=self._login.public_key, has_certificate=has_certificate)

    async def _connect(self, client: Client) -> None:
        certificates = self._access.certificates
        await client.connect(
            servers=self._rounds.next(),
            dont_randomize=True,
            name=self._name,
            tls=await asyncio.to_thread(certificates.context) if certificates.any else None,
            inbox_prefix=self._access.inbox_prefix,
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
            **self._login.options,
        )
        await self._try_inbox(client)
        if client.is_connected:  # not when the server hung up at the last moment
            self._client, self._why = client, None
            self.connections += 1
            self._heard.set()
            self._connected.set()
            self._warnings.forget()
            self._log.info("NATS connected", connection=self._name)

    async def _try_inbox(self, client: Client) -> None:
        """This will see whether answers may reach us: without them every question would seem to be an outage."""
        inbox = await client.subscribe(f"{client.new_inbox()}.*")
        # nats-py's ping overtakes what waits to be sent, so the first answer only says that it was sent; before the
        # second one the server has told whether it denies it.
        await client.flush(timeout=INBOX_TIMEOUT_S)
        await client.flush(timeout=INBOX_TIMEOUT_S)
        if self._lost.is_set():
            raise self._away()
        await inbox.unsubscribe()

    async def _watch(self, client: Client) -> None:
        """This will return once the client is not connected any more, or gets no answers any more."""
        await self._tell_missing()
        while client.is_connected and not self._ending and not self._lost.is_set():
            with suppress(TimeoutError):  # nats-py does not tell of every end: so look from time to time
                await asyncio.wait_for(self._lost.wait(), WATCH_EVERY_S)

    async def _tell_missing(self) -> None:
        """This will tell what we may not do and shall, before it is missed."""
        if (user := self._access.user) is None:
            return
        with suppress(PublishingUnavailable, *NATS_FAILURES):  # then it is told when it is missed
            for each in user.missing(await self.granted()):
                self._denials.tell(self._denials.denial(each.operation, each.subject))

    async def _close(self, client: Client) -> None:
        self._connected.clear()
        self._closing, was_connected = True, client.is_connected
        self._pings.leave()
        if was_connected:
            # Acknowledgements on their way arrive before the ping does; nothing else is worth waiting for.
            await asyncio.wait({self._pings.send(client)}, timeout=CLOSE_TIMEOUT_S)
        try:
            # After a handshake that failed nats-py waits in vain for what it has closed already.
            async with asyncio.timeout(CLOSE_TIMEOUT_S if was_connected else CLOSE_UNUSED_TIMEOUT_S):
                await client.close()
        except NATS_FAILURES as failure:  # it is given up anyway
            if was_connected:
                self.warn("NATS connection not closed in order", failure)
        self._pings.cancel()

    async def _on_disconnected(self) -> None:
        self._connected.clear()
        if not self._closing:
            self._log.warning("NATS disconnected", connection=self._name)

    async def _on_error(self, error: Exception) -> None:
        self._unheard -= 1
        if self._unheard <= 0:
            self._heard.set()
        denial = self._denials.heard(error) or self._access.refused(error, self._login)
        if denial is None:
            if not self._closing:  # what is closed may well break
                self._why = str(error) or repr(error)
                self.warn("NATS error", error)
            return
        if denial.ends_all:
            self._why = denial
            self._lost.set()  # nothing is answered any more, and nobody would subscribe again
        self._denials.tell(denial)

    def _away(self) -> PublishingUnavailable:
        if isinstance(self._why, Denial):
            return self._why.error
        return PublishingUnavailable(f"NATS cannot be reached right now{f' ({self._why})' if self._why else ''}")

    async def _on_closed(self) -> None:
        self._lost.set()


@asynccontextmanager
async def open_nats(
    url: str,
    *,
    name: str,
    access: NatsAccess = ANYBODY,
    ping_interval_s: float = PING_INTERVAL_S,
    denied_wait_s: float = DENIED_WAIT_S,
) -> AsyncIterator[NatsConnection]:
    """This will give a connection that is kept up in the background for as long as the block runs.

    It opens also when NATS is away, or lets nobody in. Raises InvalidConfiguration for a URL, a key or a certificate
    that can never work.
    """
    connection = NatsConnection(
        url, name=name, access=access, ping_interval_s=ping_interval_s, denied_wait_s=denied_wait_s
    )
    keeper = asyncio.create_task(connection.keep(), name=f"keep NATS connection {name}")
    try:
        await connection.heard(timeout_s=PING_TIMEOUT_S)
        yield connection
    finally:
        await connection.end(keeper)
