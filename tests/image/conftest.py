"""What the image would hold, made by the Dockerfile's own steps, and a way to run it as a container would."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.image import confined
from tests.image.recipe import INSTALLED, ROOT, Recipe

DEADLINE_S = 60.0


class Running:
    """A confined process, and what it says."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            [sys.executable, confined.__file__, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def says(self, text: str) -> str:
        """This will wait for a line that has the text, and give it."""
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            if found := next((line for line in list(self.lines) if text in line), None):
                return found
            if self.popen.poll() is not None:
                break
            time.sleep(0.02)
        pytest.fail(f"it never said {text!r}:\n{self.told()}")

    def ends(self) -> int:
        """This will wait for its end and give the exit code."""
        code = self.popen.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def told(self) -> str:
        """Everything it said so far."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as stream:
            self.lines.extend(stream)


class Image:
    """The installed image."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder, self._recipe = folder, recipe
        self.healthcheck = recipe.command("HEALTHCHECK")
        self.command = recipe.command()

    @contextmanager
    def run(self, command: Sequence[str], /, **settings: str) -> Iterator[Running]:
        """This will run a command of the image with these settings and nothing else, and end it afterwards."""
        environment = {name: self._placed(value) for name, value in self._recipe.environment().items()}
        running = Running(command, self._folder, environment | settings)
        try:
            yield running
        finally:
            running.popen.kill()
            running.ends()

    def _placed(self, value: str) -> str:
        return value.replace(INSTALLED, str(self._folder))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the Dockerfile's build installs, from the same locks in the same steps, in a folder of this run."""
    recipe, folder = Recipe(), tmp_path_factory.mktemp("image")
    environment = {**os.environ, **recipe.environment(stage=0), "UV_PYTHON": sys.executable, "VIRTUAL_ENV": ""}
    del environment["UV_NO_CACHE"]
    environment["UV_VENV_CLEAR"] = "1"  # a second try begins anew
    environment["PATH"] = f"{ROOT / '.uv/bin'}{os.pathsep}{environment['PATH']}"
    environment.setdefault("UV_SYSTEM_CERTS", "1")
    for step in recipe.values("RUN", stage=0):
        if step.startswith("uv "):
            command = step.replace(INSTALLED, str(folder))
            # What script/setup has fetched is in uv's cache: a network is asked for only where that is not enough.
            shell = ["/bin/sh", "-ec", command]
            offline = subprocess.run(shell, cwd=ROOT, env=environment | {"UV_OFFLINE": "1"}, check=False)
            if offline.returncode != 0:
                subprocess.run(shell, cwd=ROOT, env=environment, check=True)
    return Image(folder, recipe)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips, with the kernel's reason, where it gives no namespaces."""
    command = [sys.executable, confined.__file__, sys.executable, "-c", ""]
    refused = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    if refused:
        pytest.skip(refused.strip())
