"""Running what a deployment file says, on this machine: its commands, its variables, its secrets, with nothing changed
but where the servers are, which ports are taken, and where the secrets' files stand."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.image.recipe import Recipe

from billing_cli.local_service import free_port

ENDS_WITHIN_S = 120.0
# What the image's command line begins with, and what that is here.
PROGRAMS: Mapping[str, Sequence[str]] = {
    "python": [sys.executable],
    "billing": [sys.executable, "-m", "billing_cli"],
}


@dataclass(frozen=True, slots=True)
class Workload:
    """A container of ours: its command, its variables, and the secrets that stand in it, by their paths there."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    files: Mapping[str, str]

    def instead(self, command: Sequence[str]) -> "Workload":
        """The same with another command, as `docker compose run` takes one."""
        return Workload(self.name, command, self.environment, self.files)


@dataclass
class Machine:
    """Where workloads run. `secrets` are the texts by their names, `places` what stands for each `HOST:PORT`, `ports`
    what stands for each port that is listened on."""

    folder: Path
    secrets: Mapping[str, str]
    places: Mapping[str, str]
    ports: dict[int, int] = field(default_factory=dict)

    def port(self, number: int) -> int:
        """The port of this machine that stands for one of a container."""
        if number not in self.ports:
            self.ports[number] = free_port()
        return self.ports[number]

    def run(self, workload: Workload) -> "subprocess.CompletedProcess[str]":
        """This will run it to its end."""
        return subprocess.run(
            self._command(workload.command),
            env=self.environment(workload),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )

    def here(self, text: str) -> str:
        """The text with the places and ports of this machine in it."""
        listening = {f"127.0.0.1:{number}": f"127.0.0.1:{port}" for number, port in self.ports.items()}
        for place, here in {**self.places, **listening}.items():
            text = text.replace(place, here)
        return text

    @contextmanager
    def started(self, workload: Workload) -> "Iterator[subprocess.Popen[bytes]]":
        """This will run it while the block lasts; afterwards it is told to stop and must end well."""
        command, environment = self._command(workload.command), self.environment(workload)
        with self.log(workload.name).open("ab") as log:
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(ENDS_WITHIN_S) == 0, self.log(workload.name).read_text("utf-8")
        finally:
            process.kill()
            process.wait()

    def log(self, name: str) -> Path:
        """What it says."""
        return self.folder / f"{name}.log"

    def environment(self, workload: Workload) -> dict[str, str]:
        """The image's variables and its own, as they are on this machine."""
        image = {name: value for name, value in Recipe().environment().items() if name != "PATH"}
        root = self.lay(workload.name, workload.files)
        return {name: self._here(name, value, root) for name, value in (image | dict(workload.environment)).items()}

    def lay(self, name: str, files: Mapping[str, str]) -> Path:
        """This will put these secrets, and no others, where a container has them, below the folder that is returned."""
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for path, secret in files.items():
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.here(self.secrets[secret]), "utf-8")
        return root

    def _command(self, command: Sequence[str]) -> list[str]:
        return [*PROGRAMS[command[0]], *command[1:]]

    def _here(self, name: str, value: str, root: Path) -> str:
        if name.endswith("_FILE") and value.startswith("/"):
            return str(root / value.lstrip("/"))
        if name.endswith("_PORT") and value not in ("", "0"):
            return str(self.port(int(value)))
        if value == "0.0.0.0":  # noqa: S104 - compared, not bound
            return "127.0.0.1"
        return self.here(value)
