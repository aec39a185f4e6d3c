"""`python -m benchmarks`: measure the workloads, and tell what came out."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.catalogue import WORKLOADS, wanted
from benchmarks.chart import draw
from benchmarks.report import Measured, document, table
from benchmarks.stage import open_theatre
from benchmarks.workload import Bench, Workload
from billing_cli.temporary_folder import TemporaryFolder

INTERRUPTED = 130
EXAMPLE = """\
example:
  script/bench --only a --only c --json figures.json --svg chart.svg
"""


def main() -> int:
    """This will measure what was asked for and return the exit code, with nothing left running."""
    told = _read_arguments()
    try:
        workloads = wanted(told.only)
    except ValueError as unknown:
        sys.stderr.write(f"{unknown}\n")
        return 2
    # The harness's own connections end with its servers; that is no news.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        with TemporaryFolder("billing-bench-") as folder:
            results = uvloop.run(_measure(workloads, folder, quick=told.quick))
    except KeyboardInterrupt:
        return INTERRUPTED
    Console().print(table(results))
    if told.json:
        told.json.write_text(json.dumps(document(results, quick=told.quick), indent=1) + "\n", encoding="utf-8")
    if told.svg:
        draw(results, told.svg)
    return 0


async def _measure(workloads: Sequence[Workload], folder: Path, *, quick: bool) -> Sequence[Measured]:
    results = []
    with _progress(len(workloads)) as (tell, advance):
        async with open_theatre(folder, quick=quick) as theatre:
            bench = Bench(theatre, quick=quick, tell=tell)
            try:
                for workload in workloads:
                    bench.tell = partial(_tell_of, workload, tell)
                    results.append(Measured(workload=workload, figures=await workload.measure(bench)))
                    advance()
            finally:
                await bench.end_all()
    return results


def _tell_of(workload: Workload, tell: Callable[[str], None], what: str) -> None:
    tell(f"{workload.name}: {what}")


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """This will show on stderr what is being done: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what: print(what, file=sys.stderr, flush=True), lambda: None  # noqa: T201
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("starting the servers", total=total)
        yield lambda what: shown.update(task, description=what), lambda: shown.advance(task)


def _read_arguments() -> argparse.Namespace:
    about = "; ".join(f"{each.name}: {each.what}" for each in WORKLOADS)
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description=f"{__doc__} {about}",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small amounts, once: shows that it runs, within a minute")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this letter or name; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every repeat of every figure")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the figures that have a target")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
