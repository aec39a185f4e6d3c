"""PostgreSQL, NATS and Redis away for ten seconds each, under load."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.leftovers import marked_environment, running

ROOT = Path(__file__).parents[3]
SECONDS, WITHIN_S = 10, 230
SERVERS = ("postgres", "nats", "redis")
# Without which of them a shop can buy, and what readiness says then.
SERVED = {"postgres": (503, 503), "nats": (201, 200), "redis": (201, 200)}


class TestDrills:
    def test_each_server_may_be_away_for_ten_seconds(self, tmp_path: Path) -> None:
        """Liveness stays, readiness tells the truth, every request is answered as the contract says, nothing falls
        over, and afterwards everything is there, drained and as the oracle wants it; nothing runs or lies about."""
        temporary, history = tmp_path / "temporary", tmp_path / "history.jsonl"
        temporary.mkdir()
        environment = marked_environment(TMPDIR=str(temporary))
        command = [sys.executable, "-m", "tests.faults.drills", "--seconds", str(SECONDS), "--seed", "51"]
        command += ["--history", str(history), *(part for each in SERVERS for part in ("--only", each))]

        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )

        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        told = json.loads(history.read_text("utf-8").splitlines()[-1])
        assert told["violations"] == 0
        assert list(told["drills"]) == list(SERVERS)
        for name, drill in told["drills"].items():
            _assert_survived(name, drill)
        assert running(environment) == {}
        assert list(temporary.iterdir()) == []


def _assert_survived(name: str, drill: dict[str, Any]) -> None:
    """What the command has judged itself, looked at once more."""
    answered, (buying, readiness) = drill["answered"], SERVED[name]
    statuses = {kind: _statuses(answered, kind) for kind in ("live", "ready", "buy")}
    assert statuses["live"] == {200}, name
    assert statuses["ready"] == {readiness}, name
    assert buying in statuses["buy"], name
    assert not any(label.endswith(" none") for label in answered), name
    assert drill["ready_after_s"] is not None, name
    assert drill["drained_after_s"] is not None, name
    assert all(drill["bought"]), name


def _statuses(answered: dict[str, int], kind: str) -> set[int]:
    return {int(label.rpartition(" ")[2]) for label in answered if label.startswith(f"{kind} ")}
