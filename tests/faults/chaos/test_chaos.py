"""Real processes under kill -9, SIGSTOP and a broken network."""

from pathlib import Path

from tests.faults.chaos.proof import assert_nothing_was_lost, run_chaos


class TestChaos:
    def test_nothing_is_lost_and_nothing_twice(self, tmp_path: Path) -> None:
        """Twenty seconds of faults, then healed, drained and judged; nothing runs or lies about afterwards."""
        assert_nothing_was_lost(run_chaos(tmp_path, "--seed", "41"))
