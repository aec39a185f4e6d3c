"""Valkey's sentinel: it watches a primary, and promotes the replica where most sentinels miss it."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from billing_adapters.embedded.folder import LOOPBACK, DataFolder
from billing_adapters.embedded.processes import OURSELVES, RunAs
from billing_adapters.embedded.redis_talk import talk
from billing_adapters.embedded.servers import RunTool, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel:
    """One of several; `more` tells it whom to watch and who the others are. What it finds out it writes into its own
    configuration, which every start of the folder makes anew; `durable` means nothing to it."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: DataFolder
    program: Path
    port: int
    durable: bool
    password: str
    name: str
    more: tuple[str, ...]
    run_as: RunAs = OURSELVES

    def prepare(self, run: RunTool) -> None:
        """This will write the configuration: in a file, because any user can read a command line."""
        lines = (
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {quoted(self.folder.data_of(self.name))}",
            "set-proc-title no",  # the title would hide the command line that orphans are recognised by
            *self.more,
        )
        self.folder.write_private(f"conf/{self.name}.conf", "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """This will return the command line; everything else is in the configuration."""
        return [str(self.program), str(self.folder.path / "conf" / f"{self.name}.conf"), "--sentinel"]

    def is_ready(self) -> bool:
        """This will log in and ping."""
        return talk(self.port, self.password, ("PING",)) == ["PONG"]

    def urls(self) -> dict[str, str]:
        """This will return nothing: sentinels are reached together."""
        return {}
