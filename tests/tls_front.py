"""TLS in front of a server that speaks none: the servers from the wheels are built without it.

Real clients speak real TLS to it, and it passes what they say on to the real server.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.certificates import Certificate

_CHUNK = 65536
# How PostgreSQL's clients ask for TLS: length 8, code 80877103 (its protocol, "SSL Session Encryption").
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@contextmanager
def tls_in_front_of(
    port: int, certificate: Certificate, *, client_ca: Path | None = None, postgres: bool = False
) -> Iterator[int]:
    """This will speak TLS on a port of its own, which it gives, for the server on `port` of this machine; with
    `client_ca` only to clients whose certificate that authority signed. `postgres`: after its clients' request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        front = _Front(listening, context, port, postgres=postgres)
        accepting = threading.Thread(target=front.accept, daemon=True)
        accepting.start()
        yield listening.getsockname()[1]
        front.stop()
        accepting.join()


class _Front:
    def __init__(self, listening: socket.socket, context: ssl.SSLContext, port: int, *, postgres: bool) -> None:
        self._listening, self._context, self._port, self._postgres = listening, context, port, postgres
        self._open: list[socket.socket] = []
        self._stopping = False

    def accept(self) -> None:
        while not self._stopping:
            with suppress(OSError):
                client, _ = self._listening.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        with socket.create_connection(self._listening.getsockname()):
            pass  # only to end `accept`
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:  # a client that does not trust us, or that we do not trust, hangs up
            if self._postgres:
                if client.recv(len(_SSL_REQUEST), socket.MSG_WAITALL) != _SSL_REQUEST:
                    return  # it speaks in the clear
                client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as secured:
                self._open.append(secured)
                with socket.create_connection(("127.0.0.1", self._port)) as server:
                    self._open.append(server)
                    back = threading.Thread(target=_pass_on, args=(server, secured), daemon=True)
                    back.start()
                    _pass_on(secured, server)
                    back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
