"""The worker's port for those who watch it: metrics and health, answered by threads beside the loop.

So it also answers when the loop hangs, and says that it does.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, ClassVar, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from billing_worker.metrics import WorkerMetrics

# A loop that has not turned for so long does nothing any more.
STUCK_AFTER_S: Final = 30.0
CLIENT_TIMEOUT_S: Final = 10.0

StartResponse = Callable[..., Any]


class Observatory:
    """Answers `/metrics`, `/health/live` and `/health/ready` while a block runs; port 0 is off."""

    def __init__(self, metrics: WorkerMetrics, *, host: str, port: int) -> None:
        """This will listen. Raises OSError where that is not possible."""
        kind = _ServerOf6 if ":" in host else _Server
        self._server = make_server(host, port, _App(metrics), kind, _Handler) if port else None

    def __enter__(self) -> None:
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, name="observatory", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _App:
    """What is answered, as a WSGI application."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics, self._prometheus = metrics, make_wsgi_app(metrics.registry)

    def __call__(self, environment: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = self._prometheus(environment, start_response)
            return answer
        if path in ("/health", "/health/ready"):
            return _document(self._ready(), start_response)
        if path == "/health/live":
            return _document({"status": "stuck" if self._is_stuck() else "ok"}, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health/live and /health/ready are here"]

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._metrics.process.beaten_at_s > STUCK_AFTER_S

    def _ready(self) -> Mapping[str, Any]:
        """As the HTTP app tells it; asked of what was measured last, so that asking often costs no server anything."""
        servers = self._metrics.process.servers()
        status = "ok" if all(servers.values()) else "degraded"
        if self._is_stuck():
            status = "stuck"
        elif not servers.get("postgres"):
            status = "unavailable"
        return {"status": status, "checks": {name: "up" if up else "down" for name, up in servers.items()}}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # The library's own asks the name service who we are, which may take its time.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _ServerOf6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout: ClassVar[float] = CLIENT_TIMEOUT_S  # for whoever connects and says nothing

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: a line for each scrape is no news."""


def _document(document: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    status = HTTPStatus.OK if document["status"] in ("ok", "degraded") else HTTPStatus.SERVICE_UNAVAILABLE
    start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    return [json.dumps(document).encode()]
