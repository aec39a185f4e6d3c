"""Processes of the system: starting one that dies with us, reading the table, signalling a whole server."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# Loaded before any fork: between fork and exec nothing may be imported.
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The account a process runs under: `uid` and `gid` to drop to, or a step to take after the fork."""

    uid: int | None = None
    gid: int | None = None
    after_fork: Callable[[], None] | None = None


OURSELVES = RunAs()


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the process table."""

    pid: int
    parent: int
    is_zombie: bool
    command: str


def spawn(
    command: list[str],
    *,
    log: Path,
    stop_signal: signal.Signals,
    run_as: RunAs = OURSELVES,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """This will start `command` in a session of its own, its output appended to `log`.

    On Linux it gets `stop_signal` when this process dies, even of SIGKILL. Raises `OSError` or
    `SubprocessError` when it cannot start.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",  # the caller's folder may be closed to the account that the server runs under
            # PGPORT and its like would change the server as they change psql.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            start_new_session=True,
            umask=0o077,  # a sentinel writes its configuration anew, passwords and all
            user=run_as.uid,
            group=run_as.gid,
            extra_groups=None if run_as.uid is None else [],
            preexec_fn=_die_with_parent(os.getpid(), stop_signal, run_as),  # noqa: PLW1509 - one thread only here
        )


def adopt_orphans() -> None:
    """This will make this process, on Linux, the parent of every child that one of its own children leaves."""
    if LINUX:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_adopted(own: Iterable[int], *, timeout_s: float) -> None:
    """This will kill the children that this process adopted, those that are not its `own`, and reap them."""
    if not LINUX:
        return  # nothing is adopted there
    adopted = set(family_of(os.getpid())) - {os.getpid(), *own}
    signal_all(adopted, signal.SIGKILL)
    wait_until_gone(adopted, timeout_s=timeout_s)
    for pid in adopted:
        os.waitpid(pid, os.WNOHANG)


def process_table() -> dict[int, Process]:
    """This will return the processes of this machine by id, as far as we may see them."""
    # /proc where there is one, because slim container images come without `ps`.
    rows = _read_proc() if LINUX else _read_ps()
    return {row.pid: row for row in rows}


def family_of(pid: int) -> list[int]:
    """This will return `pid` and its children (no server here has grandchildren)."""
    return [pid, *(row.pid for row in process_table().values() if row.parent == pid)]


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """This will send the signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # already gone: nothing to signal
            os.kill(pid, number)


def freeze(pid: int) -> list[int]:
    """This will stop a server in its tracks with all its children, and return their ids."""
    os.kill(pid, signal.SIGSTOP)  # first, so that no child is born while we count them
    family = family_of(pid)
    signal_all(family, signal.SIGSTOP)
    return family


def wait_until_gone(pids: Iterable[int], *, timeout_s: float) -> list[int]:
    """This will wait for the processes to end, at most `timeout_s` seconds, and return those that did not."""
    left, deadline_s = list(pids), time.monotonic() + timeout_s
    while left := _alive(left):
        if time.monotonic() > deadline_s:
            break
        time.sleep(0.01)
    return left


def _alive(pids: list[int]) -> list[int]:
    table = process_table()
    return [pid for pid in pids if pid in table and not table[pid].is_zombie]


def _die_with_parent(parent: int, stop_signal: signal.Signals, run_as: RunAs) -> Callable[[], None]:
    def after_fork() -> None:
        if run_as.after_fork:
            run_as.after_fork()
        if LINUX:  # after any change of account, which clears it
            LIBC.prctl(PR_SET_PDEATHSIG, int(stop_signal))
            if os.getppid() != parent:
                os._exit(1)  # the parent died before the line above could promise anything

    return after_fork


def _read_proc() -> Iterable[Process]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # ended while we looked
            # "pid (name) state parent ...": the name may hold spaces and brackets, hence the last one.
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield Process(int(folder.name), int(parent), state in {"Z", "X"}, command)


def _read_ps() -> Iterable[Process]:
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, parent, state, *command = line.split(None, 3)
        yield Process(int(pid), int(parent), state.startswith("Z"), "".join(command))
