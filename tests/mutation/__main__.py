"""`script/mutate`: run mutmut on copies of the core and its tests, and tell by module what survived."""

import argparse
import fnmatch
import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutation.few_tests import with_few_tests

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".mutants"
COPIED = {
    "packages/billing-core/src/billing_core": "src/billing_core",
    "tests/__init__.py": "tests/__init__.py",
    "tests/conftest.py": "tests/conftest.py",
    "tests/core": "tests/core",
    "tests/machine": "tests/machine",
    "pyproject.toml": "pyproject.toml",
}
KILLED_AT_LEAST = 0.90
_STATS = TREE / "mutants" / "mutmut-stats.json"
_ANY_MUTANT = "billing_core.domain.money.x__exponent__mutmut_1"  # with it mutmut notes which tests run what
_MUTMUT = Path(sys.executable).with_name("mutmut")
_NOTICED = ("killed", "timeout")  # a mutant that never ends is noticed by whoever waits for the tests
_UNDECIDED = ("not checked", "skipped")


def main(arguments: Sequence[str] | None = None) -> int:
    """This will do what the command line asks for. Returns 1 where too little was killed."""
    parser = argparse.ArgumentParser(prog="script/mutate", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="mutants by name (default: all of them)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="how many at once (default 2)")
    asked = parser.parse_args(arguments)
    _copy_afresh()
    lines, share = report(_judge(asked.patterns, ["run", "--max-children", str(asked.processes)]))
    print("\n".join(lines))  # noqa: T201
    return int(share < KILLED_AT_LEAST)


def _judge(patterns: Sequence[str], run: Sequence[str]) -> dict[str, str]:
    """What becomes of each mutant: of few tests at first, and where it survived them, of all."""
    _mutmut(*run, _ANY_MUTANT)
    noted = _STATS.read_text()
    _STATS.write_text(json.dumps(with_few_tests(json.loads(noted))))
    _mutmut(*run, *patterns)
    _STATS.write_text(noted)
    # One that timed out is judged again too: a busy machine is slow, and few tests give little time.
    if left := [name for name, verdict in _verdicts().items() if verdict != "killed"]:
        _mutmut(*run, *left)
    asked = patterns or ["*"]
    return {name: each for name, each in _verdicts().items() if any(fnmatch.fnmatch(name, one) for one in asked)}


def _verdicts() -> dict[str, str]:
    return read_verdicts(_mutmut("results", "--all", "true", quietly=True).splitlines())


def read_verdicts(results: Iterable[str]) -> dict[str, str]:
    """What became of each mutant, as `mutmut results` tells it: `billing_core.domain.money.x_…: survived`."""
    named = (line.strip().rpartition(": ") for line in results if "__mutmut_" in line)
    return {name: verdict for name, _, verdict in named if verdict not in _UNDECIDED}


def report(verdicts: dict[str, str]) -> tuple[list[str], float]:
    """The survivors, the figures by module, and the share that was noticed of all."""
    by_module: dict[str, Counter[str]] = defaultdict(Counter)
    for name, verdict in verdicts.items():
        by_module[_module(name)][verdict] += 1
    survivors = [f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict not in _NOTICED]
    total = sum(by_module.values(), Counter[str]())
    rows = [_row(module, counted) for module, counted in sorted(by_module.items())]
    heading = f"{'module':<32}{'mutants':>9}{'killed':>9}{'timed out':>11}{'survived':>10}{'noticed':>9}"
    hint = f"one of them: cd {TREE.name} && ../.venv/bin/mutmut show NAME"
    return [*survivors, "", hint, "", heading, *rows, _row("all", total)], _share(total)


def _module(mutant: str) -> str:
    """`domain.money` of `billing_core.domain.money.x_exponent__mutmut_1`."""
    return mutant.rpartition(".")[0].removeprefix("billing_core.")


def _row(name: str, counted: Counter[str]) -> str:
    killed, timed_out = counted["killed"], counted["timeout"]
    survived = counted.total() - killed - timed_out
    return f"{name:<32}{counted.total():>9}{killed:>9}{timed_out:>11}{survived:>10}{_share(counted):>9.1%}"


def _share(counted: Counter[str]) -> float:
    return sum(counted[verdict] for verdict in _NOTICED) / (counted.total() or 1)


def _copy_afresh() -> None:
    """A mutant that was judged stays so in mutmut's books although the tests have changed; so nothing is kept."""
    shutil.rmtree(TREE, ignore_errors=True)
    for source, copy in COPIED.items():
        (TREE / copy).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, TREE / copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / source, TREE / copy)


def _mutmut(*arguments: str, quietly: bool = False) -> str:
    done = subprocess.run(
        [_MUTMUT, *arguments], cwd=TREE, check=True, text=True, stdout=subprocess.PIPE if quietly else None
    )
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
