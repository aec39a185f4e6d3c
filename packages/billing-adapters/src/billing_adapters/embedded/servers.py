"""The servers: how each is prepared, started, asked whether it is ready, reached and stopped."""

import json
import os
import shutil
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from billing_adapters.embedded.account import hand_over
from billing_adapters.embedded.folder import LOOPBACK, DataFolder
from billing_adapters.embedded.processes import OURSELVES, RunAs

DATABASE = "billing"
POSTGRES_MAX_CONNECTIONS = 200
PROBE_TIMEOUT_S = 1.0
# Runs a command of a server to its end, giving it these bytes to read; raises when it fails.
RunTool = Callable[[list[str], bytes], None]


class Server(Protocol):
    """What the supervisor knows of a server."""

    stop_signal: ClassVar[signal.Signals]

    @property
    def name(self) -> str:
        """What it is called: its data folder, its log and its port are."""

    @property
    def run_as(self) -> RunAs:
        """The account it runs under."""

    def prepare(self, run: RunTool) -> None:
        """This will write what must exist before the server starts; safe to repeat after a crash half-way."""

    def command(self) -> list[str]:
        """This will return the command line, which names the data folder (orphans are recognised by that)."""

    def is_ready(self) -> bool:
        """This will ask the server itself. `OSError` means: not yet."""

    def urls(self) -> dict[str, str]:
        """This will return the fields of `ServerUrls` that this server fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """PostgreSQL with scram passwords, its role `billing` and that role's database."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    folder: DataFolder
    program: Path
    port: int
    durable: bool
    owner_password: str
    admin_password: str
    run_as: RunAs

    def prepare(self, run: RunTool) -> None:
        """This will make the database cluster unless there is one: aside, and renamed when complete."""
        cluster = self._cluster
        if cluster.exists():
            hand_over(cluster, self.run_as)  # made under another account, perhaps
            return
        draft = cluster.with_name("pg.new")
        shutil.rmtree(draft, ignore_errors=True)  # what a crash left; mkdir complains if it is still there
        draft.mkdir(mode=0o700)
        hand_over(draft, self.run_as)
        run(self._initdb(draft), b"")
        run(
            [str(self.program), "--single", "-c", "exit_on_error=on", "-D", str(draft), "postgres"],
            self._roles(),
        )
        # Only now, because initdb wants the password in a file or none. Loopback and password only.
        (draft / "pg_hba.conf").write_text(f"host all all {LOOPBACK}/32 scram-sha-256\n", encoding="utf-8")
        draft.rename(cluster)
        _flush_folder(cluster.parent)

    def command(self) -> list[str]:
        """This will return `postgres` itself, no pg_ctl between, listening on loopback TCP only."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(POSTGRES_MAX_CONNECTIONS),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_error_verbosity": "terse",  # without the rows it refused
        }
        if not self.durable:
            # Commits stay synchronous: what was acknowledged must outlive the server, which tests kill, though not the
            # machine.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.program), "-D", str(self._cluster), *options]

    def is_ready(self) -> bool:
        """This will begin a session: a server that asks for the password lets sessions in."""
        body = struct.pack("!I", 3 << 16) + f"user\0{DATABASE}\0database\0{DATABASE}\0\0".encode()
        with socket.create_connection((LOOPBACK, self.port), PROBE_TIMEOUT_S) as session:
            session.sendall(struct.pack("!I", len(body) + 4) + body)
            return session.recv(1) == b"R"  # "E" while it recovers

    def urls(self) -> dict[str, str]:
        """This will return the URL of the owner and of the superuser."""
        place = f"{LOOPBACK}:{self.port}/{DATABASE}"
        return {
            "postgres": f"postgresql://{DATABASE}:{self.owner_password}@{place}",
            "postgres_admin": f"postgresql://postgres:{self.admin_password}@{place}",
        }

    @property
    def _cluster(self) -> Path:
        return self.folder.path / "pg"

    def _initdb(self, draft: Path) -> list[str]:
        # C.UTF-8 is in every build of PostgreSQL, so the order of texts does not depend on the machine.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        speed = [] if self.durable else ["--no-sync"]
        initdb = str(self.program.with_name("initdb"))
        return [initdb, "-D", str(draft), "-U", "postgres", "--auth=trust", *locale, *speed]

    def _roles(self) -> bytes:
        # One statement per line: that is how the single-user mode reads.
        return (
            f"ALTER ROLE postgres PASSWORD '{self.admin_password}'\n"
            f"CREATE ROLE {DATABASE} LOGIN CREATEDB PASSWORD '{self.owner_password}'\n"
            # Who looks at a development database with psql wants to see it: the processes say themselves what they see.
            f"ALTER ROLE {DATABASE} SET billing.merchant_id = '*'\n"
            f"CREATE DATABASE {DATABASE} OWNER {DATABASE}\n"
        ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """Valkey, which speaks the Redis protocol; `durable` keeps an append-only file, synced every second."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: DataFolder
    program: Path
    port: int
    durable: bool
    password: str
    run_as: RunAs = OURSELVES
    name: str = "redis"
    more: tuple[str, ...] = ()  # lines of configuration, where it is one of several

    def prepare(self, run: RunTool) -> None:
        """This will write the configuration: in a file, because any user can read a command line."""
        lines = (
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {quoted(self.folder.data_of(self.name))}",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            "set-proc-title no",  # the title would hide the command line that orphans are recognised by
            *self.more,
        )
        self.folder.write_private(f"conf/{self.name}.conf", "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """This will return the command line; everything else is in the configuration."""
        return [str(self.program), str(self.folder.path / "conf" / f"{self.name}.conf")]

    def is_ready(self) -> bool:
        """This will log in and ping. While the append-only file is being read, the answer is an error."""
        with socket.create_connection((LOOPBACK, self.port), PROBE_TIMEOUT_S) as session:
            session.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            answers = session.makefile("rb")
            return (answers.readline(), answers.readline()) == (b"+OK\r\n", b"+PONG\r\n")

    def urls(self) -> dict[str, str]:
        """This will return the URL of database 0."""
        return {"redis": f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nats:
    """NATS with JetStream; `durable` syncs every message before it is acknowledged."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: DataFolder
    program: Path
    port: int
    durable: bool
    password: str
    run_as: RunAs = OURSELVES
    name: str = "nats"
    more: tuple[str, ...] = ()  # lines of configuration, where it is one of several

    def prepare(self, run: RunTool) -> None:
        """This will write the configuration: in a file, because any user can read a command line."""
        lines = (
            f'listen: "{LOOPBACK}:{self.port}"',
            f'server_name: "{self.name if self.more else "billing-embedded"}"',
            f'authorization {{ token: "{self.password}" }}',
            "jetstream {",
            f"  store_dir: {quoted(self.folder.data_of(self.name))}",
            "  max_mem: 256M",
            "  max_file: 10G",
            f"  sync_interval: {'always' if self.durable else '2m'}",
            "}",
            *self.more,
        )
        self.folder.write_private(f"conf/{self.name}.conf", "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """This will return the command line; everything else is in the configuration."""
        return [str(self.program), "-c", str(self.folder.path / "conf" / f"{self.name}.conf")]

    def is_ready(self) -> bool:
        """This will log in and ping a server that says it has JetStream."""
        with socket.create_connection((LOOPBACK, self.port), PROBE_TIMEOUT_S) as session:
            lines = session.makefile("rb")
            greeting = lines.readline()
            session.sendall(f'CONNECT {{"auth_token":"{self.password}","verbose":false}}\r\nPING\r\n'.encode())
            return b'"jetstream":true' in greeting and lines.readline() == b"PONG\r\n"

    def urls(self) -> dict[str, str]:
        """This will return the URL with the token in it."""
        return {"nats": f"nats://{self.password}@{LOOPBACK}:{self.port}"}


def quoted(path: Path) -> str:
    """The path as a server's configuration has it."""
    # Both configuration languages take JSON's escapes, so a folder may have spaces and quotes in its name.
    return json.dumps(str(path), ensure_ascii=False)


def _flush_folder(folder: Path) -> None:
    # A rename is only safe from a power cut once the folder that holds the names is on disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
