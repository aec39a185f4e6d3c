"""A TCP proxy in front of one server that can break as networks do: silence, lost replies, resets, delays."""

import asyncio
from enum import StrEnum

DELAY_S = 0.25


class Line(StrEnum):
    """How the line behaves."""

    PASS = "pass"
    BLACK_HOLE = "black hole"  # connections stand, nothing arrives on either side
    SWALLOW_REPLIES = "swallowed replies"  # the server hears everything, the client nothing
    RESET = "reset"  # every connection is broken, new ones too
    DELAY = "delay"  # everything arrives, a quarter of a second late


# After these, bytes are missing from the middle of a connection: it must not go on as if nothing had happened.
_LOSING = frozenset({Line.BLACK_HOLE, Line.SWALLOW_REPLIES})


class FaultProxy:
    """Listens on a port of its own and passes everything on to `port` of this machine."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listening: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._line = Line.PASS

    @property
    def port(self) -> int:
        """Where to connect instead. Raises RuntimeError before the start."""
        if self._listening is None:
            raise RuntimeError("the proxy is not started")
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    @property
    def line(self) -> Line:
        """How the line behaves now."""
        return self._line

    @property
    def connections(self) -> int:
        """How many clients are connected right now."""
        return len(self._connections)

    async def start(self) -> None:
        """This will listen."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _End(_Connection(self)), "127.0.0.1", 0)

    async def stop(self) -> None:
        """This will break every connection and stop listening."""
        self.behave(Line.RESET)
        if self._listening is not None:
            self._listening.close()
            await self._listening.wait_closed()

    def behave(self, line: Line) -> None:
        """This will make the line behave so from now on, for the connections that stand and for new ones."""
        lost, self._line = self._line in _LOSING, line
        if lost or line is Line.RESET:
            for connection in tuple(self._connections):
                connection.abort()


class _Connection:
    """A client's connection and ours to the server in its name."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._client: _End | None = None
        self._server: _End | None = None
        self._unsent: list[bytes] = []  # what the client said before the server was reached
        self._dialling: asyncio.Task[None] | None = None

    def made(self, end: "_End") -> None:
        if self._client is not None:
            self._server = end
            end.write(*self._unsent)
            self._unsent.clear()
            return
        self._client = end
        self.proxy._connections.add(self)
        if self.proxy.line is Line.RESET:
            self.abort()
        else:
            self._dialling = asyncio.create_task(self._dial())

    def heard(self, end: "_End", data: bytes) -> None:
        line = self.proxy.line
        if line is Line.BLACK_HOLE or (line is Line.SWALLOW_REPLIES and end is self._server):
            return
        say = self._answer if end is self._server else self._ask
        if line is Line.DELAY:
            asyncio.get_running_loop().call_later(DELAY_S, say, data)
        else:
            say(data)

    def lost(self) -> None:
        self.proxy._connections.discard(self)
        for end in (self._client, self._server):
            if end is not None:
                end.close()

    def abort(self) -> None:
        for end in (self._client, self._server):
            if end is not None:
                end.abort()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _End(self), "127.0.0.1", self.proxy._upstream)
        except OSError:
            self.abort()  # the server is not there: neither are we
        if self not in self.proxy._connections:
            self.abort()  # the client hung up meanwhile

    def _ask(self, data: bytes) -> None:
        if self._server is None:
            self._unsent.append(data)
        else:
            self._server.write(data)

    def _answer(self, data: bytes) -> None:
        if self._client is not None:
            self._client.write(data)


class _End(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of TCP it is always a Transport
        self._connection.made(self)

    def data_received(self, data: bytes) -> None:
        self._connection.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()

    def write(self, *data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
