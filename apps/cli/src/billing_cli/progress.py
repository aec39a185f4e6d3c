"""Showing on a terminal that long work goes on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working(what: str) -> Iterator[None]:
    """This will show what is being done and for how long, on stderr, while the block runs; on a pipe nothing moves, so
    one line says it."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{what} …\n")
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
