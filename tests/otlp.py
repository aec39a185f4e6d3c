"""A tiny collector: takes spans over OTLP/HTTP as JSON and keeps them in memory."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSpan:
    """A span as it was exported: ids as hexadecimal text, `parent_id` empty for a root, `links` to trace and span."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    is_error: bool


class Collector:
    """Listens on `url` and keeps what it is sent; answers with `status`."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.status = 200
        self.requests: list[tuple[str, bytes]] = []

    def spans(self) -> list[ExportedSpan]:
        """Every span so far."""
        return [span for _, body in list(self.requests) for span in _spans(json.loads(body))]

    def wait_for(self, fact: Callable[[list[ExportedSpan]], Any], what: str) -> Any:
        """This will look until the fact holds of the spans, and give it."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if found := fact(self.spans()):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never exported: {what}; only {sorted({each.name for each in self.spans()})}")


@contextmanager
def collecting() -> Iterator[Collector]:
    """A running collector."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.status == 200:
                collector.requests.append((self.path, body))
            self.send_response(collector.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield collector
        server.shutdown()


def _spans(request: dict[str, Any]) -> Iterator[ExportedSpan]:
    for resource in request["resourceSpans"]:
        service = _attributes(resource["resource"])["service.name"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield ExportedSpan(
                    service=service,
                    name=span["name"],
                    kind=span["kind"],
                    trace_id=span["traceId"],
                    span_id=span["spanId"],
                    parent_id=span.get("parentSpanId", ""),
                    attributes=_attributes(span),
                    links=tuple((link["traceId"], link["spanId"]) for link in span.get("links", ())),
                    is_error=span.get("status", {}).get("code") == 2,
                )


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", ())}
