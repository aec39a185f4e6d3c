"""`python -m tests.faults.drills`: take a server away for a while under load, bring it back, and judge what is left."""

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog
import uvloop
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.progress import with_progress
from tests.faults.drills.outages import DRILLS, Drill
from tests.faults.drills.report import figures, progress, report
from tests.faults.drills.run import Plan, Run
from tests.faults.drills.small_disks import CannotMount, enter_own_mounts, unmount_all

VIOLATED, CANNOT, INTERRUPTED = 1, 3, 130
EXAMPLE = """\
example:
  script/drills --seconds 10 --only postgres --only nats    two drills of ten seconds, in this order

exit codes: 0 every rule held, 1 a rule was broken, 3 this machine cannot do a drill that was asked for (the others
were done, and held), 130 interrupted
"""


def main() -> int:
    """This will run the drills and return the exit code, with nothing left running."""
    told = _read_arguments()
    drills, cannot = _possible([DRILLS[name] for name in told.only or DRILLS])
    if not drills:
        sys.stderr.write("".join(f"{name}: this machine cannot: {why}\n" for name, why in cannot.items()))
        return CANNOT
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    plan = Plan(drills=drills, seconds=told.seconds, seed=seed)
    history = told.history or Path(tempfile.gettempdir()) / f"drills-{seed}.jsonl"
    # The harness's own connections break with the servers; what matters of that is in the history.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with Chronicle(history) as chronicle, tempfile.TemporaryDirectory(prefix="billing-drills-") as folder:
        chronicle.note("begin", seed=seed, seconds=plan.seconds, drills=[each.name for each in drills])
        try:
            run = Run(plan, Path(folder), chronicle)
            verdict = uvloop.run(with_progress(run, partial(progress, run)))
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            unmount_all(Path(folder))
        sys.stdout.write(report(plan, verdict, cannot) + "\n")
        chronicle.note("end", **figures(verdict, cannot))
    if verdict.violations:
        return VIOLATED
    return CANNOT if cannot else 0


def _possible(wanted: list[Drill]) -> tuple[list[Drill], Mapping[str, str]]:
    """The drills this machine lets us do, and why not the others."""
    if not any(each.needs_small_disks for each in wanted):
        return wanted, {}
    try:
        enter_own_mounts()
    except CannotMount as why:
        possible = [each for each in wanted if not each.needs_small_disks]
        return possible, {each.name: str(why) for each in wanted if each.needs_small_disks}
    return wanted, {}


def _read_arguments() -> argparse.Namespace:
    about = "; ".join(f"{each.name}: {each.about}" for each in DRILLS.values())
    parser = argparse.ArgumentParser(
        prog="script/drills",
        description=f"{__doc__} {about}.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each outage lasts (default 60)")
    parser.add_argument("--only", action="append", choices=DRILLS, metavar="NAME", help="this drill; may be repeated")
    parser.add_argument("--seed", type=int, help="who buys what, and who pays (default: a new one)")
    parser.add_argument("--history", type=Path, help="where to write what happened when (default drills-SEED.jsonl)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
