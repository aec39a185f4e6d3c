"""A thousand connections that want nothing but to stay: the process goes on answering the others."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from tests.hostile.live import DEADLINE_S, Service, good_headers, read_answer, request

MANY = 1000
QUESTIONS = 50
SOON_S = 2.0
MIB = 1024 * 1024

HALF_A_HEAD = b"GET /api/billing HTTP/1.1\r\nHost: billing.test\r\nX-Slow: "
HALF_A_BODY = request("POST", "/api/billing/trials", good_headers(more=[("Content-Length", "1000")])) + b"{"
UNWANTED_BODY = request("POST", "/api/billing/trials", [("Host", "x"), ("Content-Length", "1000000")]) + b"{"
HALF_A_CHUNK = request("POST", "/api/billing/trials", good_headers(more=[("Transfer-Encoding", "chunked")])) + b"1"


@pytest.fixture
def crowd(service: Service) -> Iterator[list[socket.socket]]:
    """A thousand connections, of which each stopped somewhere else."""
    with ExitStack() as opened:
        connections = []
        for number in range(MANY):
            connections.append(opened.enter_context(service.connect()))
            begun = (b"", HALF_A_HEAD, HALF_A_BODY, UNWANTED_BODY, HALF_A_CHUNK)[number % 5]
            connections[-1].sendall(begun)
        yield connections


def test_a_crowd_of_half_open_connections_is_in_nobodys_way(service: Service, crowd: list[socket.socket]) -> None:
    """Silent ones, half heads, half bodies, bodies nobody wants, each sent on byte by byte: good requests are answered
    soon all the same."""
    longest_s = 0.0
    for number in range(QUESTIONS):
        for connection in crowd[number::QUESTIONS]:
            with suppress(ConnectionError):  # it was refused meanwhile
                connection.send(b"x")
        began_s = time.monotonic()
        answer = service.ask(request("GET", "/api/billing", good_headers()))
        longest_s = max(longest_s, time.monotonic() - began_s)
        assert answer.status == 200

    assert longest_s < SOON_S
    assert service.is_well()


def a_body_of_50_mib(connection: socket.socket) -> None:
    """More than anybody may send, announced as it is."""
    connection.sendall(request("POST", "/api/billing/trials", good_headers(more=[("Content-Length", str(50 * MIB))])))
    _send(connection, b"x", 50 * MIB)


def chunks_of_50_mib(connection: socket.socket) -> None:
    """The same without saying how much it will be."""
    connection.sendall(request("POST", "/api/billing/trials", good_headers(more=[("Transfer-Encoding", "chunked")])))
    _send(connection, b"10000\r\n" + b"x" * 65536 + b"\r\n", 50 * MIB)


def a_header_of_1_mib(connection: socket.socket) -> None:
    """One field that does not end."""
    connection.sendall(HALF_A_HEAD)
    _send(connection, b"x", MIB)


def headers_of_1_mib(connection: socket.socket) -> None:
    """Many small fields."""
    connection.sendall(b"GET /api/billing HTTP/1.1\r\n")
    _send(connection, b"X: x\r\n", MIB)


def ten_thousand_pipelined(connection: socket.socket) -> None:
    """Requests before anybody read an answer."""
    _send(connection, request("GET", "/health/live", [("Host", "billing.test")]), 10_000 * 50)


Flood = Callable[[socket.socket], None]
FLOODS: tuple[Flood, ...] = (
    a_body_of_50_mib,
    chunks_of_50_mib,
    a_header_of_1_mib,
    headers_of_1_mib,
    ten_thousand_pipelined,
)


@pytest.mark.parametrize("flood", FLOODS, ids=lambda each: each.__name__)
async def test_a_flood_is_in_nobodys_way(service: Service, flood: Flood) -> None:
    """While it lasts and afterwards good requests are answered soon, and nothing is stored."""
    before = await service.stored()
    with service.connect() as connection:
        sending = threading.Thread(target=flood, args=[connection])
        sending.start()
        longest_s = 0.0
        for _ in range(QUESTIONS):
            began_s = time.monotonic()
            assert service.ask(request("GET", "/api/billing", good_headers())).status == 200
            longest_s = max(longest_s, time.monotonic() - began_s)
        sending.join(DEADLINE_S)

    assert not sending.is_alive()
    assert longest_s < SOON_S
    assert await service.stored() == before
    assert service.is_well()


def test_a_large_body_is_told_so_however_much_comes_after(service: Service) -> None:
    """413 is there for whoever reads it after sending 50 MiB, as most clients do."""
    with service.connect() as connection:
        a_body_of_50_mib(connection)

        assert read_answer(connection).problem["code"] == "PAYLOAD_TOO_LARGE"


def _send(connection: socket.socket, piece: bytes, size: int) -> None:
    pieces = piece * (65536 // len(piece) or 1)
    try:
        for _ in range(size // len(pieces)):
            connection.sendall(pieces)
    except (ConnectionError, TimeoutError):
        return  # it was cut off
