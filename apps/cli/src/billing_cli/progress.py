"""Showing on a terminal that long work goes on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST_LINES = 20


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


@contextmanager
def counting(what: str, total: int, *, beside_answer: bool = False) -> Iterator[Callable[[int], None]]:
    """This will give a function that is told how many more of `total` are done, and show them as a bar on a terminal,
    as a line for each twentieth elsewhere, on stderr; not at all where the answer itself is running over the same
    terminal (`beside_answer`)."""
    if beside_answer and sys.stdout.isatty():
        yield lambda _more: None
        return
    if not sys.stderr.isatty():
        yield _as_lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


def _as_lines(what: str, total: int) -> Callable[[int], None]:
    done, told = 0, 0

    def tell(more: int) -> None:
        nonlocal done, told
        done += more
        if done >= total or (done - told) * _MOST_LINES >= total:
            told = done
            sys.stderr.write(f"{what}: {done} of {total}\n")

    return tell
