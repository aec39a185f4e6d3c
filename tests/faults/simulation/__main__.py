"""`script/simulate`: run many seeds on every core, or tell the history of one."""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults.simulation.report import told, unreached
from tests.faults.simulation.world import Outcome, run_seed

_CHUNK = 50
_MOST_FAILURES_TOLD = 20
# So many worlds reach every remarkable state; where they do not, the run proves less than it says.
_MANY = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """This will do what the command line asks for. Returns 1 where a seed broke a rule."""
    parser = argparse.ArgumentParser(prog="script/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3_000, metavar="N", help="how many seeds (default 3000)")
    parser.add_argument("--from", type=int, default=0, metavar="SEED", dest="first", help="the first one (default 0)")
    parser.add_argument("--trace", type=int, metavar="SEED", help="tell the history of this one seed, every step of it")
    asked = parser.parse_args(arguments)
    if asked.trace is not None:
        text = told(asked.trace, steps_too=True)
        print(text)  # noqa: T201
        return int(not text.endswith("none"))
    return _run(range(asked.first, asked.first + asked.seeds))


def _run(seeds: range) -> int:
    started, reached, faults, done = time.monotonic(), Counter[str](), 0, 0
    failures: list[tuple[int, Sequence[str]]] = []
    with multiprocessing.Pool() as pool:
        for outcome in pool.imap_unordered(run_seed_apart, seeds, chunksize=_CHUNK):
            done, faults = done + 1, faults + outcome.faults
            reached += outcome.reached
            if outcome.broken:
                failures.append((outcome.seed, outcome.broken))
                _say(f"\rseed {outcome.seed} broke: {outcome.broken[0]}\n")
            if done % 25 == 0 or done == len(seeds):
                speed = done / (time.monotonic() - started)
                _say(f"\r{done:>7} of {len(seeds)} seeds, {faults} faults, {len(failures)} failed, {speed:.0f}/s ")
    _say("\n")
    for state, times in sorted(reached.items()):
        print(f"  {state:<28} {times:>9}")  # noqa: T201
    for seed, broken in sorted(failures)[:_MOST_FAILURES_TOLD]:
        print(f"seed {seed}: {'; '.join(broken)}\n  script/simulate --trace {seed}")  # noqa: T201
    print(f"{done} seeds, {faults} faults, {len(failures)} with a broken rule")  # noqa: T201
    missing = unreached(reached) if done >= _MANY else []
    if missing:
        print(f"never reached: {', '.join(missing)}")  # noqa: T201
    return int(bool(failures or missing))


def run_seed_apart(seed: int) -> Outcome:
    """This will run a seed in a process of the pool; a world that falls over is a broken rule too."""
    try:
        return run_seed(seed)
    except Exception as fault:  # noqa: BLE001 - it is told, with the seed, and the others go on
        return Outcome(seed=seed, broken=[f"fell over: {fault!r}"], reached=Counter(), faults=0, seconds=0, lines=())


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
