"""The processes of our own apps: started on a leash, watched, started again, stopped."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

STOP_TIMEOUT_S = 10.0
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 10.0
CALM_AFTER_S = 60.0
LOG_TAIL_LINES = 5


class AppProcess:
    """One app of ours, as a process that lives no longer than this one (see `billing_cli.child`)."""

    def __init__(self, name: str, module: str, *, environment: Mapping[str, str], folder: Path, log: Path) -> None:
        """This will take what to run, with which environment, in which folder, and where its output goes."""
        self.name, self.log = name, log
        self._module, self._environment, self._folder = module, environment, folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while there is a process."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: a signal); None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """This will start the process."""
        with self.log.open("ab") as output:
            os.fchmod(output.fileno(), 0o600)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "billing_cli.child", self._module],
                stdin=subprocess.PIPE,  # the leash: it closes when we end
                stdout=output,
                stderr=output,
                env=dict(self._environment),
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for us; the apps are stopped by us, in order
            )

    def ask_to_stop(self) -> None:
        """This will send SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def wait_until_stopped(self) -> None:
        """This will wait until it has ended, and end it where it takes more than 10 seconds."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def last_words(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])


class Backoff:
    """How long to wait before a process is started again: doubling from 0.1 to 10 seconds, anew after a calm minute."""

    def __init__(self) -> None:
        self._delay_s = FIRST_DELAY_S
        self._last_death_s = float("-inf")

    def died(self, at_s: float) -> float:
        """This will note a death and say at which moment (of the same clock) to start again."""
        calm = at_s - self._last_death_s > CALM_AFTER_S
        self._delay_s = FIRST_DELAY_S if calm else min(self._delay_s * 2, LONGEST_DELAY_S)
        self._last_death_s = at_s
        return at_s + self._delay_s
