"""uvicorn, told to stop in order: first unready, then deaf, then done."""

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from billing_adapters.logs import get_logger
from billing_http.connections import Protocol
from billing_http.state import Drain

# Orchestrators take a process out of rotation while they tell it to stop; requests still arrive meanwhile.
DRAIN_S = {"production": 5.0, "development": 0.2}
GRACE_S = 20
BACKLOG = 2048
# How long a connection may bring nothing, or not the whole head of a request, or not take what we answer.
PATIENCE_S = 15


class Server(uvicorn.Server):
    """On the first SIGTERM or SIGINT the process becomes unready and goes on for `drain_s` seconds, then takes no
    more connections, finishes what it has within the grace period and closes its resources. A second one stops the
    waiting. Connections that bring no whole request for `patience_s` seconds are ended."""

    def __init__(self, config: uvicorn.Config, *, drain: Drain, drain_s: float, patience_s: float = PATIENCE_S) -> None:
        super().__init__(config)
        self._drain, self._drain_s, self._patience_s = drain, drain_s, patience_s
        self._stop_at_s: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """This will begin to stop; asked again, it will stop at once."""
        if self.should_exit:
            self.force_exit = True
        elif self._stop_at_s is not None:
            self.should_exit = True
        else:
            self._drain.begin()
            self._stop_at_s = time.monotonic() + self._drain_s

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second whether it is time to stop. Once a second connections are looked at."""
        if counter % 10 == 0:
            now_s = time.monotonic()
            for connection in list(self.server_state.connections):
                connection.look(now_s, self._patience_s)  # type: ignore[union-attr]  # they are our `Protocol`
        if self._stop_at_s is not None and time.monotonic() >= self._stop_at_s:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """This will start, and log where the app listens."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            get_logger("http").info("listening", host=host, port=port)


def server_config(app: Any) -> uvicorn.Config:
    """How uvicorn runs: httptools, one log line for each request (ours), nothing believed of proxies."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=PATIENCE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (not on Windows), else Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def listening_socket(host: str, port: int) -> socket.socket:
    """This will listen on the address; port 0 picks a free one. Raises OSError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)
