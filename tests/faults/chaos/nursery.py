"""Where the apps' processes are born: one parent for each app, with everything imported, forks them in milliseconds.

Started from nothing, an app needs two seconds of a processor to import what it is made of; a run that kills one every
half second would measure nothing else. A child becomes what `python -m billing_worker` is: a process of its own session
that runs the app's `__main__` in the environment it is given.

`python -m tests.faults.chaos.nursery` is the parent. It reads a JSON object a line, `{"environment": …, "log": …}`, and
answers with the child's process id. It ends with its standard input, and its children with it.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.defects import processes
from tests.faults.drills import clocks

STOP_WITHIN_S = 10.0
# What the apps import only once they run.
IMPORTED_LATE = ("stripe", "billing_adapters.platforms.stripe_checkout.platform", "uvloop", "uvicorn", "httptools")
PYTHON = [sys.executable, "-P", "-m"]


class Nursery:
    """The parent of one app's processes, as the harness sees it."""

    def __init__(self, app: str, *, environment: Mapping[str, str]) -> None:
        """This will start the parent for the package `app`; the first child waits until it is ready."""
        self._process = subprocess.Popen(
            [*PYTHON, "tests.faults.chaos.nursery"],
            env={**environment, processes.APP: app},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def bear(self, environment: Mapping[str, str], log: Path) -> int:
        """This will start a process and return its id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"environment": dict(environment), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """This will end the parent, and with it every child that still runs."""
        self._process.kill()
        self._process.communicate()


class App:
    """One process of an app: started, watched, signalled and started again."""

    def __init__(self, name: str, nursery: Nursery, environment: Mapping[str, str], *, folder: Path) -> None:
        self.name, self.log, self.ready_file = name, folder / f"{name}.log", folder / f"{name}.ready"
        self._nursery = nursery
        self._environment = {**environment, "BILLING_READY_FILE": str(self.ready_file)}
        self._pid: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        if self._pid is None:
            return False
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        return True

    def start(self, more: Mapping[str, str] | None = None) -> None:
        """This will start its process, again too; with `more` in its environment, this time."""
        self.ready_file.unlink(missing_ok=True)
        self._pid = self._nursery.bear({**self._environment, **(more or {})}, self.log)

    def signal(self, number: signal.Signals) -> None:
        """This will send the signal; a process that ended by itself gets none."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait_until_gone(self) -> bool:
        """This will wait until it has ended, and say whether it did so within 10 seconds."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        while self.is_running and time.monotonic() < deadline_s:
            time.sleep(0.005)
        return not self.is_running


def main() -> None:
    """This will be the parent."""
    processes.end_with_parent()
    processes.break_as_told()
    app = os.environ[processes.APP]
    for module in (f"{app}.main", *(IMPORTED_LATE if app.startswith("billing_") else ())):
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(app, wanted)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _live(app: str, wanted: Mapping[str, Any]) -> None:
    """This will be the child, to the end of its life."""
    os.setsid()
    processes.end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    clocks.set_as_told()
    try:
        runpy.run_module(app, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - told as Python itself tells it; the child must never become a second parent
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    for told in (sys.stdout, sys.stderr):
        told.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
