"""The account PostgreSQL runs under. It refuses to run as root, and development containers run as root."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from billing_adapters.embedded.folder import EmbeddedServersError
from billing_adapters.embedded.processes import LIBC, LINUX, OURSELVES, RunAs

CLONE_NEWUSER = 0x10000000
UNPRIVILEGED = "nobody"


def account_for_postgres(program: Path, data: Path) -> RunAs:
    """This will choose who runs PostgreSQL: ourselves, unless we are root.

    As root, the first that works: ourselves under another number in a new user namespace, where nothing
    changes owner and folders closed to others stay usable; else the account `nobody`, because containers
    often forbid new namespaces. Raises `EmbeddedServersError` when `nobody` cannot reach the program or the
    data folder.
    """
    if os.geteuid() != 0:
        return OURSELVES
    import pwd  # only root needs it

    nobody = pwd.getpwnam(UNPRIVILEGED)
    renumbered = RunAs(after_fork=_enter_user_namespace(nobody.pw_uid))
    if LINUX and _can_run("/bin/true", renumbered):
        return renumbered
    dropped = RunAs(uid=nobody.pw_uid, gid=nobody.pw_gid)
    data.chmod(data.stat().st_mode | 0o001)  # to pass through, not to list; the files stay closed one by one
    for path in (program, data):
        if not _can_run("test", dropped, "-x", str(path)):
            raise EmbeddedServersError(
                f"running as root, and the account {UNPRIVILEGED} cannot reach {path}: "
                "run as an ordinary user, or move it out of folders that are closed to others"
            )
    return dropped


def hand_over(folder: Path, run_as: RunAs) -> None:
    """This will make everything in `folder` belong to the account, if it does not yet."""
    owner = os.geteuid() if run_as.uid is None else run_as.uid
    if folder.stat().st_uid == owner:
        return
    for parent, _, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent) / name for name in files)):
            shutil.chown(path, owner)


def _enter_user_namespace(inner: int) -> Callable[[], None]:
    # Computed here, because little is safe between fork and exec.
    steps = (("setgroups", b"deny"), ("uid_map", b"%d 0 1" % inner), ("gid_map", b"%d 0 1" % inner))

    def after_fork() -> None:
        if LIBC.unshare(CLONE_NEWUSER) != 0:
            os._exit(1)
        for name, text in steps:
            file = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(file, text)
            os.close(file)

    return after_fork


def _can_run(program: str, run_as: RunAs, *arguments: str) -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # not allowed is an answer: no
        done = subprocess.run(
            [program, *arguments],
            user=run_as.uid,
            group=run_as.gid,
            extra_groups=None if run_as.uid is None else [],
            preexec_fn=run_as.after_fork,
            check=False,
        )
        return done.returncode == 0
    return False
