"""The servers that run now: started, awaited, watched, stopped, frozen and killed by the supervisor."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from subprocess import PIPE, Popen, TimeoutExpired

from billing_adapters.embedded.ensembles import Ensemble
from billing_adapters.embedded.folder import DataFolder, EmbeddedServersError
from billing_adapters.embedded.processes import (
    end_adopted,
    family_of,
    freeze,
    process_table,
    signal_all,
    spawn,
    wait_until_gone,
)
from billing_adapters.embedded.servers import RunTool, Server

STOP_TIMEOUT_S = 20.0
GONE_TIMEOUT_S = 10.0
PROBE_EVERY_S = 0.01
FORM_EVERY_S = 0.05
LOG_TAIL_CHARACTERS = 2000
TOOL = "tool"  # recorded like a server, so that it is ended like one, but free to exit by itself

_Child = tuple[Popen[bytes], Signals]


def log(event: str) -> None:
    """This will write one line with the time to the supervisor's log, which is its standard error."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {event}\n")
    sys.stderr.flush()


class RunningServers:
    """The supervisor's children. Waits go through `attend`, which raises when the caller is gone."""

    def __init__(self, folder: DataFolder, attend: Callable[[float], object]) -> None:
        self._folder = folder
        self._attend = attend
        self._children: dict[str, _Child] = {}
        self._exited: dict[str, int] = {}

    def pids(self) -> dict[str, int]:
        """This will return the process id of each running server."""
        return {name: process.pid for name, (process, _) in self._children.items()}

    def exited(self) -> dict[str, int]:
        """This will return the exit code of each server that died unasked and was not started since."""
        return dict(self._exited)

    def end_orphans(self) -> None:
        """This will end what a dead supervisor left; we hold the lock, so it belongs to nobody."""
        table, orphans = process_table(), dict[int, Signals]()
        for pid, stop_signal in self._folder.recorded_processes().values():
            # The number may belong to another program by now; ours have the data folder in their command.
            if pid in table and f"{self._folder.path}/" in table[pid].command:
                orphans[pid] = stop_signal
        for pid, stop_signal in orphans.items():
            log(f"ending process {pid}, left by a dead supervisor")
            signal_all(family_of(pid), SIGCONT)  # it may have been paused
            signal_all([pid], stop_signal)
        for pid in wait_until_gone(orphans, timeout_s=STOP_TIMEOUT_S):
            _kill_family(pid)

    def start(self, server: Server) -> None:
        """This will start the server's process; `wait_ready` tells when it can be used."""
        self._exited.pop(server.name, None)
        process = spawn(
            server.command(),
            log=self._folder.log_of(server.name),
            stop_signal=server.stop_signal,
            run_as=server.run_as,
        )
        self._add(server.name, process, server.stop_signal)

    def wait_ready(self, server: Server, deadline_s: float) -> None:
        """This will wait until the server answers; `EmbeddedServersError` when it dies or is too slow."""
        while not _holds(server.is_ready):
            if server.name not in self._children:
                raise self._failure(server, f"exited with {self._exited.get(server.name)} while starting")
            if time.monotonic() > deadline_s:
                raise self._failure(server, "was not ready in time")
            self._attend(PROBE_EVERY_S)

    def wait_formed(self, ensemble: Ensemble, deadline_s: float) -> None:
        """This will wait until the servers have come together; `EmbeddedServersError` when that takes too long."""
        while not _holds(ensemble.form):
            if time.monotonic() > deadline_s:
                raise EmbeddedServersError(f"the servers of {ensemble.name} did not come together in time")
            self._attend(FORM_EVERY_S)

    def tool_runner(self, server: Server, deadline_s: float) -> RunTool:
        """This will return what runs the server's own tools, for its preparation."""
        return partial(self._run_tool, server, deadline_s)

    def stop(self, *, name: str) -> None:
        """This will stop the server in order, by force after 20 s; one that does not run is left so."""
        if name in self._children:
            self._ask_to_stop(name)
            self._await_stop(name)

    def stop_all(self) -> None:
        """This will stop every server, all of them at once."""
        names = list(self._children)
        for name in names:
            self._ask_to_stop(name)
        for name in names:
            self._await_stop(name)

    def kill(self, *, name: str) -> None:
        """This will end the server and its children at once, as a power cut would."""
        process, _ = self._child(name)
        self._remove(name)
        _kill_family(process.pid)
        process.wait()

    def pause(self, *, name: str) -> None:
        """This will freeze the server and its children: connections are accepted and never answered."""
        freeze(self._child(name)[0].pid)

    def resume(self, *, name: str) -> None:
        """This will let a frozen server go on."""
        signal_all(family_of(self._child(name)[0].pid), SIGCONT)

    def note_deaths(self) -> None:
        """This will take note of servers that died unasked; what follows is for the caller to decide."""
        for name, (process, _) in list(self._children.items()):
            if name != TOOL and (code := process.poll()) is not None:
                self._remove(name)
                self._exited[name] = code
                log(f"{name} (process {process.pid}) exited with {code}, and nobody had asked it to")
        # A busy PostgreSQL session outlives its server, and keeps the next one from starting.
        end_adopted(self.pids().values(), timeout_s=GONE_TIMEOUT_S)

    def _run_tool(self, server: Server, deadline_s: float, command: list[str], text: bytes) -> None:
        tool = spawn(
            command,
            log=self._folder.log_of(server.name),
            stop_signal=SIGTERM,
            run_as=server.run_as,
            stdin=PIPE,
        )
        assert tool.stdin is not None  # noqa: S101 - PIPE was asked for; this is for the type checker
        self._add(TOOL, tool, SIGTERM)
        with suppress(BrokenPipeError), tool.stdin as stdin:  # it ended unread: its exit code and log say why
            stdin.write(text)
        while tool.poll() is None and time.monotonic() < deadline_s:
            self._attend(PROBE_EVERY_S)
        self.stop(name=TOOL)
        if tool.returncode != 0:
            raise self._failure(server, f"could not be prepared: {command[0]} ended with {tool.returncode}")

    def _ask_to_stop(self, name: str) -> None:
        process, stop_signal = self._children[name]
        signal_all(family_of(process.pid), SIGCONT)  # a frozen process does not hear
        process.send_signal(stop_signal)

    def _await_stop(self, name: str) -> None:
        process, _ = self._children[name]
        try:
            process.wait(STOP_TIMEOUT_S)
        except TimeoutExpired:
            log(f"{name} (process {process.pid}) did not stop within {STOP_TIMEOUT_S:.0f} s: killed")
            _kill_family(process.pid)
            process.wait()
        self._remove(name)

    def _child(self, name: str) -> _Child:
        if name not in self._children:
            raise EmbeddedServersError(f"{name} is not running")
        return self._children[name]

    def _add(self, name: str, process: Popen[bytes], stop_signal: Signals) -> None:
        self._children[name] = (process, stop_signal)
        self._record()

    def _remove(self, name: str) -> None:
        del self._children[name]
        self._record()

    def _record(self) -> None:
        self._folder.record_processes({name: (p.pid, stop) for name, (p, stop) in self._children.items()})

    def _failure(self, server: Server, what: str) -> EmbeddedServersError:
        path = self._folder.log_of(server.name)
        tail = path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        return EmbeddedServersError(f"{server.name} {what}; the end of {path}:\n{tail}")


def _holds(fact: Callable[[], bool]) -> bool:
    try:
        return fact()
    except OSError:
        return False  # refused, reset or silent: not yet


def _kill_family(pid: int) -> None:
    try:
        family = freeze(pid)
    except ProcessLookupError:
        return  # it ended by itself meanwhile
    signal_all(family, SIGKILL)
    # Without its children too: PostgreSQL will not start while one of them holds the shared memory.
    children = [member for member in family if member != pid]
    if left := wait_until_gone(children, timeout_s=GONE_TIMEOUT_S):
        raise EmbeddedServersError(f"processes {left} survive SIGKILL")
