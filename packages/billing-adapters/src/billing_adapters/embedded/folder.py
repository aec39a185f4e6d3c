"""The data folder: what stays between two starts, and which one supervisor may use it now."""

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import signal
import socket
from io import TextIOWrapper
from pathlib import Path

ALL_SERVERS = frozenset({"postgres", "redis", "nats"})
LOOPBACK = "127.0.0.1"
# Below the ports that Linux (32768 up) and macOS (49152 up) give to outgoing connections. A client that keeps
# dialling a stopped server on such a port can end up connected to itself, and the server cannot come back.
PORTS = range(15_000, 32_000)
PORT_TRIES = 100


class EmbeddedServersError(RuntimeError):
    """The embedded servers cannot do what was asked; the text says why and where to look."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerUrls:
    """Where the servers are, passwords included. `None` for a server that was not asked for.

    `postgres` is the role `billing`, which owns the database `billing`, may create databases and is no
    superuser; `postgres_admin` is the superuser on the same database.
    """

    postgres: str | None = None
    postgres_admin: str | None = None
    redis: str | None = None
    nats: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """How clients get in: kept in the folder, so that a restart hands out the same URLs."""

    ports: dict[str, int]
    passwords: dict[str, str]


class DataFolder:
    """One folder with everything the servers of one caller write."""

    def __init__(self, path: Path) -> None:
        """This will take `path` (absolute) and create what is missing of it, closed to other users."""
        self.path = path
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("log", "conf"):
            (path / name).mkdir(exist_ok=True, mode=0o700)
        self._lock: TextIOWrapper | None = None

    def log_of(self, name: str) -> Path:
        """This will return the file that the named server or the supervisor logs to."""
        return self.path / "log" / f"{name}.log"

    def data_of(self, name: str) -> Path:
        """This will return the folder that the named server keeps its data in, made if it is missing."""
        folder = self.path / name
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def lock(self) -> None:
        """This will claim the folder until this process ends.

        Raises `EmbeddedServersError` when another supervisor holds it, naming its process.
        """
        lock = (self.path / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise EmbeddedServersError(f"{self.path} is already in use by supervisor process {holder}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def claim_access(self, ports: frozenset[str]) -> tuple[Access, dict[str, socket.socket]]:
        """This will settle the named ports, and passwords: the kept ones where they are kept and free.

        Returns them with one listening socket per port, which holds it: close it just before the server binds.
        Raises `EmbeddedServersError` when no port is free.
        """
        kept = self._kept_access()
        held = {name: _hold_port(kept.ports.get(name)) for name in sorted(ports)}
        taken = {name: holder.getsockname()[1] for name, holder in held.items()}
        # Hexadecimal needs no quoting, neither in a URL nor in SQL nor in a configuration file.
        fresh = {name: secrets.token_hex(16) for name in (*sorted(ALL_SERVERS), "postgres_admin")}
        access = Access({**kept.ports, **taken}, {**fresh, **kept.passwords})
        self.write_private("access.json", json.dumps(dataclasses.asdict(access), indent=1))
        return access, held

    def record_processes(self, processes: dict[str, tuple[int, signal.Signals]]) -> None:
        """This will write down each server's process id and stop signal, for whoever finds them orphaned."""
        self.write_private("processes.json", json.dumps(processes))

    def recorded_processes(self) -> dict[str, tuple[int, signal.Signals]]:
        """This will return what was last recorded; nothing when there is no readable record."""
        try:
            recorded = json.loads((self.path / "processes.json").read_text())
        except (OSError, ValueError):
            return {}
        return {name: (int(pid), signal.Signals(stop)) for name, (pid, stop) in recorded.items()}

    def write_private(self, name: str, text: str) -> Path:
        """This will write a file of this folder whole or not at all, readable by its owner only."""
        path = self.path / name
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        return path

    def _kept_access(self) -> Access:
        try:
            kept = json.loads((self.path / "access.json").read_text())
            return Access(kept["ports"], kept["passwords"])
        except FileNotFoundError:
            if (self.path / "pg").exists():
                # The passwords are in the database as hashes only; new ones would be refused there.
                raise EmbeddedServersError(f"{self.path} has a database but lost access.json") from None
            return Access({}, {})


def _hold_port(kept: int | None) -> socket.socket:
    """This will listen on the kept port, or on a random free one; two callers never hold the same."""
    candidates = ([kept] if kept else []) + secrets.SystemRandom().sample(PORTS, PORT_TRIES)
    for port in candidates:
        holder = socket.socket()
        # As the servers do: connections of an earlier run in TIME_WAIT must not cost us our port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # taken: the next candidate
            holder.bind((LOOPBACK, port))
            holder.listen(1)
            return holder
        holder.close()
    raise EmbeddedServersError(f"no free port on {LOOPBACK} after {PORT_TRIES} tries")
