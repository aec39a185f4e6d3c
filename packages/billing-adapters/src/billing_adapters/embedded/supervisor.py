"""The process that owns the servers of one data folder and lives no longer than its caller.

It is single-threaded: it waits for a request, for the caller's end of the channel to close, or for a signal
(to stop, or that a server died). Standard output and error go to `log/supervisor.log`.
"""

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from billing_adapters.embedded.account import account_for_postgres
from billing_adapters.embedded.channel import Channel, Closed, Message
from billing_adapters.embedded.folder import Access, DataFolder, EmbeddedServersError
from billing_adapters.embedded.processes import OURSELVES, adopt_orphans
from billing_adapters.embedded.running import RunningServers, log
from billing_adapters.embedded.servers import Nats, Postgres, Server, Valkey

REQUEST_TIMEOUT_S = 10.0
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Dismissed(Exception):
    """The caller is gone or a signal asked to stop: nothing is worth finishing."""


def supervise(path: str, descriptor: str) -> None:
    """This will serve the caller at the other end of the socket `descriptor`, with the data folder `path`."""
    # A caller may have blocked signals; its mask is inherited, and would keep the servers from stopping.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    adopt_orphans()
    channel = Channel(socket.socket(fileno=int(descriptor)))
    Supervisor(DataFolder(Path(path)), channel).serve()


class Supervisor:
    """Does with the servers what the caller asks over the channel, one request at a time."""

    def __init__(self, folder: DataFolder, channel: Channel) -> None:
        self._folder = folder
        self._channel = channel
        self._signals = _receive_signals()
        self._running = RunningServers(folder, self._attend)
        self._servers: dict[str, Server] = {}
        self._ready_timeout_s = 0.0
        self._acts: dict[str, Callable[..., Any]] = {
            "start": self._start,
            "start_server": self._start_server,
            "stop_server": self._running.stop,
            "kill_server": self._running.kill,
            "pause_server": self._running.pause,
            "resume_server": self._running.resume,
            "exited": self._running.exited,
            "pids": self._running.pids,
        }

    def serve(self) -> None:
        """This will answer requests until the caller is gone or a signal comes, then stop every server."""
        try:
            while True:
                if self._attend(None):
                    self._answer(self._channel.receive(timeout_s=REQUEST_TIMEOUT_S))
        except (Dismissed, Closed, TimeoutError) as reason:
            log(f"stopping: {reason}")
        finally:
            self._running.stop_all()

    def _answer(self, request: Message) -> None:
        try:
            answer = {"result": self._acts[request["act"]](**request["arguments"])}
        except (EmbeddedServersError, OSError, subprocess.SubprocessError) as error:
            log(f"{request['act']} failed: {error}")
            answer = {"error": str(error)}
        self._channel.send({"number": request["number"], **answer})

    def _start(
        self, *, which: list[str], programs: dict[str, str], durable: bool, ready_timeout_s: float
    ) -> dict[str, str]:
        self._ready_timeout_s = ready_timeout_s
        deadline_s = time.monotonic() + ready_timeout_s
        self._folder.lock()
        self._running.end_orphans()
        access, held_ports = self._folder.claim_access(frozenset(which))
        self._servers = _describe(self._folder, access, programs, durable=durable)
        # PostgreSQL is the last of them: the others come up while its cluster is made.
        for name, server in self._servers.items():
            server.prepare(self._running.tool_runner(server, deadline_s))
            held_ports[name].close()
            self._running.start(server)
        for server in self._servers.values():
            self._running.wait_ready(server, deadline_s)
        return {field: url for server in self._servers.values() for field, url in server.urls().items()}

    def _start_server(self, *, name: str) -> None:
        server = self._servers[name]
        if name not in self._running.pids():
            self._running.start(server)
        self._running.wait_ready(server, time.monotonic() + self._ready_timeout_s)

    def _attend(self, timeout_s: float | None) -> bool:
        """This will wait for something to happen and tell whether a request is waiting."""
        sources: list[Channel | socket.socket] = [self._channel, self._signals]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._signals in ready:
            if STOP_SIGNALS.intersection(self._signals.recv(4096)):
                raise Dismissed("asked by a signal")
            self._running.note_deaths()
        if self._channel in ready and self._channel.at_end():
            raise Dismissed("the caller is gone")
        return self._channel in ready


def _describe(folder: DataFolder, access: Access, programs: dict[str, str], *, durable: bool) -> dict[str, Server]:
    """This will describe the servers that have a program, in the order in which they start."""
    servers: dict[str, Server] = {}
    for name in ("redis", "nats", "postgres"):
        if name not in programs:
            continue
        program, port, password = Path(programs[name]), access.ports[name], access.passwords[name]
        if name == "postgres":
            servers[name] = Postgres(
                folder=folder,
                program=program,
                port=port,
                durable=durable,
                owner_password=password,
                admin_password=access.passwords["postgres_admin"],
                run_as=account_for_postgres(program, folder.path),
            )
        else:
            describe = Valkey if name == "redis" else Nats
            servers[name] = describe(
                folder=folder,
                program=program,
                port=port,
                durable=durable,
                password=password,
                run_as=OURSELVES,
            )
    return servers


def _receive_signals() -> socket.socket:
    """This will return a socket on which each signal that concerns us arrives as one byte, its number."""
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    signal.set_wakeup_fd(sending.detach())
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)  # the byte on the socket is what counts
    return receiving
