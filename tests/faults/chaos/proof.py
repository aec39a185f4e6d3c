"""One run of `python -m tests.faults.chaos` as a test looks at it: what it told, and what it left behind."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.leftovers import marked_environment, running

ROOT = Path(__file__).parents[3]
SECONDS = 20
WITHIN_S = 230
KILLS_AND_PAUSES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How a run ended: its exit code, its report, its history, and whatever of it is still there."""

    exit_code: int
    report: str
    history: list[dict[str, Any]]
    processes: dict[int, str]
    files: list[Path]

    @property
    def figures(self) -> dict[str, Any]:
        """The last entry of the history."""
        return self.history[-1]


def run_chaos(folder: Path, *arguments: str) -> Proof:
    """This will run chaos for 20 seconds with the arguments, in a folder for its temporary files."""
    temporary, history = folder / "temporary", folder / "history.jsonl"
    temporary.mkdir()
    environment = marked_environment(TMPDIR=str(temporary))
    command = [sys.executable, "-m", "tests.faults.chaos", "--seconds", str(SECONDS), "--history", str(history)]
    ended = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    return Proof(
        exit_code=ended.returncode,
        report=f"{ended.stdout}\n{ended.stderr}",
        history=[json.loads(line) for line in history.read_text("utf-8").splitlines()],
        processes=running(environment),
        files=list(temporary.iterdir()),
    )


def assert_nothing_was_lost(proof: Proof) -> None:
    """This will check that there were faults enough, that no rule was broken, and that nothing runs or lies about."""
    assert proof.exit_code == 0, proof.report
    assert proof.figures["violations"] == 0
    assert proof.figures["kills_and_pauses"] >= KILLS_AND_PAUSES
    assert proof.figures["paid"] > 0
    assert proof.processes == {}
    assert proof.files == []
