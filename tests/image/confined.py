"""Runs a command as a hardened container would, with nothing but Linux: `python confined.py COMMAND …`.

User 10001 without a name, every file system read-only, no capability and no way to get one, no shell, and no file that
may grow. Where the kernel gives no namespaces (it says so on stderr) only the last of these holds.
"""

import ctypes
import errno
import os
import resource
import sys
from pathlib import Path

USER = 10001
SHELLS = ("/bin/sh", "/bin/bash", "/bin/dash")

_CLONE_NEWNS, _CLONE_NEWUSER, _MS_BIND = 0x00020000, 0x10000000, 4096
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_SET_NO_NEW_PRIVS = 38


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def main() -> None:
    """This will confine this process and become the command. Raises OSError where that cannot be."""
    try:
        _enter_namespaces()
    except (OSError, AttributeError) as refused:  # AttributeError: not Linux
        sys.stderr.write(f"confined by limits alone: {refused}\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - there is no shell in there


def _enter_namespaces() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    _must(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"{USER} {user} 1"), ("gid_map", f"{USER} {group} 1")):
        Path("/proc/self", file).write_text(text)
    for shell in SHELLS:
        if Path(shell).exists():
            _must(libc.mount(b"/dev/null", os.fsencode(Path(shell).resolve()), None, _MS_BIND, None), f"hide {shell}")
    read_only = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
    size = ctypes.sizeof(read_only)
    _must(libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, ctypes.byref(read_only), size), "make read-only")
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def _must(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number or errno.EPERM, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
