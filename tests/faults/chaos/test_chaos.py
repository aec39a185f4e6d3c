"""Real processes under kill -9, SIGSTOP and a broken network."""

from pathlib import Path

import pytest
from tests.faults.chaos.proof import run_chaos

pytestmark = pytest.mark.chaos
KILLS_AND_PAUSES = 30


class TestChaos:
    def test_nothing_is_lost_and_nothing_twice(self, tmp_path: Path) -> None:
        """Twenty seconds of faults, then healed, drained and judged; nothing runs or lies about afterwards."""
        proof = run_chaos(tmp_path, "--seed", "41")

        assert proof.exit_code == 0, proof.report
        assert proof.figures["violations"] == 0
        assert proof.figures["kills_and_pauses"] >= KILLS_AND_PAUSES
        assert proof.figures["paid"] > 0
        assert proof.processes == {}
        assert proof.files == []
