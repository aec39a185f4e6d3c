"""A temporary folder that goes away with the process that asked for it, even after SIGKILL.

A small process of its own makes the folder, waits until its standard input closes, and removes it. Only the standard
library is imported here, so it starts at once.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

STDIN = 0
SERVERS_LOCK = "lock"  # held in the servers' folder for as long as their supervisor lives
REMOVE_WITHIN_S = 60.0
REMOVE_TIMEOUT_S = 90.0


class TemporaryFolder:
    """A folder for as long as this process lives; for use with `with`."""

    def __init__(self, prefix: str) -> None:
        """This will take how the folder's name begins; nothing happens before it is entered."""
        self._prefix = prefix
        self._keeper: subprocess.Popen[str] | None = None

    def __enter__(self) -> Path:
        """This will make the folder and return its path."""
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; the folder must outlive everything in it
        )
        assert self._keeper.stdout is not None  # noqa: S101 - asked for above
        return Path(self._keeper.stdout.readline().rstrip("\n"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will remove the folder and return when it is gone."""
        if self._keeper is not None and self._keeper.stdin is not None and self._keeper.stdout is not None:
            self._keeper.stdin.close()
            self._keeper.stdout.close()
            self._keeper.wait(REMOVE_TIMEOUT_S)


def keep(prefix: str) -> None:
    """This will make a folder, print its path, and remove it once nobody holds the other end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    sys.stdout.write(f"{folder}\n")
    sys.stdout.flush()
    while os.read(STDIN, 1):
        pass
    _remove(folder)


def _remove(folder: Path) -> None:
    deadline_s = time.monotonic() + REMOVE_WITHIN_S
    while folder.exists() and time.monotonic() < deadline_s:
        if not _servers_run(folder):
            shutil.rmtree(folder, ignore_errors=True)  # a process that is just ending may still write: again, then
        time.sleep(0.02)


def _servers_run(folder: Path) -> bool:
    try:
        with (folder / SERVERS_LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # none were ever started here
    except OSError:
        return True
    return False


if __name__ == "__main__":
    keep(sys.argv[1])
