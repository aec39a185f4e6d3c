"""Files that appear when they are whole; until then what was there before stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from billing_cli.errors import CannotWrite

_OWNER_ALONE = 0o600


@contextmanager
def appearing_whole(out: Path, *, binary: bool, private: bool = False) -> Iterator[IO[Any]]:
    """This will give a file to write; it stands at `out` when the block ends without trouble, for its owner's eyes
    alone where it is `private`. Raises CannotWrite."""
    unfinished = out.with_name(f"{out.name}.part")
    try:
        with unfinished.open("wb") if binary else unfinished.open("w", encoding="utf-8", newline="") as file:
            try:
                if private:
                    unfinished.chmod(_OWNER_ALONE)
                yield file
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        unfinished.replace(out)
    except OSError as fault:
        raise CannotWrite(fault) from fault
