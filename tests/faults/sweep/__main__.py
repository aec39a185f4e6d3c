"""The sweep by hand: `python -m tests.faults.sweep [--pairs] [part of a handler's name …]`. Every point that went wrong
is printed as it is found to be; ends with 1 where there was one."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

from tests.faults.ports import PortFault
from tests.faults.sweep.handlers import HANDLERS
from tests.faults.sweep.sweep import Handler, Tally, sweep, sweep_pairs


def main() -> int:
    """This will sweep, with progress, and give the exit code."""
    asked = argparse.ArgumentParser(prog="script/sweep", description="Every step of every handler × every fault.")
    asked.add_argument("handlers", nargs="*", help="only handlers whose name contains one of these")
    asked.add_argument("--pairs", action="store_true", help="two faults in one run, the second also in the retries")
    options = asked.parse_args()
    wanted = [each for name, each in HANDLERS.items() if any(part in name for part in options.handlers or [""])]
    return asyncio.run(_sweep_all(wanted, pairs=options.pairs))


async def _sweep_all(handlers: list[Handler], *, pairs: bool) -> int:
    began, points, runs, wrong = time.monotonic(), 0, 0, 0
    for handler in handlers:
        tally = await (sweep_pairs(handler, _progress(handler)) if pairs else sweep(handler))
        points, runs, wrong = points + tally.points, runs + tally.runs, wrong + len(tally.wrong)
        _tell(f"\r{handler.name}: {tally.points} points × {len(PortFault)} faults, {tally.runs} runs{_rules(tally)}\n")
    took = time.monotonic() - began
    _tell(f"{len(handlers)} handlers, {points} points, {runs} runs, {wrong} broken rules, {took:.0f} s\n")
    return 1 if wrong or not handlers else 0


def _progress(handler: Handler) -> Callable[[int, int], None]:
    return lambda done, of: _tell(f"\r{handler.name}: {done} of {of} points") if sys.stdout.isatty() else None


def _rules(tally: Tally) -> str:
    return "".join(f"\n  {each}" for each in tally.wrong)


def _tell(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
