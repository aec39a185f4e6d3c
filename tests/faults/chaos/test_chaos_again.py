"""As `test_chaos`, under another seed; a file of its own, so that two test processes share the work."""

from pathlib import Path

from tests.faults.chaos.proof import assert_nothing_was_lost, run_chaos


class TestChaosAgain:
    def test_nothing_is_lost_and_nothing_twice(self, tmp_path: Path) -> None:
        """Other faults in another order, and the same end."""
        assert_nothing_was_lost(run_chaos(tmp_path, "--seed", "42"))
