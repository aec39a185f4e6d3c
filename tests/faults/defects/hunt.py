"""Looking for a defect: with the simulator, one world after the other, with the chaos harness, in one long run, or with
the one test that stands behind a wall."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.faults.defects import processes
from tests.faults.defects.defect import Break, built_wrong
from tests.faults.simulation.__main__ import run_seed_apart

WITHIN_SEEDS = 300
WITHIN_S = 30
_ROOT = Path(__file__).parents[3]
_CHAOS_ENDS_WITHIN_S = 600
_FAULTS = re.compile(r"^ +faults +(\d+)", re.MULTILINE)
_VIOLATIONS = re.compile(r"^ +violations +(\d+)", re.MULTILINE)
_FAILED = re.compile(r"^FAILED (.+)", re.MULTILINE)
_TEST_ENDS_WITHIN_S = 300
_RULE = re.compile(r"^ +- (.+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """How a hunt ended: how far it went, in its own words, after how many faults, and the rules that were broken
    (none: the defect was not caught)."""

    went: str
    faults: int
    broken: Sequence[str]


def hunt(broken: Break | None, *, seeds: int = WITHIN_SEEDS) -> Hunt:
    """This will build Billing wrong (None: not at all) and run worlds, from seed 0 on, until one breaks a rule."""
    faults = 0
    with built_wrong(broken) if broken else nullcontext():
        for seed in range(seeds):
            outcome = run_seed_apart(seed)
            faults += outcome.faults
            if outcome.broken:
                return Hunt(went=_seeds(seed + 1), faults=faults, broken=outcome.broken)
    return Hunt(went=_seeds(seeds), faults=faults, broken=())


def hunt_in_processes(name: str) -> Hunt:
    """This will have the chaos harness run processes built wrong in the way of that name. Raises RuntimeError where
    the run itself fell over."""
    with tempfile.TemporaryDirectory(prefix="billing-defects-") as folder:
        history = ["--history", str(Path(folder) / "chaos.jsonl")]
        command = [sys.executable, "-m", "tests.faults.chaos", "--seconds", str(WITHIN_S), "--defect", name, *history]
        ended = subprocess.run(
            command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=_CHAOS_ENDS_WITHIN_S, check=False
        )
    faults, violations = _FAULTS.search(ended.stdout), _VIOLATIONS.search(ended.stdout)
    if faults is None or violations is None:
        raise RuntimeError(f"chaos ended with {ended.returncode} and no report")
    rules = _RULE.findall(ended.stdout[violations.end() :])
    return Hunt(went=f"{WITHIN_S} s", faults=int(faults[1]), broken=rules[: int(violations[1])])


def hunt_by_test(name: str, test: str) -> Hunt:
    """This will run the test with Billing built wrong in the way of that name. Raises RuntimeError where it did not run
    at all."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "-n", "0"]
    ended = subprocess.run(
        [*command, "-p", "tests.faults.defects.built_in", test],
        cwd=_ROOT,
        env={**_without_pytest(), processes.DEFECT: name},
        stdout=subprocess.PIPE,
        text=True,
        timeout=_TEST_ENDS_WITHIN_S,
        check=False,
    )
    failed = _FAILED.findall(ended.stdout)
    if ended.returncode not in (0, 1) or (ended.returncode == 1) != bool(failed):
        raise RuntimeError(f"{test} ended with {ended.returncode}: {ended.stdout[-2000:]}")
    return Hunt(went="1 test", faults=1, broken=failed)


def _without_pytest() -> dict[str, str]:
    """The environment without what pytest tells its own processes in it: it may be the one that hunts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def _seeds(many: int) -> str:
    return f"{many} seed" if many == 1 else f"{many} seeds"
