"""As `test_chaos`, under another seed; a file of its own, so that two test processes share the work."""

from pathlib import Path

import pytest
from tests.faults.chaos.proof import run_chaos

pytestmark = pytest.mark.chaos
KILLS_AND_PAUSES = 30


class TestChaosAgain:
    def test_nothing_is_lost_and_nothing_twice(self, tmp_path: Path) -> None:
        """Other faults in another order, and the same end."""
        proof = run_chaos(tmp_path, "--seed", "42")

        assert proof.exit_code == 0, proof.report
        assert proof.figures["violations"] == 0
        assert proof.figures["kills_and_pauses"] >= KILLS_AND_PAUSES
        assert proof.figures["paid"] > 0
        assert proof.processes == {}
        assert proof.files == []
