"""(j) What somebody waits for before anything of ours runs: importing the core, `billing --help`, HTTP being ready."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, at_most, ratio
from benchmarks.http_service import started
from benchmarks.stage import Stage
from benchmarks.workload import Bench, Recording

# One start is over in moments and its time strewn wide, so each repeat is the sum of several, ours and theirs in turns.
STARTS, FEW_STARTS = 10, 3
BILLING: Final = str(Path(sys.executable).with_name("billing"))
EMPTY_APP: Final = """
import typer
app = typer.Typer()
@app.command()
def main() -> None:
    "Do nothing."
app()
"""


async def start_up(bench: Bench, stage: Stage) -> Sequence[Figure]:
    """This will start processes that end at once, each next to the least it could be, and the HTTP app."""
    python = (sys.executable, "-c")
    package = await _pairs(bench, "import", (*python, "import billing_core"), (*python, "import pydantic"))
    name = await _pairs(
        bench, "a name", (*python, "from billing_core import Purchase"), (*python, "from pydantic import BaseModel")
    )
    usage = await _pairs(bench, "help", (BILLING, "--help"), (*python, EMPTY_APP, "--help"))
    ready = [await _until_ready(bench, stage) for _ in range(bench.repeats)]
    return (
        Figure(name="import billing_core", values=package[0], unit="s"),
        ratio("import billing_core ÷ import pydantic", *package, at_most(1.3)),
        ratio("billing_core's Purchase ÷ pydantic's BaseModel", *name),
        Figure(name="billing --help", values=usage[0], unit="s"),
        ratio("billing --help ÷ an empty Typer app's", *usage, at_most(1.5)),
        Figure(name="HTTP ready", values=ready, unit="s"),
    )


async def _pairs(
    bench: Bench, name: str, ours: Sequence[str], least: Sequence[str]
) -> tuple[Sequence[float], Sequence[float]]:
    """How long a start of ours and of the least took, repeat by repeat, in seconds."""
    sums: tuple[list[float], list[float]] = ([], [])
    starts = FEW_STARTS if bench.quick else STARTS
    for command in (ours, least):
        await _run(command)  # from now on everything is compiled and in the file cache
    for repeat in range(bench.repeats):
        bench.tell(f"{name}, {repeat + 1} of {bench.repeats}")
        taken = [(await _run(ours), await _run(least)) for _ in range(starts)]
        for place, total in enumerate(map(sum, zip(*taken, strict=True))):
            sums[place].append(total / starts)
    return sums


async def _run(command: Sequence[str]) -> float:
    began_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{command} failed")
    return time.perf_counter() - began_s


async def _until_ready(bench: Bench, stage: Stage) -> float:
    bench.tell("HTTP ready")
    began_s = time.perf_counter()
    async with started(stage, "billing_http"):
        return time.perf_counter() - began_s


START_UP = Recording(
    name="j start-up",
    what="Import the core, ask the command line for help, start the HTTP app.",
    record=start_up,
)
