"""`python -m tests.faults.chaos`: break the whole service on purpose, heal it, and judge what is left."""

import argparse
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
import uvloop
from tests.faults.chaos.chronicle import Chronicle
from tests.faults.chaos.progress import with_progress
from tests.faults.chaos.report import figures, progress, report
from tests.faults.chaos.run import Plan, Run
from tests.faults.defects.catalogue import REAL

INTERRUPTED = 130
SUMMED = ("faults", "kills_and_pauses", "requests", "purchases", "paid", "events", "violations")


def main() -> int:
    """This will run as often as asked for and return 0, 1 where a rule was broken, or 130 after Ctrl-C, with nothing
    left running."""
    plans, history = _read_arguments()
    # The harness's own connections break with the servers; what matters of that is in the history.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    sums: Counter[str] = Counter()
    try:
        for plan in plans:
            sums += _run_once(plan, history(plan.seed))
    except KeyboardInterrupt:
        return INTERRUPTED
    if len(plans) > 1:
        counted = ", ".join(f"{sums[each]} {each.replace('_', ' ')}" for each in SUMMED)
        sys.stdout.write(f"{len(plans)} runs: {counted}\n")
    return 1 if sums["violations"] else 0


def _run_once(plan: Plan, history: Path) -> Counter[str]:
    with Chronicle(history) as chronicle, tempfile.TemporaryDirectory(prefix="billing-chaos-") as folder:
        chronicle.note("begin", seed=plan.seed, seconds=plan.seconds, defect=plan.defect)
        run = Run(plan, Path(folder), chronicle)
        verdict = uvloop.run(with_progress(run, partial(progress, run)))
        sys.stdout.write(report(plan, chronicle, verdict) + "\n")
        sys.stdout.flush()
        told = figures(chronicle, verdict)
        chronicle.note("end", **told)
        if verdict.violations:
            _keep_logs(Path(folder), history)
    return Counter({each: told[each] for each in SUMMED})


def _read_arguments() -> tuple[Sequence[Plan], Callable[[int], Path]]:
    parser = argparse.ArgumentParser(
        prog="script/chaos", description=__doc__, epilog="example: script/chaos --seconds 60 --runs 10 --seed 1"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to break things (default 20)")
    parser.add_argument("--seed", type=int, help="which faults, in which order (default: a new one)")
    parser.add_argument("--runs", type=int, default=1, help="how many runs, each under the next seed (default 1)")
    parser.add_argument("--http", type=int, default=2, help="HTTP processes (default 2)")
    parser.add_argument("--workers", type=int, default=3, help="workers (default 3)")
    parser.add_argument("--clients", type=int, default=16, help="clients in a closed loop (default 16)")
    parser.add_argument("--merchants", type=int, default=50, help="how many merchants there are at first (default 50)")
    parser.add_argument("--every", type=float, default=0.3, help="seconds from fault to fault, about (default 0.3)")
    parser.add_argument(
        "--credit-services", type=int, default=0, help="processes of the example's Credit Service (default 0)"
    )
    parser.add_argument("--history", type=Path, help="where to write what broke when (default chaos-SEED.jsonl)")
    parser.add_argument("--defect", choices=REAL, help="build the processes wrong in this way, to see it caught")
    told = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    plan = Plan(
        seconds=told.seconds,
        seed=seed,
        http=told.http,
        workers=told.workers,
        clients=told.clients,
        every_s=told.every,
        merchants=told.merchants,
        defect=told.defect,
        credit_services=told.credit_services,
    )
    plans = [replace(plan, seed=seed + run) for run in range(told.runs)]

    def history(seed: int) -> Path:
        file: Path = told.history or Path(tempfile.gettempdir()) / "chaos.jsonl"
        return file if told.history and len(plans) == 1 else file.with_stem(f"{file.stem}-{seed}")

    return plans, history


def _keep_logs(folder: Path, history: Path) -> None:
    """What the processes said stays beside the history of a run that broke a rule."""
    kept = history.with_suffix(".logs")
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in (*folder.glob("*.log"), *folder.glob("servers/log/*.log")):
        shutil.copy(log, kept / log.name)


if __name__ == "__main__":
    raise SystemExit(main())
