"""One owner for a folder at a time."""

import fcntl
import os
from pathlib import Path
from typing import TextIO


class FolderLock:
    """A lock file that is free again when its holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: TextIO | None = None

    def take(self) -> str | None:
        """This will take the lock and return None, or return the process id of whoever holds it."""
        lock = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            return holder
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._held = lock
        return None

    def release(self) -> None:
        """This will let the next one in."""
        if self._held is not None:
            self._held.close()
            self._held = None
