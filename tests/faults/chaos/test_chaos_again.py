"""As `test_chaos`, under another seed and with the example's Credit Service listening; a file of its own, so that two
test processes share the work."""

from pathlib import Path

from tests.faults.chaos.proof import assert_nothing_was_lost, run_chaos


class TestChaosAgain:
    def test_nothing_is_lost_and_nothing_twice(self, tmp_path: Path) -> None:
        """Other faults in another order, and the same end; and two processes of the Credit Service, killed and stopped
        like all the others, end with the credits that Billing's books say."""
        proof = run_chaos(tmp_path, "--seed", "42", "--credit-services", "2")

        assert_nothing_was_lost(proof)
        assert proof.figures["balances"] > 0
