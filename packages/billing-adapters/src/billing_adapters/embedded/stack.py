"""The caller's side: one supervisor process, asked over a channel whose closing stops everything."""

import dataclasses
import itertools
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from billing_adapters.embedded.binaries import find_programs
from billing_adapters.embedded.channel import Channel, Closed
from billing_adapters.embedded.folder import ALL_SERVERS, EmbeddedServersError, ServerUrls
from billing_adapters.embedded.layout import ONE_OF_EACH, Layout

ANSWER_TIMEOUT_S = 60.0  # stopping one server takes 20 s at the longest, and killing what is left 10 s more
SUPERVISOR_STOP_TIMEOUT_S = 90.0
SOURCES = Path(__file__).parents[2]
# Isolated and without site-packages it starts fast; it needs the standard library and these modules only.
START_SUPERVISOR = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from billing_adapters.embedded.supervisor import supervise; supervise(*sys.argv[2:])"
)


class EmbeddedServers:
    """The servers of one data folder, running from `start` to `stop` and no longer than this process.

    However this process ends, SIGKILL included, the servers are stopped in order. One owner can use a folder
    at a time; any number of processes can use the URLs. Methods may be called from any thread.
    """

    def __init__(
        self,
        data: Path,
        *,
        durable: bool = True,
        which: frozenset[str] = ALL_SERVERS,
        layout: Layout = ONE_OF_EACH,
        ready_timeout_s: float = 90.0,
    ) -> None:
        """This will take the folder to keep everything in; nothing happens before `start`.

        `durable` syncs to disk as production does (Valkey: once a second); without it only speed counts: a
        crash of the machine may lose data, and a restart empties Valkey. `which` names the servers wanted, of
        `postgres`, `redis` and `nats`; `layout` says where several processes are one of them (`layout.members`): these
        are stopped, killed and paused by their own names. `ready_timeout_s` limits the start of all, and of one, in
        seconds.

        Raises `EmbeddedServersError` when `which` is empty or names another server.
        """
        if not which or which - ALL_SERVERS:
            raise EmbeddedServersError(f"{sorted(which)}: name some of {sorted(ALL_SERVERS)}")
        self.data = data.resolve()
        self._durable = durable
        self._which, self._layout = which, layout
        self._ready_timeout_s = ready_timeout_s
        self._urls: ServerUrls | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._one_at_a_time = threading.Lock()
        self._numbers = itertools.count()

    @property
    def urls(self) -> ServerUrls:
        """Where the servers are. Raises `EmbeddedServersError` before `start` and after `stop`."""
        if self._urls is None:
            raise EmbeddedServersError("the embedded servers are not started")
        return self._urls

    def start(self) -> ServerUrls:
        """This will start the servers, making their data on first use, and return once each answers.

        The same folder gives the same URLs again, unless another program took a port meanwhile. Raises
        `EmbeddedServersError` when the folder is in use, a program is missing, or a server fails or is late.
        """
        if self._supervisor is not None:
            raise EmbeddedServersError("the embedded servers are started already")
        programs = find_programs(self._which)
        try:
            self._launch()
            urls = self._ask(
                "start",
                timeout_s=self._ready_timeout_s + ANSWER_TIMEOUT_S,
                which=sorted(self._which),
                layout=dataclasses.asdict(self._layout),
                programs=programs,
                durable=self._durable,
                ready_timeout_s=self._ready_timeout_s,
            )
        except BaseException:  # an interrupt too must leave nothing running
            self.stop()
            raise
        self._urls = ServerUrls(**urls)
        return self._urls

    def stop(self) -> None:
        """This will stop every server and wait until all are gone; without effect when nothing runs."""
        self._urls = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._supervisor is not None:
            try:
                self._supervisor.wait(SUPERVISOR_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()  # what it leaves is ended by the kernel, or by the next start
                self._supervisor.wait()
            self._supervisor = None

    def start_server(self, name: str) -> None:
        """This will start one server again where it was and wait until it answers; one that runs is left so.

        Raises `EmbeddedServersError` when it fails or is late.
        """
        self._ask_about(name, "start_server", timeout_s=self._ready_timeout_s + ANSWER_TIMEOUT_S)

    def stop_server(self, name: str) -> None:
        """This will stop one server in order while the others go on; one that is stopped is left so."""
        self._ask_about(name, "stop_server")

    def kill_server(self, name: str) -> None:
        """This will SIGKILL one server and its children; `EmbeddedServersError` when it is not running."""
        self._ask_about(name, "kill_server")

    def pause_server(self, name: str) -> None:
        """This will SIGSTOP one server with its children: connections to it hang instead of being refused.

        Raises `EmbeddedServersError` when it is not running.
        """
        self._ask_about(name, "pause_server")

    def resume_server(self, name: str) -> None:
        """This will let a paused server go on. Raises `EmbeddedServersError` when it is not running."""
        self._ask_about(name, "resume_server")

    def exited(self) -> dict[str, int]:
        """This will return the exit codes (negative: a signal) of servers that died unasked, by server name.

        The others go on running; `start_server` starts the dead one again and takes it off this list.
        """
        codes: dict[str, int] = self._ask("exited")
        return codes

    def pids(self) -> dict[str, int]:
        """This will return the process ids of the running servers, and of their `supervisor`."""
        pids: dict[str, int] = self._ask("pids")
        supervisor = {} if self._supervisor is None else {"supervisor": self._supervisor.pid}
        return {**supervisor, **pids}

    def __enter__(self) -> Self:
        """This will start the servers; `urls` says where they are."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will stop the servers."""
        self.stop()

    def _launch(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log.parent.mkdir(exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        arguments = [str(SOURCES), str(self.data), str(theirs.fileno())]
        with theirs, self._log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START_SUPERVISOR, *arguments],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; the servers are stopped by us, in order
            )

    def _ask_about(self, name: str, act: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        members = [member for server in sorted(self._which) for member in self._layout.members(server)]
        if name not in members:
            raise EmbeddedServersError(f"{name!r} is not one of these servers: {members}")
        self._ask(act, timeout_s=timeout_s, name=name)

    def _ask(self, act: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> Any:
        with self._one_at_a_time:
            if self._channel is None:
                raise EmbeddedServersError("the embedded servers are not started")
            number = next(self._numbers)
            try:
                self._channel.send({"number": number, "act": act, "arguments": arguments})
                answer = self._channel.receive(timeout_s=timeout_s)
                while answer["number"] != number:  # the answer to a question that was interrupted
                    answer = self._channel.receive(timeout_s=timeout_s)
            except (Closed, TimeoutError) as error:
                raise EmbeddedServersError(f"no answer to {act}; see {self._log}: {error}") from error
        if "error" in answer:
            raise EmbeddedServersError(answer["error"])
        return answer["result"]

    @property
    def _log(self) -> Path:
        return self.data / "log" / "supervisor.log"
