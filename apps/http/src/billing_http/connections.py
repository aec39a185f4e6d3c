"""Connections: uvicorn's, with answers that leave in one piece and an end for those that bring no request.

uvicorn bounds neither how large the head of a request may get nor how long it may take, and an answer given before the
body is read leaves the rest to be listened to without end. Counting is done once for each piece that arrives, and time
is looked at from outside, once a second: a request pays next to nothing for either.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from billing_adapters.clock import new_correlation_id
from billing_adapters.logs import get_logger
from billing_core.errors import BillingError, FieldError, InvalidRequest
from billing_http.edge import SAFETY_HEADERS
from billing_http.metrics import HttpMetrics
from billing_http.problems import CORRELATION_ID, problem_response
from billing_http.refusals import HeadersTooLarge, RequestTimeout

MOST_WAITING_BYTES: Final = 64 * 1024
# Of a request's head, and of what stands around its body (sizes of chunks, trailers). The edge is stricter with heads;
# this is where they cease to be collected.
MOST_BESIDE_BODY_BYTES: Final = 64 * 1024


class OnePiece:
    """A connection's transport on which whatever is written in one turn of the loop leaves together. uvicorn writes the
    head and the body of an answer apart: two system calls, two packets, and whoever reads them is woken twice."""

    __slots__ = ("_loop", "_parts", "_size_bytes", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        """This will send the data soon, and at once where much waits."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size_bytes += len(data)
        if self._size_bytes > MOST_WAITING_BYTES:
            self.flush()

    def flush(self) -> None:
        """This will send what waits, unless the connection was lost meanwhile."""
        parts, self._parts, self._size_bytes = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """This will send what waits and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's, writing to a transport that sends in one piece, and bounded in size and time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counted: object = None  # the request whose bytes are counted
        self._beside_body_bytes = 0
        self._idle: tuple[object, bool, float] | None = None  # after which request, unread by its client, since when

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(OnePiece(transport, self.loop))  # type: ignore[arg-type]  # all of a transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if self.cycle is not self._counted:  # another head is complete
            self._counted, self._beside_body_bytes = self.cycle, 0
        else:
            self._beside_body_bytes += len(data)
            if self._beside_body_bytes > MOST_BESIDE_BODY_BYTES:
                self._cut_off(HeadersTooLarge())

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._beside_body_bytes -= len(body)
        super().on_body(body)

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. The transport closes after it; what was answered by then is sent."""
        self.transport.flush()  # type: ignore[attr-defined]  # it is ours

    def send_400_response(self, msg: str) -> None:
        """This will refuse bytes that are no HTTP, as a problem document like every refusal.

        A pipelined request of the same client may be under way. It is answered before the connection ends, and its
        answer is its own; a refusal now would be taken for it.
        """
        latest = self._latest
        if latest is None or latest.response_complete or self._is_first_to_come(latest):
            self._refuse(InvalidRequest(FieldError(pointer="", detail="what was sent is not an HTTP request")))
        elif latest.more_body:  # half of a request, behind others or half answered: nobody can tell where it ends
            self.transport.close()
        else:
            latest.keep_alive = False

    def look(self, now_s: float, patience_s: float) -> None:
        """This will end the connection where so long no request came whole, or nobody took what we answered."""
        latest, unread = self._latest, self.flow.write_paused
        if latest is not None and not latest.response_complete and not unread:
            self._idle = None
        elif self._idle is None or self._idle[:2] != (latest, unread):
            self._idle = latest, unread, now_s
        elif now_s - self._idle[2] >= patience_s:
            if unread or self.transport.is_closing():
                self.transport.abort()
            else:
                self._cut_off(RequestTimeout("The head of the request did not arrive in time."))

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The request whose head came last; before the first there is none, whatever uvicorn declares."""
        return self.cycle

    @property
    def _metrics(self) -> HttpMetrics | None:
        """Those of the app that is served; other apps have none."""
        return self.app_state.get("metrics")

    def _is_first_to_come(self, latest: RequestResponseCycle) -> bool:
        """Whether the request that arrives is the one to be answered next, and no answer has begun."""
        return latest.more_body and not self.pipeline and not latest.response_started

    def _cut_off(self, refusal: BillingError) -> None:
        """This will end the connection, telling why where that cannot be taken for the answer to something else."""
        latest = self._latest
        a_head_is_open = self.scope is not getattr(latest, "scope", None)
        if a_head_is_open and (latest is None or latest.response_complete):
            self._refuse(refusal)
        else:
            self.transport.close()

    def _refuse(self, refusal: BillingError) -> None:
        if self.transport.is_closing():
            return
        correlation_id = new_correlation_id()
        answer = problem_response({"path": "/", CORRELATION_ID: correlation_id}, refusal)  # whose path nobody knows
        get_logger("http").info(
            "connection_refused", status=answer.status_code, problem=refusal.code, correlation_id=correlation_id
        )
        if (metrics := self._metrics) is not None:
            metrics.refuse_connection(status=answer.status_code, problem=refusal.code)
        headers = {
            **dict(self.server_state.default_headers),
            **dict(answer.raw_headers),
            b"x-correlation-id": correlation_id.encode(),
            **dict(SAFETY_HEADERS),
            b"connection": b"close",
        }
        lines = b"".join(b"%b: %b\r\n" % each for each in headers.items())
        self.transport.write(STATUS_LINE[answer.status_code] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()
