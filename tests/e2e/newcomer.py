"""Somebody new: a clone of this repository, empty folders, terminals without settings, pages followed to the letter.

Two things are not as on the page, and only these. Ports are free ones, since somebody may work on this machine with
the usual ones. And `pip` of an environment that a page has made installs the wheels of this clone and what is locked,
by uv, and without a network where its cache has it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import ROOT, wait_until

READY_S, WITHIN_S = 120.0, 180.0
EXPORTS = re.compile(r"^ +export (BILLING_\w+)='(.+)'$", re.MULTILINE)


class Newcomer:
    """A folder with a clone in it, and what is typed there."""

    def __init__(self, folder: Path) -> None:
        """This will lay out a clone in the folder: files of this one, and the environment that `script/setup` made."""
        _skip_without_tools()
        self.folder, self.home = folder / "billing", folder / "home"
        self.home.mkdir(parents=True)
        self.folder.mkdir()
        shutil.copytree(ROOT / "script", self.folder / "script")
        for name in (".venv", ".uv", "packages", "apps", "pyproject.toml", *_files("requirements*.lock")):
            if (ROOT / name).exists():
                (self.folder / name).symlink_to(ROOT / name)
        self._ports: dict[str, str] = {}

    def read(self, text: str) -> str:
        """The text with free ports in it, the same for all that is read."""
        return re.sub(r"127\.0\.0\.1:(\d{4})", lambda found: f"127.0.0.1:{self.port(found[1])}", text)

    def port(self, usual: str) -> str:
        """A free port instead of the usual one."""
        if usual not in self._ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self._ports[usual] = str(free.getsockname()[1])
        return self._ports[usual]

    def environment(self) -> dict[str, str]:
        """A new login's: no settings of Billing, of Python or of this test's."""
        ours = ("BILLING_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COVERAGE", "UV_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        path = os.pathsep.join(word for word in kept["PATH"].split(os.pathsep) if Path(word) != ROOT / ".venv/bin")
        return {**kept, "HOME": str(self.home), "PATH": path}

    def types(self, text: str, folder: Path | None = None, /, **exported: str) -> str:
        """This will type the lines in a terminal, which must all succeed, and give what is seen."""
        done = subprocess.run(
            ["/bin/sh", "-e"],
            input=self.read(text),
            cwd=folder or self.folder,
            env={**self.environment(), **exported},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    @contextmanager
    def runs(self, line: str, folder: Path | None = None, /, **exported: str) -> "Iterator[Terminal]":
        """A terminal in which the line goes on running until Ctrl-C."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, in a suite run in the background
        process = subprocess.Popen(
            ["/bin/sh", "-ec", f"exec {self.read(line)}"],
            cwd=folder or self.folder,
            env={**self.environment(), "PYTHONUNBUFFERED": "1", **exported},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        terminal = Terminal(process)
        try:
            yield terminal
        finally:
            terminal.ctrl_c()

    @contextmanager
    def serves(self) -> "Iterator[Terminal]":
        """`script/server`, as soon as it says that it is up. Its port is a free one, and its page says so."""
        with self.runs(f"script/server --port {self.port('8116')}") as terminal:
            terminal.says("Ctrl-C stops everything.")
            yield terminal


class Terminal:
    """What a running command says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """This will read along."""
        self.process, self._said = process, list[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """Everything so far."""
        return "".join(self._said)

    @property
    def exports(self) -> Mapping[str, str]:
        """The `export` lines that are to be pasted into another terminal."""
        return dict(EXPORTS.findall(self.said))

    def says(self, text: str) -> str:
        """This will wait for a line with the text, and give the line."""

        def found() -> str | None:
            line = next((line for line in list(self._said) if text in line), None)
            if line is None and self.process.poll() is not None:
                pytest.fail(f"it ended without saying {text!r}:\n{self.said}")
            return line

        line: str = wait_until(found, within_s=READY_S, what=f"it says {text!r}")
        return line

    def ctrl_c(self) -> int:
        """This will press Ctrl-C, if it still runs, and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(READY_S)
        self._reader.join(READY_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._said.append(line)


def locked_pip(environment: Path, wheels: Path) -> None:
    """This will have the environment's `pip install` install our wheels, and of others what is locked."""
    words = f"'{_uv()}' pip \"$@\" -q --python '{environment}' -c '{ROOT}/requirements.lock' --find-links '{wheels}'"
    cache = os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv")
    lines = ["#!/bin/sh", f"export UV_CACHE_DIR='{cache}' UV_SYSTEM_CERTS=1", f"{words} --offline || exec {words}", ""]
    pip = environment / "bin" / "pip"
    pip.unlink(missing_ok=True)
    pip.write_text("\n".join(lines))
    pip.chmod(0o755)


def build(folder: Path, *names: str) -> Path:
    """This will build the wheels of these packages of ours into the folder."""
    for name in names:
        _run(_uv(), "build", "-q", "--offline", "--wheel", "--package", name, "--out-dir", str(folder))
    return folder


def empty_environment(folder: Path) -> Path:
    """This will make an environment of this Python with nothing in it."""
    _run(_uv(), "venv", "-q", "--no-project", "--python", sys.executable, str(folder))
    return folder


def _skip_without_tools() -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH, which the pages use")
    can_make_environments = ["python3", "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
    if subprocess.run(can_make_environments, capture_output=True, check=False).returncode != 0:
        pytest.skip("python3 is older than 3.11 or cannot make environments (on Debian: the package python3-venv)")


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr


def _uv() -> str:
    uv = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv" / "bin")
    if uv is None:
        pytest.skip("no uv: start the tests with script/test, which brings it")
    return uv


def _files(pattern: str) -> list[str]:
    return [path.name for path in ROOT.glob(pattern)]
