"""`python -m tests.fuzz`: send each reader of strangers' bytes as many inputs as asked for, and tell what came of them.

Each target runs in a process of its own under Atheris, which looks for inputs that reach new lines of ours. Where it is
not installed (it has wheels for Linux on x86-64), and with --blind, inputs are changed by chance alone. What a target
could not bear is kept in nightly/fuzz/TARGET; put it into tests/fuzz/corpus/TARGET as `found-…` once that is mended.

example: python -m tests.fuzz tokens stripe --executions 100000 --seed 7
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.blind import fuzz
from tests.fuzz.catalogue import NAMES, load

ROOT = Path(__file__).parents[2]
_ROW = "{:<17} {:>11} {:>8} {:>7} {:>7}  {}"
_DONE = re.compile(r"stat::number_of_executed_units: +(\d+)")
_REACHED = re.compile(r"cov: (\d+) .*corp: (\d+)/")
# An input that takes longer than this is a find, and so is one that takes so much memory.
_LONGEST_S, _MOST_MB = 20, 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How fuzzing a target ended. `reached` and `kept` are the branches reached and the inputs that did, where that
    was watched; `found` is where what it could not bear is kept, and empty where it bore everything."""

    name: str
    executions: int
    seconds: float
    reached: str = ""
    kept: str = ""
    found: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """This will do what the command line asks for. Returns 1 where a target could not bear something."""
    asked = _read(arguments)
    run = _blindly if asked.blind or find_spec("atheris") is None else _guided
    _print(_ROW.format("target", "executions", "a second", "reached", "kept", "found"))
    runs = []
    for name in asked.targets or NAMES:
        folder = asked.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        each = run(name, asked.executions, asked.seed, folder)
        rate = round(each.executions / max(each.seconds, 0.001))
        _print(_ROW.format(name, each.executions, rate, each.reached, each.kept, each.found or "nothing"))
        runs.append(each)
    broken = [each.name for each in runs if each.found]
    total = sum(each.executions for each in runs)
    how = "guided" if run is _guided else "blind"
    _print(f"{total} executions ({how}), not borne: {', '.join(broken) or 'none'}")
    return int(bool(broken))


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--executions", type=int, default=100_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1, help="the same inputs for the same seed, as far as it is blind")
    parser.add_argument("--blind", action="store_true", help="without Atheris")
    parser.add_argument("--folder", type=Path, default=ROOT / "nightly" / "fuzz", help="where what is found is kept")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return asked


def _guided(name: str, executions: int, seed: int, folder: Path) -> Run:
    options = [f"-runs={executions}", f"-seed={seed}", f"-timeout={_LONGEST_S}", f"-rss_limit_mb={_MOST_MB}"]
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "tests.fuzz.guided", name, str(folder), *options]
        ended = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False)
    told = (folder / "log").read_text("utf-8", errors="replace")
    done, reached = _DONE.search(told), _REACHED.findall(told)
    found = ""
    if ended.returncode or done is None or not reached:
        found = str(max(folder.glob("*-*"), key=lambda each: each.stat().st_mtime, default=folder / "log"))
    return Run(
        name=name,
        executions=int(done[1]) if done else 0,
        seconds=time.monotonic() - began,
        reached=reached[-1][0] if reached else "",
        kept=reached[-1][1] if reached else "",
        found=found,
    )


def _blindly(name: str, executions: int, seed: int, folder: Path) -> Run:
    began = time.monotonic()
    found = fuzz(load(name), many=executions, seed=seed)
    if found is not None:
        (folder / "found").write_bytes(found)
    return Run(
        name=name,
        executions=executions,
        seconds=time.monotonic() - began,
        found="" if found is None else str(folder / "found"),
    )


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
