"""Disks that can be full: small file systems in memory, mounted where only this process and its children see them.

The mounts live in a namespace of their own, so they end with the last of these processes, however that ends. Root needs
nothing else; an ordinary user gets a user namespace as well, where that is allowed.
"""

import asyncio
import ctypes
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
from tests.faults.chaos.system import System

from billing_adapters.embedded.processes import LIBC, LINUX

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 1 << 18, 2
# How much a server may write on its small disk before it is filled up.
ROOM_BYTES = 96 * 1024 * 1024
FULLER_EVERY_S = 0.1
USE_UP_LOG_EVERY_S = 0.5
FOLDERS = {"postgres": "pg", "nats": "nats"}


class CannotMount(Exception):
    """This machine does not let us have file systems of our own; the text says why."""


def enter_own_mounts() -> None:
    """This will give this process a view of its own of what is mounted. Call it before any thread is started.

    Raises CannotMount.
    """
    if not LINUX:
        raise CannotMount("only Linux has mount namespaces")
    uid, gid = os.geteuid(), os.getegid()
    if LIBC.unshare(CLONE_NEWNS) != 0:
        _checked(LIBC.unshare(CLONE_NEWNS | CLONE_NEWUSER), "no namespace of its own for this user")
        # Everybody stays who they are: PostgreSQL does not run as root.
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    _checked(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "the mounts cannot be made private")


class SmallDisk:
    """A file system with little room, mounted over an empty folder."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """This will mount it. Raises CannotMount."""
        self._folder, self._ballast = folder, folder / "ballast"
        options = f"size={size_bytes},mode=0700".encode()
        _checked(LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options), f"no tmpfs on {folder}")

    def fill(self) -> None:
        """This will take all the room there is, to the last byte."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for chunk in (1 << 20, 1 << 12, 1):
                with suppress(OSError):  # full: that is what we are here for
                    while ballast.write(bytes(chunk)) == chunk:
                        pass

    def empty(self) -> None:
        """This will give the room back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """This will take it away, with everything on it."""
        LIBC.umount2(os.fsencode(self._folder), MNT_DETACH)


@asynccontextmanager
async def full_disks(system: System, seconds: float) -> AsyncIterator[None]:
    """This will move the data of PostgreSQL and NATS to small disks and keep those full; then there is room again, and
    an operator starts what fell over, and NATS in any case, as docs/operations.md says. Raises CannotMount."""
    disks = [await asyncio.to_thread(_move_to_small_disk, system, server) for server in FOLDERS]
    keeping_full = asyncio.create_task(_keep_full(disks))
    using_up = asyncio.create_task(_use_up_log(str(system.urls.postgres_admin), after_s=seconds / 2))
    try:
        yield
    finally:
        for task in (keeping_full, using_up):
            task.cancel()
        await asyncio.gather(keeping_full, using_up, return_exceptions=True)
        for disk in disks:
            disk.empty()
        await asyncio.to_thread(system.servers.start_server, "postgres")
        await asyncio.to_thread(system.servers.stop_server, "nats")
        await asyncio.to_thread(system.servers.start_server, "nats")


def unmount_all(folder: Path) -> None:
    """This will take the small disks away below a system's folder, so that the folder can be removed."""
    for name in FOLDERS.values():
        LIBC.umount2(os.fsencode(folder / "servers" / name), MNT_DETACH)


def _move_to_small_disk(system: System, server: str) -> SmallDisk:
    folder = system.folder / "servers" / FOLDERS[server]
    aside = folder.with_name(f"{folder.name}.aside")
    system.servers.stop_server(server)
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    disk = SmallDisk(folder, _size_bytes(aside) + ROOM_BYTES)
    shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
    system.servers.start_server(server)
    return disk


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*"))


async def _keep_full(disks: Sequence[SmallDisk]) -> None:
    while True:  # what the servers give back is taken at once
        for disk in disks:
            await asyncio.to_thread(disk.fill)
        await asyncio.sleep(FULLER_EVERY_S)


async def _use_up_log(admin_url: str, *, after_s: float) -> None:
    """This will, after a while, have PostgreSQL begin new files of its log, until there is no room for one and it falls
    over."""
    await asyncio.sleep(after_s)
    while True:
        await asyncio.sleep(USE_UP_LOG_EVERY_S)
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):  # it is down, or just went down
            connection = await asyncpg.connect(admin_url, timeout=2)
            try:
                await connection.execute("select pg_logical_emit_message(false, 'drill', 'x'); select pg_switch_wal()")
            finally:
                connection.terminate()


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise CannotMount(f"{what}: {os.strerror(ctypes.get_errno())}")
