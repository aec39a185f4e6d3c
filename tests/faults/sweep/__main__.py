"""The sweep by hand: `python -m tests.faults.sweep [--pairs] [part of a handler's name …]`. Every point that went wrong
is printed as it is found to be; ends with 1 where there was one."""

import argparse
import asyncio
import gc
import multiprocessing
import sys
import time
from functools import partial

from tests.faults.ports import PortFault
from tests.faults.sweep.handlers import HANDLERS
from tests.faults.sweep.sweep import Tally, sweep, sweep_pairs

# A world is small and soon over: what it leaves behind needs no looking for every few hundred values.
_GARBAGE_LOOKED_FOR_EVERY = 50_000


def main() -> int:
    """This will sweep, with progress, and give the exit code."""
    asked = argparse.ArgumentParser(prog="script/sweep", description="Every step of every handler × every fault.")
    asked.add_argument("handlers", nargs="*", help="only handlers whose name contains one of these")
    asked.add_argument("--pairs", action="store_true", help="two faults in one run, the second also in the retries")
    options = asked.parse_args()
    wanted = [name for name in HANDLERS if any(part in name for part in options.handlers or [""])]
    return _sweep_all(wanted, pairs=options.pairs)


def _sweep_all(handlers: list[str], *, pairs: bool) -> int:
    """Each handler in a process of its own, as many at once as there are processors."""
    began, points, runs, wrong = time.monotonic(), 0, 0, 0
    with multiprocessing.Pool() as pool:
        for name, tally in pool.imap_unordered(partial(_sweep_one, pairs=pairs), handlers):
            points, runs, wrong = points + tally.points, runs + tally.runs, wrong + len(tally.wrong)
            _tell(f"{name}: {tally.points} points × {len(PortFault)} faults, {tally.runs} runs{_rules(tally)}\n")
    took = time.monotonic() - began
    _tell(f"{len(handlers)} handlers, {points} points, {runs} runs, {wrong} broken rules, {took:.0f} s\n")
    return 1 if wrong or not handlers else 0


def _sweep_one(name: str, *, pairs: bool) -> tuple[str, Tally]:
    gc.freeze()
    gc.set_threshold(_GARBAGE_LOOKED_FOR_EVERY)
    return name, asyncio.run((sweep_pairs if pairs else sweep)(HANDLERS[name]))


def _rules(tally: Tally) -> str:
    return "".join(f"\n  {each}" for each in tally.wrong)


def _tell(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
