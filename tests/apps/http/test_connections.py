"""Connections: how answers leave, what is no request, and who waits in vain."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from billing_http.connections import MOST_BESIDE_BODY_BYTES
from billing_http.metrics import HttpMetrics
from billing_http.server import Server, listening_socket, server_config
from billing_http.state import Drain

PATIENCE_S = 0.5
DEADLINE_S = 20.0
HOST = b"Host: billing.test\r\n"


class Answering:
    """An app: what it does is said by the path."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.bodies: list[bytes] = []
        self.disconnected = asyncio.Event()
        self.metrics = HttpMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will answer with the path."""
        if scope["type"] == "lifespan":
            scope["state"]["metrics"] = self.metrics
            return
        path = scope["path"]
        if path == "/slow":
            await self.may_answer.wait()
        elif path == "/body":
            await self._read(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/endless":
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": path.encode()})

    async def _read(self, receive: Receive) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)


class Client:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *parts: bytes) -> None:
        """This will send the parts as one."""
        self.writer.write(b"".join(parts))

    async def rest(self) -> bytes:
        """All that comes until the server closes, also where it closed while more was being sent."""
        told = b""
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    told += piece
        return told

    async def trickle(self, piece: bytes) -> bytes:
        """All that comes while the piece is sent again and again."""
        rest = asyncio.create_task(self.rest())
        while not rest.done():
            self.writer.write(piece)
            await asyncio.sleep(0.05)
        return await rest


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
def app() -> Answering:
    """What is asked."""
    return Answering()


@pytest.fixture
async def connect(app: Answering) -> AsyncIterator[Connect]:
    """How to connect to a server with little patience."""
    server = Server(server_config(app), drain=Drain(), drain_s=0, patience_s=PATIENCE_S)
    writers = []
    with listening_socket("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        host, port = listening.getsockname()[:2]

        async def connected() -> Client:
            reader, writer = await asyncio.open_connection(host, port)
            writers.append(writer)
            return Client(reader, writer)

        yield connected
        for writer in writers:
            writer.close()
        server.should_exit = True
        await asyncio.wait_for(serving, DEADLINE_S)


def get(path: str, *fields: bytes) -> bytes:
    """A request."""
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path.encode(), HOST, b"".join(each + b"\r\n" for each in fields))


def post(path: str, *fields: bytes) -> bytes:
    """The head of a request with a body."""
    return get(path, *fields).replace(b"GET", b"POST", 1)


class TestWhatIsNoRequest:
    async def test_is_refused_as_a_problem_document(self, connect: Connect) -> None:
        """Like every refusal, with a correlation id and the safety headers; then the connection ends."""
        client = await connect()
        client.send(b"nonsense\r\n\r\n")

        head, _, body = (await client.rest()).partition(b"\r\n\r\n")

        problem = json.loads(body)
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"content-type: application/problem+json" in head
        assert b"x-content-type-options: nosniff" in head
        assert b"connection: close" in head
        assert f"x-correlation-id: {problem['correlation_id']}".encode() in head
        assert (problem["code"], problem["status"]) == ("INVALID_REQUEST", 400)

    async def test_does_not_answer_the_request_before_it(self, connect: Connect, app: Answering) -> None:
        """A pipelined request is under way: its answer is its own, and the connection ends after it."""
        client = await connect()
        client.send(get("/slow"), b"nonsense\r\n\r\n")
        await asyncio.sleep(0.1)
        app.may_answer.set()

        told = await client.rest()

        assert told.startswith(b"HTTP/1.1 200 OK")
        assert told.count(b"HTTP/1.1 ") == 1
        assert b"/slow" in told

    async def test_a_body_that_is_none_is_the_answer_to_its_request(self, connect: Connect, app: Answering) -> None:
        """Whoever reads the body hears that there is no more to come."""
        client = await connect()
        client.send(post("/body", b"Transfer-Encoding: chunked"), b"xyz\r\n")

        told = await client.rest()

        assert told.startswith(b"HTTP/1.1 400 Bad Request")
        await asyncio.wait_for(app.disconnected.wait(), DEADLINE_S)

    @pytest.mark.parametrize(
        "fields",
        [
            (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
            (b"Content-Length: 5", b"Content-Length: 0"),
            (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
            (b"Transfer-Encoding : chunked",),
        ],
    )
    async def test_nothing_is_smuggled_behind_lengths_that_contradict_each_other(
        self, connect: Connect, fields: tuple[bytes, ...]
    ) -> None:
        """Where nobody can tell where a request ends, nothing behind it is read as another one."""
        client = await connect()
        client.send(get("/first"), post("/body", *fields), b"0\r\n\r\n", get("/smuggled"))

        told = await client.rest()

        assert b"/smuggled" not in told
        assert told.count(b"HTTP/1.1 200 OK") <= 1


class TestKeepingOn:
    async def test_pipelined_requests_are_answered_in_their_order(self, connect: Connect, app: Answering) -> None:
        """Each gets its own answer, also those that came while the first was under way."""
        client = await connect()
        client.send(get("/slow"), get("/a"), get("/b"))
        await asyncio.sleep(0.05)
        client.send(get("/c", b"Connection: close"))
        app.may_answer.set()

        told = await client.rest()

        order = [told.index(each) for each in (b"/slow", b"/a", b"/b", b"/c")]
        assert order == sorted(order)
        assert told.count(b"HTTP/1.1 200 OK") == 4

    async def test_head_and_upgrades_leave_the_connection_as_it_was(self, connect: Connect) -> None:
        """HEAD has no body, what cannot be upgraded is answered as it is, and the next request is read."""
        client = await connect()
        client.send(get("/a").replace(b"GET", b"HEAD"))
        await asyncio.sleep(0.05)
        client.send(get("/b", b"Connection: keep-alive", b"Upgrade: h2c"))
        await asyncio.sleep(0.05)
        client.send(get("/c", b"Connection: close"))

        told = await client.rest()

        assert told.count(b"HTTP/1.1 200 OK") == 3
        assert b"/a" not in told

    async def test_who_asks_before_sending_is_told_to_go_on(self, connect: Connect, app: Answering) -> None:
        """Expect: 100-continue is answered when the body is wanted, and once."""
        client = await connect()
        client.send(post("/body", b"Expect: 100-continue", b"Content-Length: 2", b"Connection: close"))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"{}")

        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK")
        assert app.bodies == [b"{}"]


class TestPatience:
    async def test_who_brings_no_whole_request_is_cut_off(self, connect: Connect, app: Answering) -> None:
        """Silence, a head that trickles in, a body nobody wants that trickles in after its answer: each ends soon.
        Whose request is under way is not hurried."""
        silent, trickling, unwanted, waiting = [await connect() for _ in range(4)]
        waiting.send(get("/slow", b"Connection: close"))
        unwanted.send(post("/refused", b"Content-Length: 1000000"))
        trickling.send(b"GET / HTTP/1.1\r\n")

        told = await asyncio.gather(silent.rest(), trickling.trickle(b"X: x\r\n"), unwanted.trickle(b"x"))
        app.may_answer.set()

        assert told[0] == b""
        assert told[1].startswith(b"HTTP/1.1 408 Request Timeout") or told[1] == b""  # lost where it was still sending
        assert told[2].count(b"HTTP/1.1 ") == 1
        assert b"/slow" in await waiting.rest()

    async def test_a_head_that_stops_is_told_why(self, connect: Connect) -> None:
        """408 as a problem document."""
        client = await connect()
        client.send(b"GET / HTTP/1.1\r\nHo")

        told = await client.rest()

        assert told.startswith(b"HTTP/1.1 408 Request Timeout")
        assert json.loads(told.partition(b"\r\n\r\n")[2])["code"] == "REQUEST_TIMEOUT"

    async def test_who_does_not_read_is_cut_off(self, connect: Connect) -> None:
        """An answer that nobody takes is not kept for ever."""
        client = await connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport
        client.send(get("/endless"))
        await asyncio.sleep(PATIENCE_S + 2.5)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # a read transport

        assert len(await client.rest()) < 10_000 * 65536


class TestSize:
    @pytest.mark.parametrize("piece", [b"X: x\r\n", b"x", b"x" * 5000])
    async def test_an_endless_head_is_refused(self, connect: Connect, piece: bytes) -> None:
        """However it is made, no more of it is collected than the limit and what one look at the socket brings."""
        client = await connect()
        client.send(b"GET / HTTP/1.1\r\nX: ")
        pieces = piece * (MOST_BESIDE_BODY_BYTES // 8 // len(piece))
        for _ in range(20):
            client.send(pieces)
            await asyncio.sleep(0.01)

        told = await client.rest()

        assert told.startswith(b"HTTP/1.1 431") or told == b""  # lost where it was still being sent

    @pytest.mark.parametrize(
        ("begun", "piece"), [(b"0\r\n", b"X: x\r\n"), (b"0\r\nX: ", b"x" * 100), (b"1;a=", b"x" * 100)]
    )
    async def test_what_stands_around_a_body_is_bounded_too(
        self, connect: Connect, app: Answering, begun: bytes, piece: bytes
    ) -> None:
        """Trailers and extensions of chunks without end end the connection."""
        client = await connect()
        client.send(post("/body", b"Transfer-Encoding: chunked"))
        await asyncio.sleep(0.05)
        client.send(begun)
        for _ in range(40):
            client.send(piece * (MOST_BESIDE_BODY_BYTES // 20 // len(piece)))
            await asyncio.sleep(0.005)

        assert await client.rest() == b""
        await asyncio.wait_for(app.disconnected.wait(), DEADLINE_S)

    async def test_a_body_in_many_chunks_is_read(self, connect: Connect, app: Answering) -> None:
        """64 KiB in chunks of 64 bytes are no attack."""
        client = await connect()
        client.send(post("/body", b"Transfer-Encoding: chunked", b"Connection: close"))
        for _ in range(1024):
            client.send(b"40\r\n", b"x" * 64, b"\r\n")
            await asyncio.sleep(0)
        client.send(b"0\r\n\r\n")

        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK")
        assert app.bodies == [b"x" * 65536]


class TestCounting:
    """What a connection is told stands in the metrics, as no request came of it that could."""

    @pytest.mark.parametrize(
        ("sent", "status", "code"),
        [
            (b"nonsense\r\n\r\n", "400", "INVALID_REQUEST"),
            (b"GET / HTTP/1.1\r\nHo", "408", "REQUEST_TIMEOUT"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 6 * MOST_BESIDE_BODY_BYTES, "431", "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        ],
    )
    async def test_each_refusal_is_counted_once(
        self, connect: Connect, app: Answering, sent: bytes, status: str, code: str
    ) -> None:
        """By its status, and by its code beside those of requests."""
        client = await connect()
        client.send(sent)
        await client.rest()

        counted = set(app.metrics.text().decode().splitlines())

        assert f'billing_http_connections_refused_total{{status="{status}"}} 1.0' in counted
        assert f'billing_http_problems_total{{code="{code}"}} 1.0' in counted

    async def test_what_is_answered_or_just_ended_is_not(self, connect: Connect, app: Answering) -> None:
        """A request is counted by the app; silence was told nothing."""
        silent, asking = await connect(), await connect()
        asking.send(get("/a", b"Connection: close"))
        await asyncio.gather(silent.rest(), asking.rest())

        assert "billing_http_connections_refused_total{" not in app.metrics.text().decode()
