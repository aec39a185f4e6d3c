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
from billing_adapters.embedded.ensembles import Ensemble, NatsCluster, RedisNodes, WatchedRedis
from billing_adapters.embedded.folder import Access, DataFolder, EmbeddedServersError
from billing_adapters.embedded.layout import PEERS, SENTINELS, Layout
from billing_adapters.embedded.processes import adopt_orphans
from billing_adapters.embedded.running import RunningServers, log
from billing_adapters.embedded.sentinel import Sentinel
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
        self,
        *,
        which: list[str],
        layout: dict[str, Any],
        programs: dict[str, str],
        durable: bool,
        ready_timeout_s: float,
    ) -> dict[str, str]:
        self._ready_timeout_s = ready_timeout_s
        deadline_s = time.monotonic() + ready_timeout_s
        self._folder.lock()
        self._running.end_orphans()
        laid_out = Layout(**layout)
        access, held_ports = self._folder.claim_access(
            frozenset(port for name in which for port in laid_out.ports(name))
        )
        self._servers, ensembles = _describe(self._folder, access, programs, laid_out, durable=durable)
        # PostgreSQL is the last of them: the others come up while its cluster is made.
        for name, server in self._servers.items():
            server.prepare(self._running.tool_runner(server, deadline_s))
            for port in (name, f"{name}{PEERS}"):
                if port in held_ports:
                    held_ports[port].close()
            self._running.start(server)
        for server in self._servers.values():
            self._running.wait_ready(server, deadline_s)
        for ensemble in ensembles:
            self._running.wait_formed(ensemble, deadline_s)
        urls = {field: url for server in self._servers.values() for field, url in server.urls().items()}
        for ensemble in ensembles:
            urls |= ensemble.urls()  # together they are reached otherwise than each alone
        return urls

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


def _describe(
    folder: DataFolder, access: Access, programs: dict[str, str], layout: Layout, *, durable: bool
) -> tuple[dict[str, Server], list[Ensemble]]:
    """This will describe the servers that have a program, in the order in which they start, and which of them belong
    together."""
    servers: dict[str, Server] = {}
    ensembles: list[Ensemble] = []
    for name in ("redis", "nats"):
        if name not in programs:
            continue
        ensemble = _ensemble(name, access, layout)
        ensembles += [ensemble] if ensemble else []
        for member in layout.members(name):
            describe = Sentinel if member in SENTINELS else Valkey if name == "redis" else Nats
            servers[member] = describe(
                folder=folder,
                program=Path(programs[name]),
                port=access.ports[member],
                durable=durable,
                password=access.passwords[name],
                name=member,
                more=ensemble.lines_of(member) if ensemble else (),
            )
    if "postgres" in programs:
        program = Path(programs["postgres"])
        servers["postgres"] = Postgres(
            folder=folder,
            program=program,
            port=access.ports["postgres"],
            durable=durable,
            owner_password=access.passwords["postgres"],
            admin_password=access.passwords["postgres_admin"],
            run_as=account_for_postgres(program, folder.path),
        )
    return servers, ensembles


def _ensemble(name: str, access: Access, layout: Layout) -> NatsCluster | WatchedRedis | RedisNodes | None:
    ports = {member: access.ports[member] for member in layout.members(name)}
    peers = {member: access.ports[f"{member}{PEERS}"] for member in ports if f"{member}{PEERS}" in layout.ports(name)}
    password = access.passwords[name]
    if len(ports) == 1:
        return None
    if name == "nats":
        return NatsCluster(ports=ports, route_ports=peers, password=password)
    if layout.redis == "cluster":
        return RedisNodes(ports=ports, bus_ports=peers, password=password)
    sentinels = {member: ports.pop(member) for member in SENTINELS}
    return WatchedRedis(data_ports=ports, sentinel_ports=sentinels, password=password)


def _receive_signals() -> socket.socket:
    """This will return a socket on which each signal that concerns us arrives as one byte, its number."""
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    signal.set_wakeup_fd(sending.detach())
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)  # the byte on the socket is what counts
    return receiving
